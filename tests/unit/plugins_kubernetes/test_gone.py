"""What is gone with its kind, and what is no API server at all."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from toolchain.plugins.kit import UNKNOWN, Context, Properties, ProviderError
from toolchain.plugins.kubernetes.client import Client
from toolchain.plugins.kubernetes.discovery import Discovery
from toolchain.plugins.kubernetes.handler import KubernetesObject, Options
from toolchain.plugins.kubernetes.kubeconfig import Access, Cluster, User
from toolchain.plugins.kubernetes.objects import Objects

WIDGET = Context("kubernetes:example.test/v1:Widget", "urn:pulumi:s::p::kubernetes:example.test/v1:Widget::w")
SECRET = Context("kubernetes:core/v1:Secret", "urn:pulumi:s::p::kubernetes:core/v1:Secret::s")
STATE: Properties = {"metadata": {"name": "w", "namespace": "n"}}


def handler(answer: Callable[[httpx.Request], httpx.Response]) -> KubernetesObject:
    access = Access("here", "default", Cluster(server="http://k8s.example.test"), User())
    client = Client(access, transport=httpx.MockTransport(answer))
    discovery = Discovery(client)
    return KubernetesObject(Objects(client, discovery), discovery, Options())


def api_server(request: httpx.Request) -> httpx.Response:
    """Serves the core kinds only; a group which it does not have is answered with plain text."""
    if request.url.path == "/api/v1":
        kinds = [{"name": "namespaces", "kind": "Namespace", "namespaced": False}]
        kinds += [{"name": "secrets", "kind": "Secret", "namespaced": True}]
        return httpx.Response(200, json={"resources": kinds})
    return httpx.Response(404, text="404 page not found")


def test_the_objects_of_a_kind_go_with_it() -> None:
    """Somebody removed the definition: the refresh finds its objects gone, not an error that nobody can repair."""
    served = handler(api_server)
    assert served.read(WIDGET, "n/w", STATE, STATE) is None
    served.delete(WIDGET, "n/w", STATE, STATE)
    with pytest.raises(ProviderError, match="has no kind 'Widget'"):
        served.read(WIDGET, "n/w", {}, {})  # an import


def test_what_answers_not_found_to_everything_has_removed_nothing() -> None:
    elsewhere = handler(lambda _: httpx.Response(404, json={"message": "no such cluster"}))
    for call in (elsewhere.read, elsewhere.delete):
        with pytest.raises(ProviderError, match=r"Widget n/w: .*no Kubernetes API server"):
            call(WIDGET, "n/w", STATE, STATE)


@pytest.mark.parametrize("kept", [{}, {"__fieldManager": "ours"}], ids=["imported", "ours"])
def test_string_data_which_a_preview_does_not_know_is_a_difference(kept: Properties) -> None:
    old = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "data": {"a": "MQ=="}}
    new = {key: value for key, value in old.items() if key != "data"} | {"stringData": UNKNOWN}
    found = handler(api_server).diff(SECRET, "n/s", old, {**old, **kept}, new)
    assert "stringData" in found.detailed
