"""The flow's commands on a real node: this machine as root, a loop device for Longhorn's, real mkfs, mounts and rsync.

Also the node behind a transport, as any user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.host.transport_local import LocalTransport
from components.longhorn.flow.interfaces import NodeError, Ref
from components.longhorn.flow.node_tools import run_long, script
from components.longhorn.flow.report import Outcome
from components.longhorn.flow.system_clock import SystemClock
from components.longhorn.flow.transport_node import TransportNode
from components.longhorn.recovery import image, merge
from components.longhorn.recovery.image_ext4 import Ext4
from tests.support.fake_longhorn import NAMESPACE
from tests.support.recovery_node import TickingClock
from tests.support.recovery_site import FILES, PV, SIZE, Site, make_site, volume, write_replica

root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")
NEEDED = ("rsync", "losetup", "mkfs.ext4", "debugfs")


class Opening(SystemClock):
    """Touches a file when somebody waits: a command that waits for it has been joined by then."""

    def __init__(self, gate: Path) -> None:
        self.gate = gate

    def sleep(self, seconds: float) -> None:
        self.gate.touch()
        super().sleep(seconds)


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture
def node() -> Iterator[TransportNode]:
    made = TransportNode("node1", LocalTransport())
    yield made
    made.close()


def test_a_command_keeps_its_arguments(node: TransportNode) -> None:
    """VAR-014: what a shell would take apart arrives whole."""
    done = node.run(("printf", "%s|", "a b", "$HOME", "it's", ""))
    assert (done.status, done.out) == (0, "a b|$HOME|it's||")
    assert node.run(("sh", "-c", "echo no >&2; exit 7")).status == 7


def test_a_file_arrives_whole_or_not_at_all(node: TransportNode, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    node.put(content, str(tmp_path / "new" / "file"), 0o600)
    assert (tmp_path / "new" / "file").read_bytes() == content
    assert (tmp_path / "new" / "file").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    with pytest.raises(NodeError, match="could not be written"):
        node.put(content, "/proc/nothing/file")


def test_a_command_that_does_not_end_is_an_error(node: TransportNode) -> None:
    with pytest.raises(NodeError, match=r"no end after 0\.2 s"):
        node.run(("sleep", "5"), timeout=0.2)


def test_a_long_command_outlives_its_caller_and_is_joined(node: TransportNode, tmp_path: Path) -> None:
    """LHR-182: the second call waits for the first one's command, and it runs once."""
    gate, ran = tmp_path / "gate", tmp_path / "ran"
    command = script("slow", 'echo x >>"$2"; while [ ! -e "$1" ]; do sleep 0.05; done; echo done', str(gate), str(ran))
    with pytest.raises(NodeError, match="still runs"):
        run_long(node, command, clock=SystemClock(), timeout=0.1, directory=str(tmp_path))
    done = run_long(node, command, clock=Opening(gate), timeout=60, directory=str(tmp_path))
    assert (done.status, done.out) == (0, "done\n")
    assert ran.read_text() == "x\n"


@pytest.fixture
def site(tmp_path: Path, node: TransportNode) -> Iterator[Site]:
    """A site whose node is this machine, and whose device is a loop device."""
    for name in NEEDED:
        program(name)
    made = make_site(tmp_path, volume(), mount_base=str(tmp_path / "mnt"), device_directory=str(tmp_path / "devices"))
    made.settings = made.settings.model_copy(update={"nodes": ("node1",), "all_managers_ready": False})
    made.clock = TickingClock(made.longhorn.step)  # type: ignore[assignment]
    made.nodes = {"node1": node}  # type: ignore[dict-item]
    backing = tmp_path / "device.img"
    with backing.open("wb") as file:
        file.truncate(SIZE)
    loop = subprocess.run(
        [program("losetup"), "--find", "--show", str(backing)], check=True, capture_output=True, text=True
    ).stdout.strip()
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / PV).symlink_to(loop)
    try:
        yield made
    finally:
        subprocess.run([program("losetup"), "--detach", loop], check=True)


def in_device(site: Site) -> dict[str, bytes]:
    """What our own reader finds in the device."""
    out = site.root / f"out-{len(list(site.root.iterdir()))}"
    image.extract(site.root / "device.img", ["/"], out)
    found = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    shutil.rmtree(out)
    return found


def mounts(site: Site) -> list[str]:
    return [line for line in Path("/proc/mounts").read_text().splitlines() if str(site.root) in line]


@root
def test_from_directories_to_a_real_device(site: Site) -> None:
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    subprocess.run(["sync"], check=True)
    assert in_device(site) == FILES
    assert mounts(site) == []
    before = (site.root / "device.img").read_bytes()
    assert site.run().outcome is Outcome.RECOVERED
    assert (site.root / "device.img").read_bytes() == before


@root
def test_a_device_with_something_on_it_is_not_touched(site: Site) -> None:
    """INV-011: neither formatted nor written to, and the ticket is given back."""
    other = site.root / "other"
    other.mkdir()
    (other / "precious").write_text("theirs")
    loop = str((site.root / "devices" / PV).readlink())
    subprocess.run([program("mkfs.ext4"), "-q", "-F", "-d", str(other), loop], check=True, capture_output=True)
    subprocess.run(["sync"], check=True)
    before = (site.root / "device.img").read_bytes()
    report = site.run()
    assert report.outcome is Outcome.FAILED
    assert report.volumes[0].code == "device-foreign"
    assert (site.root / "device.img").read_bytes() == before
    tickets = site.cluster.objects[Ref("longhorn.VolumeAttachment", PV, NAMESPACE)]["spec"]["attachmentTickets"]
    assert tickets == {}


@root
def test_an_interrupted_copy_goes_on_without_a_second_format(site: Site) -> None:
    """DT-5: our file system without the mark of completion is copied into again."""
    assert site.run().outcome is Outcome.RECOVERED
    present = site.cluster.objects[Ref("longhorn.Volume", PV, NAMESPACE)]
    present["metadata"]["annotations"].pop("recovery.factory/complete")
    next(Path(site.settings.backup_base).rglob("injected")).unlink()
    loop = str((site.root / "devices" / PV).readlink())
    uuid = subprocess.run(["blkid", "-p", "-s", "UUID", "-o", "value", loop], check=True, capture_output=True).stdout
    mount = site.root / "half"
    mount.mkdir()
    subprocess.run(["mount", loop, str(mount)], check=True)
    (mount / "database.sqlite").write_bytes(b"half")
    subprocess.run(["umount", str(mount)], check=True)
    assert site.run().outcome is Outcome.RECOVERED
    subprocess.run(["sync"], check=True)
    assert in_device(site) == FILES
    again = subprocess.run(["blkid", "-p", "-s", "UUID", "-o", "value", loop], check=True, capture_output=True).stdout
    assert again == uuid


@root
def test_a_power_cut_s_journal_is_replayed_on_a_copy(site: Site) -> None:
    """LHR-059: the newest content comes from the journal; the merged image stays as it was merged."""
    directory = site.replicas / f"{PV}-0a1b2c3d"
    whole = site.root / "whole.img"
    merge(directory, whole)
    newest = b"from the journal\n" + bytes(4096)
    with image.open_image(whole) as (read, _size):
        system = Ext4(read)
        size = system.superblock.block_size
        place = next(piece.place for piece in system.pieces(system.find("/folder/notes.txt")) if piece.place)
    (site.root / "block").write_bytes(newest[:size])
    subprocess.run(
        [program("debugfs"), "-w", "-f", "-", str(whole)],
        input=f"jo\njw -b {place // size} {site.root}/block\njc\n",
        text=True,
        check=True,
        capture_output=True,
    )
    shutil.rmtree(directory)
    write_replica(directory, whole.read_bytes())
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert report.volumes[0].image.endswith(".repaired")
    subprocess.run(["sync"], check=True)
    assert in_device(site)["folder/notes.txt"] == newest[: len(FILES["folder/notes.txt"])]
    assert mounts(site) == []


@root
def test_def_29_nothing_stays_mounted_when_an_image_does_not_mount(site: Site) -> None:
    directory = site.replicas / f"{PV}-0a1b2c3d"
    shutil.rmtree(directory)
    write_replica(directory, os.urandom(SIZE))
    report = site.run()
    assert report.outcome is Outcome.FAILED
    assert report.volumes[0].code == "no-source"
    assert mounts(site) == []
    assert site.cluster.mutations == []
