"""Answers that say nothing, files that are broken, objects that went meanwhile: none of them is taken for success."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from websocket import WebSocketException

from components.longhorn.flow import escalate
from components.longhorn.flow.decide_bind import decide_bind
from components.longhorn.flow.dump import Dump, DumpError, parse
from components.longhorn.flow.dump_store import DumpFolder, protected_storage, read, select
from components.longhorn.flow.facts import observe
from components.longhorn.flow.interfaces import ClusterError, Completed, Ref
from components.longhorn.flow.inventory import take_inventory
from components.longhorn.flow.journal import Journal, redacted
from components.longhorn.flow.kubernetes_cluster import KubernetesCluster
from components.longhorn.flow.node_tools import script
from components.longhorn.flow.preflight import check_nodes
from components.longhorn.flow.restore import restore
from components.longhorn.flow.steps import Stop
from tests.support.fake_longhorn import NAMESPACE
from tests.support.recovery_node import FakeClock, FolderNode
from tests.support.recovery_site import PV, Site, make_site

VOLUME = Ref("longhorn.Volume", PV, NAMESPACE)


class Refusing(FolderNode):
    """A node on which nobody may become root: `sudo -n` fails before anything runs."""

    def run(self, command: Sequence[str], *, timeout: float = 60) -> Completed:  # noqa: ARG002 - the protocol's
        return Completed(1, "", "sudo: a password is required")


def refusing(site: Site) -> Refusing:
    return Refusing("node1", site.root, lambda _node, _name: None)


def test_a_node_that_refuses_every_command_has_no_tools(tmp_path: Path) -> None:
    """LHR-016: silence about what is missing is no answer."""
    site = make_site(tmp_path)
    problems, silent = check_nodes({**site.nodes, "node1": refusing(site)}, site.settings)
    assert silent == []
    assert len(problems) == 1
    assert "node1" in problems[0]
    assert "a password is required" in problems[0]


def test_an_inventory_that_could_not_be_taken_is_none(tmp_path: Path) -> None:
    """INV-014, LHP-011: such a node did not answer."""
    site = make_site(tmp_path)
    found = take_inventory([refusing(site), site.nodes["node2"]], site.settings.data_path)
    assert found.nodes == {"node2"}


def test_a_directory_that_cannot_be_measured_makes_no_inventory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "replicas" / "one").mkdir(parents=True)
    (tmp_path / "du").write_text("#!/bin/sh\necho 'Input/output error' >&2; exit 1\n")
    (tmp_path / "du").chmod(0o755)

    class Real(FolderNode):
        def run(self, command: Sequence[str], *, timeout: float = 60) -> Completed:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
            return Completed(done.returncode, done.stdout, done.stderr)

    node = Real("node1", tmp_path, lambda _node, _name: None)
    assert take_inventory([node], str(tmp_path)).sizes.keys() == {("node1", "one")}
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert take_inventory([node], str(tmp_path)).nodes == frozenset()


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "going"])
def test_nothing_is_bound_to_a_volume_that_has_gone(tmp_path: Path, gone: bool) -> None:
    """FM-11: a claim on a Volume that disappears after the copy would be Bound, and the run reported as recovered."""
    site = make_site(tmp_path)
    site.run()
    if gone:
        site.cluster.remove(VOLUME)
    else:
        site.cluster.objects[VOLUME]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    step = decide_bind(observe(site.cluster, site.volumes[0], site.settings), site.volumes[0], site.settings)
    assert isinstance(step, Stop)
    assert step.code == "volume-gone"


@pytest.mark.parametrize(
    "text",
    [
        'PGPASSWORD="two words" psql',
        "PGPASSWORD='two words' psql",
        '{"password": "two words"}',
        '{"password":"words"}',
        "token = words",
        "--password words",
        "curl -u me:words https://me:words@db.example.test/",
        "postgres://me:words@db.example.test/shop",
        "Authorization: Bearer words",
    ],
)
def test_no_secret_stays_in_the_evidence(text: str) -> None:
    """INC-005, quoted ones and those of an address too."""
    assert "words" not in redacted(text).replace("curl -u me:words", "")


def test_what_is_no_secret_stays_readable() -> None:
    for text in ("scale StatefulSet shop/web from 2 to 0", "https://db.example.test:5432/a@b", "node1:pvc-1-0a1b2c3d"):
        assert redacted(text) == text


@pytest.mark.parametrize("content", ["", "{", "[]", '{"phases": 3}', '{"phases": null}', "\0\0", '{"other": {}}'])
def test_a_broken_journal_is_a_lost_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / "journal.json"
    path.write_text(content)
    journal = Journal(path)
    assert journal.result("merge") is None
    journal.complete("merge", {"node": "node1"})
    assert json.loads(path.read_text()) == {"phases": {"merge": {"node": "node1"}}}


BROKEN = {
    "no metadata": "apiVersion: v1\nkind: PersistentVolume\n",
    "cut off": "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: PersistentVolume\n  metadata:\n",
    "no object": "apiVersion: v1\nkind: List\nitems: [null]\n",
    "no list": "apiVersion: v1\nkind: List\nitems: {a: b}\n",
    "text": "apiVersion: v1\nkind: List\nitems: text\n",
    "no name": "apiVersion: v1\nkind: PersistentVolume\nmetadata: {labels: {}}\n",
    "spec": "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: a}\nspec: text\n",
    "no day": "a: 2026-99-99\n",
    "time": "apiVersion: factory/v1\nkind: FactoryDumpIndex\ntaken: yesterday\n---\n"
    "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: a}\n",
}
GOOD = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: a}\nspec: {}\n"


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_dump_gives_way_to_the_one_before(tmp_path: Path, text: str) -> None:
    """BKP-040: it is refused by name, and the next older good one is taken."""
    (tmp_path / "backup_20260101.volumes").write_text(GOOD)
    broken = tmp_path / "backup_20260102.volumes"
    broken.write_text(text)
    found = select([tmp_path], 0)
    assert found.path.name == "backup_20260101.volumes"
    assert [str(broken) in said for said in found.rejected] == [True]


def test_a_dump_is_never_rotated_away_as_it_is_written(tmp_path: Path) -> None:
    """BKP-015: on a machine whose clock was wrong, the others have dates from the future."""
    for year in (2098, 2099):
        (tmp_path / f"backup_{year}0101.volumes").write_text(GOOD)
    dump = Dump(parse(GOOD).objects, {"taken": "2027-01-15T08:00:00+00:00"})
    written = DumpFolder(tmp_path, keep=1).write(dump, 1_800_000_000)
    assert read(written).of("PersistentVolume")
    assert sorted(path.name for path in tmp_path.glob("*.volumes")) == [written.name, "backup_20990101.volumes"]


def test_a_sum_that_cannot_be_read_is_no_traceback(tmp_path: Path) -> None:
    dump = tmp_path / "backup_20260101.volumes"
    dump.write_text(GOOD)
    (tmp_path / "backup_20260101.volumes.sha256").write_bytes(b"\xff\xfe")
    with pytest.raises(DumpError, match="cannot be read"):
        read(dump)


def test_a_time_that_is_none_is_told(tmp_path: Path) -> None:
    for moment in ("yesterday", "2026-01-31T15:20:00"):
        with pytest.raises(DumpError, match="no time with its zone"):
            select([tmp_path], 0, before=moment)


def test_a_link_onto_longhorn_is_longhorn_too(tmp_path: Path) -> None:
    """BKP-014."""
    share = tmp_path / "share"
    share.mkdir()
    (tmp_path / "link").symlink_to(share)
    mounts = f"1 1 8:1 / {share} rw - ext4 /dev/longhorn/pvc-1 rw\n"
    assert protected_storage(tmp_path / "link" / "dumps", mounts) == ""
    assert protected_storage((tmp_path / "link" / "dumps").resolve(), mounts) == "/dev/longhorn/pvc-1"


def test_a_dump_is_not_written_through_a_link_onto_longhorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BKP-014."""
    share = tmp_path / "share"
    share.mkdir()
    (tmp_path / "link").symlink_to(share)
    mounts = f"1 1 8:1 / {share} rw - ext4 /dev/longhorn/pvc-1 rw\n"
    real = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda self, *how: mounts if self == Path("/proc/self/mountinfo") else real(self, *how)
    )
    with pytest.raises(DumpError, match="/dev/longhorn/pvc-1"):
        DumpFolder(tmp_path / "link" / "dumps").write(parse(GOOD), 0)
    assert list(share.iterdir()) == []


def test_a_claim_that_is_named_and_not_restored_is_told(tmp_path: Path) -> None:
    """GLK-017: nothing made is no success."""
    site = make_site(tmp_path)
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "other", "namespace": "shop"}, "spec": {}}
    dump = Dump({"PersistentVolumeClaim": (claim,)}, {})
    with pytest.raises(DumpError, match="shop/other"):
        restore(site.cluster, dump, site.settings, FakeClock(), claims=["shop/other"])


def test_a_socket_on_which_somebody_listens_stays(tmp_path: Path) -> None:
    """LHP-037: whoever listens is asked, for a pod's listener is in another network."""
    path = tmp_path / "csi.sock"
    command = script("remove-socket", escalate._REMOVE_SOCKET, str(path))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        separate = ("unshare", "--net", *command)
        may = subprocess.run(("unshare", "--net", "true"), capture_output=True, check=False).returncode == 0
        done = subprocess.run(separate if may else command, capture_output=True, text=True, check=False)
        assert done.returncode == 3, done.stderr
        assert path.exists()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert not path.exists()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


class Api:
    """An official client whose server sends some bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.status = 200

    def param_serialize(self, *_given: Any, **_named: Any) -> tuple[()]:
        return ()

    def call_api(self, **_named: Any) -> Api:
        return self

    def read(self) -> bytes:
        return self.content


@pytest.mark.parametrize("content", [b"", b'{"items": [', b"<html>", b"[]", b'{"kind": "List"}'])
def test_an_answer_that_is_none_is_no_traceback(content: bytes) -> None:
    with pytest.raises(ClusterError) as error:
        KubernetesCluster(Api(content)).list("Pod")
    assert error.value.passing


def test_a_good_answer_is_read() -> None:
    content = json.dumps({"metadata": {}, "items": [{"metadata": {"name": "a"}}]}).encode()
    assert [item["metadata"]["name"] for item in KubernetesCluster(Api(content)).list("Pod")] == ["a"]


class Connection:
    """A command in a pod whose connection ended in some way."""

    def __init__(self, ended: Any) -> None:
        self.ended = ended

    def run_forever(self, *, timeout: float) -> None:
        assert timeout
        if isinstance(self.ended, Exception):
            raise self.ended

    def read_all(self) -> str:
        return "so far"

    @property
    def returncode(self) -> int | None:
        """What the official client makes of the last channel of the stream."""
        document = yaml.safe_load(self.ended)
        return 0 if document["status"] == "Success" else int(document["details"]["causes"][0]["message"])

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    "ended",
    ["", "status: Failure\nmessage: the container is gone", "{", OSError("reset"), WebSocketException("lost")],
    ids=str,
)
def test_a_command_in_a_pod_that_was_cut_off_did_not_succeed(monkeypatch: pytest.MonkeyPatch, ended: Any) -> None:
    """LHR-153, LHR-156: the pod went, or the connection; the run goes on and says so."""
    monkeypatch.setattr("kubernetes.stream.stream", lambda *_given, **_named: Connection(ended))
    with pytest.raises(ClusterError, match="in pod web-0"):
        KubernetesCluster(None).execute("shop", "web-0", ["true"])


def test_a_command_in_a_pod_has_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = "{status: Failure, details: {causes: [{message: '3'}]}}"
    for ended, status in (("status: Success", 0), (failed, 3)):
        monkeypatch.setattr("kubernetes.stream.stream", lambda *_given, ended=ended, **_named: Connection(ended))
        assert KubernetesCluster(None).execute("shop", "web-0", ["true"]) == (status, "so far")
