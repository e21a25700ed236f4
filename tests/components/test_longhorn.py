"""Longhorn's storage as a graph, and the recovery's resources as thin adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pulumi.dynamic.dynamic import serialize_provider
from pydantic import ValidationError

from components.longhorn import (
    LonghornArgs,
    LonghornDiagnosis,
    LonghornStorage,
    LonghornVolumeRecovery,
    PvcObjectBackup,
    PvcObjectRestore,
    provider,
)
from components.longhorn.flow.opening import read_site
from components.longhorn.flow.volumes import InvalidInputError
from tests.support.mocks import Graph, build
from tests.support.recovery_site import PV, volume
from tests.support.site import options

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
SITE = {
    "settings": {
        "nodes": ["node1"],
        "data_path": "/srv/longhorn",
        "backup_base": "/srv/backups",
        "merged_base": "/srv/merged",
    },
    "hosts": {"node1": {"address": "node1.example.test", "host_key": KEY, "user": "root"}},
}
ARGS: dict[str, Any] = {
    "storage_classes": [{"name": "replicated", "default": True, "job_groups": ["offsite"]}],
    "recurring_jobs": [
        {"name": "every-second-day", "task": "backup", "cron": "0 5 */2 * *", "retain": 2, "groups": ["offsite"]}
    ],
    "backup_target": {"url": "s3://backups@eu/", "endpoint": "https://storage.example.test"},
}


def storage(**given: Any) -> Graph:
    args = LonghornArgs.model_validate(ARGS)
    keys = {"access_key_id": "an id", "secret_access_key": "a key"} | given
    return build(lambda: {"classes": LonghornStorage("storage", args, **keys, opts=options()).storage_classes})


def test_the_class_its_job_and_its_target() -> None:
    graph = storage()
    found = graph.one("kubernetes:storage.k8s.io/v1:StorageClass", "storage-replicated")
    assert found.get("reclaimPolicy") == "Retain"
    assert found.get("parameters") == {
        "numberOfReplicas": "3",
        "staleReplicaTimeout": "30",
        "dataLocality": "disabled",
        "fsType": "ext4",
        "dataEngine": "v1",
        "recurringJobSelector": '[{"name":"offsite","isGroup":true}]',
        "backupTargetName": "offsite",
    }
    job = graph.one("kubernetes:longhorn.io/v1beta2:RecurringJob")
    assert job.get("spec")["retain"] == 2
    target = graph.one("kubernetes:longhorn.io/v1beta2:BackupTarget")
    assert target.get("spec.credentialSecret") == "offsite-credentials"
    secret = graph.one("kubernetes:core/v1:Secret")
    assert graph.waits_for(target, secret)
    assert graph.waits_for(found, target)
    assert graph.waits_for(job, target)
    assert graph.exports["classes"] == ["replicated"]


def test_the_keys_are_secrets() -> None:
    graph = storage()
    assert graph.one("kubernetes:core/v1:Secret").is_secret("stringData")
    plain = [node for node in graph if "a key" in str({k: v for k, v in node.inputs.items() if k != "stringData"})]
    assert plain == []


def test_a_store_without_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="access_key_id"):
        storage(access_key_id=None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"backup_target": None}, "no backup_target"),
        ({"recurring_jobs": []}, "no recurring job has the group offsite"),
        ({"storage_classes": [{"name": "a", "default": True}, {"name": "b", "default": True}]}, "only one class"),
        ({"storage_classes": [{"name": "a"}, {"name": "a"}]}, "given twice"),
        ({"storage_classes": [{"name": "a", "data_locality": "strict-local"}]}, "replicas 1"),
        ({"backup_target": {"url": "s3://b@r/", "name": "default"}}, "Longhorn makes the target `default` itself"),
        ({"storage_classes": [{"name": "longhorn"}]}, "Longhorn makes the class longhorn itself"),
        ({"diagnosis": SITE | {"hosts": {}}}, "node1 has no entry in hosts"),
        ({"diagnosis": SITE, "namespace": "storage"}, "namespace is storage"),
        ({"object_backup": {"folders": []}}, "no folder is given"),
        ({"object_backup": {"folders": ["dumps"]}}, "folders"),
        ({"recurring_jobs": [{"name": "j", "task": "backup", "cron": "daily", "retain": 1}]}, "cron"),
        ({"recurring_jobs": [{"name": "j", "task": "snapshot", "cron": "0 * * * *", "retain": 0}]}, "keeps nothing"),
        ({"storage_clases": []}, "storage_clases"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        LonghornArgs.model_validate(ARGS | changes)


def test_dumps_and_looks_are_made_where_they_are_asked_for() -> None:
    """DRV-004: beside the storage, with the same kubeconfig; nothing of them without their sections."""
    args = LonghornArgs.model_validate({"object_backup": {"folders": ["/srv/dumps"]}, "diagnosis": SITE})

    def program() -> dict[str, Any]:
        return LonghornStorage("storage", args, kubeconfig="a kubeconfig", opts=options()).outputs()

    made: dict[str, Any] = {"files": ["/srv/dumps/one"], "diagnosis": {"state": "soft"}}
    graph = build(program, computed=lambda *_: made)
    assert graph.exports["object_dumps"] == ["/srv/dumps/one"]
    assert graph.exports["control_plane"] == "soft"
    for name in ("PvcObjectBackup", "LonghornDiagnosis"):
        assert graph.one(f"pulumi-python:dynamic/factory:{name}").is_secret("kubeconfig")
    assert storage().all("pulumi-python:dynamic/factory:PvcObjectBackup") == ()


def test_a_look_without_a_kubeconfig_is_refused() -> None:
    args = LonghornArgs.model_validate({"diagnosis": SITE})
    with pytest.raises(ValueError, match="need the kubeconfig"):
        build(lambda: {"x": LonghornStorage("storage", args, opts=options()).control_plane})


def resources() -> Graph:
    site = read_site(SITE)

    def program() -> None:
        shared: dict[str, Any] = {"kubeconfig": "a kubeconfig", "opts": options()}
        LonghornVolumeRecovery("volume", site, volume(), confirm=PV, state_folder="~/x", private_key="a key", **shared)
        LonghornDiagnosis("look", site, **shared)
        PvcObjectBackup("objects", folders=["/srv/dumps"], **shared)
        PvcObjectRestore("back", site.settings, folders=["/srv/dumps"], **shared)

    made: dict[str, Any] = {"report": {}, "drift": [], "diagnosis": {}, "files": [], "counts": {}}
    return build(program, computed=lambda *_: made)


def test_connections_are_secrets_and_the_class_is_a_reference() -> None:
    """DRV-005: the state names the class, and holds neither a client nor a readable secret."""
    graph = resources()
    names = ["LonghornVolumeRecovery", "LonghornDiagnosis", "PvcObjectBackup", "PvcObjectRestore"]
    nodes = [graph.one(f"pulumi-python:dynamic/factory:{name}") for name in names]
    for node in nodes:
        assert node.is_secret("kubeconfig")
    for name in names:
        assert len(serialize_provider(getattr(provider, f"{name}Provider")())) < 400
    assert nodes[0].is_secret("private_key")
    assert not nodes[0].is_secret("volume")


def recovery_inputs(**changes: Any) -> dict[str, Any]:
    site = read_site(SITE).model_dump(mode="json")
    inputs = {"site": site, "volume": volume().model_dump(mode="json"), "confirm": PV, "kubeconfig": "k"}
    return inputs | {"state_folder": "x"} | changes


@pytest.mark.parametrize(
    ("olds", "changes", "why"),
    [
        ({}, {"confirm": ""}, "type the volume's name"),
        ({}, {"confirm": "yes"}, "type the volume's name"),
        ({"volume": {"pv_name": "pvc-other"}}, {}, "another resource"),
        ({}, {"volume": volume().model_dump(mode="json") | {"size_human": "1Gi"}}, "differ"),
        ({}, {"site": {**SITE, "hosts": {}}}, "no entry in hosts"),
    ],
)
def test_check_refuses_with_the_reason(olds: dict[str, Any], changes: dict[str, Any], why: str) -> None:
    """DRV-002."""
    result = provider.LonghornVolumeRecoveryProvider().check(olds, recovery_inputs(**changes))
    assert any(why in failure.reason for failure in result.failures), [item.reason for item in result.failures]


def test_what_is_right_is_accepted() -> None:
    assert provider.LonghornVolumeRecoveryProvider().check({}, recovery_inputs()).failures == []


def test_a_changed_option_is_an_update_and_a_changed_key_is_none() -> None:
    """DRV-002: replace never."""
    adapter = provider.LonghornVolumeRecoveryProvider()
    olds = recovery_inputs() | {"report": {"x": 1}, "drift": []}
    assert not adapter.diff("id", olds, recovery_inputs(kubeconfig="renewed")).changes
    changed = recovery_inputs(volume=volume(scale_up=False).model_dump(mode="json"))
    result = adapter.diff("id", olds, changed)
    assert result.changes
    assert result.replaces == []


def test_a_state_of_an_earlier_release_is_no_change() -> None:
    """It lacks the keys that came later, which have their defaults."""
    adapter, news = provider.LonghornVolumeRecoveryProvider(), recovery_inputs()
    later = ("scale_down", "scale_up_after")
    olds = {**news, "volume": {key: value for key, value in news["volume"].items() if key not in later}}
    assert olds != news
    assert not adapter.diff("id", olds, news).changes
    news["volume"]["scale_down"] = False
    assert adapter.diff("id", olds, news).changes


@pytest.mark.parametrize(
    "adapter",
    [
        provider.LonghornVolumeRecoveryProvider(),
        provider.LonghornDiagnosisProvider(),
        provider.PvcObjectBackupProvider(),
        provider.PvcObjectRestoreProvider(),
    ],
    ids=lambda adapter: type(adapter).__name__,
)
def test_delete_opens_nothing(adapter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """INV-017."""

    def refuse(*_given: Any, **_named: Any) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr(provider, "open_cluster", refuse)
    monkeypatch.setattr(provider, "open_world", refuse)
    adapter.delete("id", recovery_inputs())
    assert vars(adapter) == {}


def test_a_lost_dump_is_drift(tmp_path: Path) -> None:
    kept = tmp_path / "backup_20260101.volumes"
    kept.write_text("apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: a}\n")
    adapter = provider.PvcObjectBackupProvider()
    props = {"files": [str(kept), str(tmp_path / "gone.volumes")]}
    assert len(adapter.read("id", props).outs["drift"]) == 1  # type: ignore[index]


def test_a_site_reports_all_its_mistakes() -> None:
    hosts = {"node9": {"address": "x", "host_key": KEY, "sudo": "password"}}
    with pytest.raises(InvalidInputError) as error:
        read_site({**SITE, "hosts": hosts})
    for why in ("settings.nodes does not name it", "node1 has no entry", "password is not supported"):
        assert why in str(error.value)


def test_def_28_a_host_without_a_pinned_key_is_refused() -> None:
    hosts = {"node1": {"address": "node1.example.test", "user": "root"}}
    with pytest.raises(InvalidInputError, match="host_key"):
        read_site({**SITE, "hosts": hosts})
