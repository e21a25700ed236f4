"""Custom resources, which their definition validates."""

from __future__ import annotations

import pytest

from tests.support.kubernetes_objects import DEFINITION, refreshed
from tests.support.plugin_process import PluginProcess, RefusedError
from toolchain.plugins.kubernetes.client import MERGE, Client, Object

pytestmark = pytest.mark.engine


def test_a_custom_resource_is_validated_by_its_definition(
    plugin: PluginProcess, server: Client, namespace: str
) -> None:
    group = f"{namespace}.example.test"
    token = f"kubernetes:{group}/v1:Widget"

    def widget(name: str, **spec: object) -> Object:
        identity = {"apiVersion": f"{group}/v1", "kind": "Widget"}
        return {**identity, "metadata": {"namespace": namespace, "name": name}, "spec": spec}

    with pytest.raises(RefusedError, match=f"{token}: .* has no kind 'Widget' .*CustomResourceDefinition"):
        plugin.check(token, "early", widget("early", size=1))
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {"size": {"type": "integer"}, "color": {"type": "string", "default": "red"}},
            },
            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
        },
    }
    versions = [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]
    definition = {
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": versions,
        },
    }
    # In a preview, the definition and its first object can be in one program.
    plugin.create(DEFINITION, "widgets", definition, preview=True)
    assert plugin.create(token, "first", widget("first", size=1), preview=True).inputs["spec"] == {"size": 1}
    defined = plugin.create(DEFINITION, "widgets", definition)
    try:
        made = plugin.create(token, "first", widget("first", size=1))
        assert made.outputs["spec"] == {"size": 1, "color": "red"}
        assert refreshed(plugin, made).inputs == made.inputs
        with pytest.raises(RefusedError, match="exists already"):
            plugin.create(token, "again", widget("first", size=2))
        for preview in (True, False):
            with pytest.raises(RefusedError, match="sise"):
                plugin.create(token, "typo", widget("typo", size=1, sise=2), preview=preview)
        with pytest.raises(RefusedError, match="sise"):
            plugin.update(made, widget("first", size=1, sise=2), preview=True)
        waiting = widget("waits", size=1)
        waiting["metadata"]["annotations"] = {
            "pulumi.com/waitFor": "jsonpath={.status.phase}=Done",
            "pulumi.com/timeoutSeconds": "1",
        }
        unready = plugin.create(token, "waits", waiting)
        assert ".status.phase is absent, not 'Done'" in unready.initialization_errors[0]
        where = f"/apis/{group}/v1/namespaces/{namespace}/widgets/waits"
        server.request("PATCH", where, body={"status": {"phase": "Done"}}, content_type=MERGE)
        assert plugin.update(unready, waiting).initialization_errors == []
    finally:
        plugin.delete(defined)
