"""Backup and restore with the program that runs on the device, real `tar`, and a `docker` that only remembers."""

from __future__ import annotations

import asyncio
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.cm5_gateway import Gateway, device_archive
from components.cm5_gateway.archive import ArchiveRefusedError, Device, _Stream, digest_file, read_manifest
from components.cm5_gateway.keep import described, kept
from components.host.transport import HostError
from components.host.transport_local import LocalTransport
from tests.support.gateway import classic, gateway_args

CREATED = "2030-01-02T03:04:05+00:00"
DOCKER = """#!/bin/sh
# docker compose --file FILE VERB [SERVICES]; the state of each service is a file.
cd "$(dirname "$0")/services" && shift 3 || exit 1
echo "$*" >> ../calls
verb=$1; shift
case $verb in
ps) grep -lx "$2" * 2>/dev/null; exit 0 ;;
pause) word=paused ;;
unpause | start) word=running ;;
stop) word=exited ;;
down) rm -f *; exit 0 ;;
esac
for service; do echo $word > $service; done
"""


@dataclass
class Site:
    """A device that is a directory of this machine."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        (self.folder / "bin/services").mkdir(parents=True)
        docker = self.folder / "bin/docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)
        self.monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
        self.root = self.folder / "root"
        self.root.mkdir()
        self.gateway = self.of()

    def of(self, **changes: Any) -> Gateway:
        connection = {"root": str(self.root), "python": sys.executable, "sudo": "none"}
        return Gateway.of(gateway_args(connection=connection, storage={"bind_mounts": False}, **changes))

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str, mode: int = 0o640) -> None:
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).write_text(text)
        self.at(path).chmod(mode)

    def install(self) -> None:
        """Put data of every kind into its place, and let the containers run."""
        self.write("/opt/data/authority/ca.key", "the key of the authority", 0o600)
        self.write("/opt/data/config/traefik/acme/acme.json", "{}", 0o600)
        self.write("/opt/data/config/traefik/dynamic/site.pem", "the key of the name", 0o600)
        self.write("/opt/data/config/traefik/traefik.yml", "written by `up`")
        self.write("/opt/data/mosquitto/data/db", "messages")
        self.write("/opt/data/backend/state/deep/er", "state", 0o400)
        self.at("/opt/data/backend/state/link").symlink_to("deep/er")
        self.at("/opt/data/backend/state/deep").chmod(0o2750)
        os.chown(self.at("/opt/data/backend/state"), 1000, 1000)
        os.setxattr(self.at("/opt/data/mosquitto/data/db"), "user.note", b"kept")
        self.write("/home/cabin/domain.txt", "home.example.test\n")
        self.write("/opt/data/docker-compose.yml", "services: {}")
        self.let("running", "backend", "mosquitto")

    def let(self, state: str, *services: str) -> None:
        for service in services:
            (self.folder / "bin/services" / service).write_text(f"{state}\n")

    @property
    def states(self) -> dict[str, str]:
        return {file.name: file.read_text().strip() for file in (self.folder / "bin/services").iterdir()}

    @property
    def calls(self) -> list[str]:
        """What docker was told, without the questions."""
        file = self.folder / "bin/calls"
        told = file.read_text().splitlines() if file.exists() else []
        return [line for line in told if not line.startswith("ps ")]

    def snapshot(self, *paths: str) -> dict[str, tuple[int, int, bytes]]:
        """Mode, owner and content of everything that is there, or below some paths."""
        found = {}
        for file in sorted(self.root.rglob("*")):
            name = f"/{file.relative_to(self.root)}"
            if not paths or name.startswith(paths):
                info = file.lstat()
                text = file.read_bytes() if stat.S_ISREG(info.st_mode) else b""
                found[name] = (info.st_mode, info.st_uid, text)
        return found

    def ask(self, work: Callable[[Device], Awaitable[Any]], gateway: Gateway | None = None) -> Any:
        """Let the operator's side do something with the device, and disconnect."""

        async def connected() -> Any:
            transport = LocalTransport()
            try:
                return await work(Device(gateway or self.gateway, transport))
            finally:
                await transport.close()

        return asyncio.run(connected())

    def backup(self, file: Path, gateway: Gateway | None = None) -> dict[str, Any]:
        done: dict[str, Any] = self.ask(lambda device: device.backup(file, CREATED), gateway)
        return done

    def restore(self, file: Path, gateway: Gateway | None = None, **given: bool) -> dict[str, Any]:
        options = {"stop": False, "other_gateway": False, **given}
        done: dict[str, Any] = self.ask(lambda device: device.restore(file, **options), gateway)
        return done

    def erase(self, serial: str, *, only_look: bool = False) -> None:
        self.ask(lambda device: device.erase("/dev/x", serial, only_look=only_look))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    one = Site(tmp_path / "site", monkeypatch)
    one.install()
    return one


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cabin.tar.gz"


def test_data_and_keys_are_kept_and_nothing_that_up_makes() -> None:
    assert kept(Gateway.of(gateway_args())) == (
        "/home/cabin/domain.txt",
        "/opt/data/adguard",
        "/opt/data/authority",
        "/opt/data/backend",
        "/opt/data/config/traefik/acme",
        "/opt/data/config/traefik/dynamic/site.pem",
        "/opt/data/mosquitto",
    )
    in_vault = kept(Gateway.of(gateway_args(local_ca={"keeper": "vault"})))
    assert [path for path in in_vault if "authority" in path or "site.pem" in path] == []
    assert kept(Gateway.of(classic())) == ("/home/cabin/domain.txt", "/opt/data/config/traefik/acme")


def test_a_backup_is_private_and_verified_and_the_containers_go_on(site: Site, file: Path) -> None:
    before = site.snapshot()
    done = site.backup(file)
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(digest_file(file).stat().st_mode) == 0o600
    checked = subprocess.run(
        ["sha256sum", "--check", digest_file(file)], cwd=file.parent, capture_output=True, check=False
    )
    assert checked.returncode == 0
    assert done["size"] == file.stat().st_size
    manifest = read_manifest(file)
    assert manifest == done["manifest"]
    assert (manifest["product"], manifest["gateway_id"], manifest["created"]) == ("cabin", "gw-02005e005301", CREATED)
    # AdGuard never ran here, so it has nothing.
    assert manifest["paths"] == [path for path in kept(site.gateway) if path != "/opt/data/adguard"]
    assert site.calls == ["pause backend mosquitto", "unpause backend mosquitto"]
    assert set(site.states.values()) == {"running"}
    assert site.snapshot() == before
    assert [each.name for each in file.parent.iterdir() if each.name.startswith(".")] == []


def test_everything_comes_back_as_it_was(site: Site, file: Path) -> None:
    """Modes, owners, links and attributes; what `up` wrote meanwhile stays."""
    before = site.snapshot()
    site.backup(file)
    site.write("/opt/data/authority/ca.key", "another authority", 0o644)
    site.write("/opt/data/backend/state/new", "written since")
    site.at("/opt/data/mosquitto/data/db").unlink()
    site.write("/opt/data/config/traefik/traefik.yml", "a newer version")
    done = site.restore(file, stop=True)
    after = site.snapshot()
    newer = "/opt/data/config/traefik/traefik.yml"
    assert after.pop(newer) != before.pop(newer)
    assert after == before
    assert os.getxattr(site.at("/opt/data/mosquitto/data/db"), "user.note") == b"kept"
    assert site.at("/opt/data/backend/state/link").readlink() == Path("deep/er")
    assert (done["held"], done["skipped"]) == (["backend", "mosquitto"], [])
    assert site.calls[-2:] == ["stop backend mosquitto", "start backend mosquitto"]

    site.restore(file, stop=True)
    assert site.snapshot() == before | {newer: site.snapshot()[newer]}, "the second run ends the same"


def test_a_running_container_is_not_robbed_of_its_data(site: Site, file: Path) -> None:
    site.backup(file)
    before = site.snapshot()
    with pytest.raises(HostError, match=r"these containers run: backend, mosquitto\. Give --stop"):
        site.restore(file)
    assert site.snapshot() == before
    site.let("exited", "backend", "mosquitto")
    site.restore(file)
    assert set(site.states.values()) == {"exited"}, "what did not run is not started"


def test_another_gateways_archive_is_asked_for(site: Site, file: Path) -> None:
    site.backup(file)
    other = site.of(lan={"mac": "02:00:5e:00:53:77"})
    with pytest.raises(ArchiveRefusedError, match=r"of cabin gw-02005e005301 and this is cabin gw-02005e005377: give"):
        site.restore(file, other, stop=True)
    assert site.restore(file, other, stop=True, other_gateway=True)["restored"]


def test_what_is_no_longer_described_is_left_out_and_told(site: Site, file: Path) -> None:
    site.backup(file)
    done = site.restore(file, site.of(containers={"mosquitto": {"volumes": None}}), stop=True)
    assert done["skipped"] == ["/opt/data/mosquitto"]


@pytest.mark.parametrize("damage", ["a bit", "its end", "the digest", "no text", "no digest"])
def test_a_damaged_archive_changes_nothing(damage: str, site: Site, file: Path) -> None:
    site.backup(file)
    before = site.snapshot()
    content = file.read_bytes()
    if damage == "a bit":
        file.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    elif damage == "its end":
        file.write_bytes(content[:-100])
    elif damage == "the digest":
        digest_file(file).write_text("")
    elif damage == "no text":
        digest_file(file).write_bytes(b"\xff\xfe")
    else:
        digest_file(file).unlink()
    with pytest.raises(ArchiveRefusedError, match=r"damaged|not there or no digest"):
        site.restore(file, stop=True)
    assert (site.snapshot(), site.calls[2:]) == (before, [])


def test_a_file_that_is_no_backup_is_refused(site: Site, file: Path) -> None:
    file.write_bytes(b"nothing")
    digest_file(file).write_text(
        f"{subprocess.run(['sha256sum', file], capture_output=True, text=True, check=True).stdout}"
    )
    with pytest.raises(ArchiveRefusedError, match="cannot be read"):
        site.restore(file)


@pytest.mark.parametrize(
    "manifest", ["[]", "{}", '{"paths": []}', '{"product": "a", "gateway_id": "b", "paths": {}}', '{"product": 1}']
)
def test_an_archive_with_another_manifest_is_refused(manifest: str, file: Path) -> None:
    with tarfile.open(file, "w:gz") as archive:
        member = tarfile.TarInfo(device_archive.MANIFEST)
        member.size = len(manifest)
        archive.addfile(member, io.BytesIO(manifest.encode()))
    with pytest.raises(ArchiveRefusedError, match="cannot be read"):
        read_manifest(file)


class Said:
    """A program that has written something."""

    def __init__(self, text: str) -> None:
        self.pieces = [text.encode(), b""]

    async def send(self, data: bytes) -> None:
        """Nobody reads it."""

    async def receive(self) -> bytes:
        return self.pieces.pop(0)

    async def ended(self) -> tuple[int | None, str]:
        return 0, ""

    def kill(self) -> None:
        """It has ended."""


@pytest.mark.parametrize("line", ["Welcome!", "[1]", "3", "null"])
def test_a_shell_that_prints_something_by_itself_is_told(line: str, site: Site) -> None:
    channel = Said(f"{line}\n")
    with pytest.raises(HostError, match="does its shell print something"):
        asyncio.run(Device(site.gateway, LocalTransport())._answer(channel, _Stream(channel)))


def test_no_file_is_ever_replaced(site: Site, file: Path) -> None:
    file.write_text("precious")
    with pytest.raises(ArchiveRefusedError, match="exists already"):
        site.backup(file)
    assert (file.read_text(), site.calls) == ("precious", [])


def test_a_backup_that_fails_leaves_no_file_and_running_containers(site: Site, file: Path) -> None:
    tar = site.folder / "bin/tar"
    tar.write_text("#!/bin/sh\necho half\necho 'tar: /opt/data: Input/output error' >&2\nexit 2\n")
    tar.chmod(0o755)
    with pytest.raises(HostError, match=r"this machine: tar ended with 2: tar: /opt/data: Input/output error"):
        site.backup(file)
    assert list(file.parent.glob("*.tar.gz*")) == []
    assert set(site.states.values()) == {"running"}


def test_a_folder_that_is_not_there_stops_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        site.backup(tmp_path / "nowhere" / "cabin.tar.gz")
    assert site.calls == []


def test_a_device_that_can_take_no_more_says_why(site: Site, file: Path) -> None:
    site.backup(file)
    (site.folder / "bin/tar").write_text("#!/bin/sh\necho 'tar: No space left on device' >&2\nexit 2\n")
    (site.folder / "bin/tar").chmod(0o755)
    with pytest.raises(HostError, match="tar --numeric-owner ended with 2: tar: No space left on device"):
        site.restore(file, stop=True)
    assert set(site.states.values()) == {"running"}
    assert not site.at("/opt/data/.factory-restore").exists()


def test_containers_that_a_killed_backup_froze_go_on_after_the_next(site: Site, file: Path) -> None:
    site.let("paused", "mosquitto")
    assert site.backup(file)["held"] == ["backend", "mosquitto"]
    assert set(site.states.values()) == {"running"}


def test_the_disk_must_be_there(site: Site, file: Path) -> None:
    """CM5-148: an empty directory under the mount would be a perfect and useless backup."""
    gateway = site.of()
    on_disk = Gateway.of(gateway.args.model_copy(update={"storage": gateway_args().storage}))
    with pytest.raises(HostError, match=r"/opt/data is not mounted: is the disk there\? \(CM5-148\)"):
        site.backup(file, on_disk)
    assert not file.exists()


class KilledError(BaseException):
    """The device lost its power."""


def served(request: dict[str, Any], content: bytes = b"") -> dict[str, Any]:
    """Let the device's program serve one request in this process; its last line."""
    sink = io.BytesIO()
    line = json.dumps(request).encode() + b"\n"
    pieces = len(content).to_bytes(4, "big") + content + bytes(4) if content else b""
    device_archive.main(io.BytesIO(line + pieces), sink)
    answer: dict[str, Any] = json.loads(sink.getvalue().splitlines()[-1])
    return answer


class Gone(io.BytesIO):
    """An operator who disconnects as soon as something arrives."""

    def write(self, _data: Any) -> int:
        raise BrokenPipeError


def test_a_lost_operator_leaves_no_container_frozen(site: Site) -> None:
    request = Device(site.gateway, LocalTransport())._request("backup", paths=list(kept(site.gateway)), manifest={})
    with pytest.raises(BrokenPipeError):
        device_archive.main(io.BytesIO(json.dumps(request).encode() + b"\n"), Gone())
    assert site.calls == ["pause backend mosquitto", "unpause backend mosquitto"]
    assert set(site.states.values()) == {"running"}
    assert not site.at("/opt/data/.factory-restore").exists()


@pytest.mark.parametrize("step", [1, 2, 3, 8, 13])
def test_killed_anywhere_the_same_restore_ends_the_same(
    step: int, site: Site, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = site.backup(file)
    before = site.snapshot()
    site.write("/opt/data/authority/ca.key", "another authority")
    request = Device(site.gateway, LocalTransport())._request(
        "restore", paths=done["manifest"]["paths"], stop=True, sha256=done["sha256"]
    )
    rename, calls = Path.rename, 0

    def dying(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls >= step:
            raise KilledError
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", dying)
    with pytest.raises(KilledError):
        served(request, file.read_bytes())
    monkeypatch.setattr(Path, "rename", rename)
    again = served({**request, "stop": False} if step > 1 else request, file.read_bytes())
    assert again.get("restored") == request["paths"], again
    assert site.snapshot() == before
    assert set(site.states.values()) == {"running"}, "those that ran before the first attempt run again"


def test_no_backup_is_made_of_data_that_is_half_in_place(site: Site, file: Path) -> None:
    site.write("/opt/data/.factory-stopped.json", "[]")
    with pytest.raises(HostError, match="a restore was interrupted"):
        site.backup(file)


def test_the_containers_are_taken_down_and_the_data_stays(site: Site) -> None:
    """CM5-260"""
    before = site.snapshot()
    site.write("/opt/data/.docker-compose.applied.yml", "services: {}")
    assert site.ask(Device.down) is True
    assert (site.states, site.snapshot()) == ({}, before)
    site.at("/opt/data/docker-compose.yml").unlink()
    assert site.ask(Device.down) is False


def test_only_the_disk_that_was_named_is_erased(site: Site) -> None:
    """CM5-260: by its serial number, unmounted, and not before all else is done."""
    listed: dict[str, list[dict[str, Any]]] = {
        "blockdevices": [{"path": "/dev/x", "serial": "S-1", "mountpoint": None}, {"path": "/dev/x1"}]
    }
    for name, text in (("lsblk", f"cat <<'END'\n{json.dumps(listed)}\nEND"), ("wipefs", 'echo "$@" >> "$0.calls"')):
        (site.folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (site.folder / "bin" / name).chmod(0o755)
    erased = site.folder / "bin/wipefs.calls"
    with pytest.raises(HostError, match="/dev/x has the serial number S-1 and not S-2"):
        site.erase("S-2")
    site.erase("S-1", only_look=True)
    assert not erased.exists()
    site.erase("S-1")
    assert erased.read_text().splitlines() == ["--all /dev/x1", "--all /dev/x"]
    listed["blockdevices"][1]["mountpoint"] = "/mnt/nvme"
    (site.folder / "bin/lsblk").write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(listed)}\nEND\n")
    with pytest.raises(HostError, match="/dev/x1 is mounted: unmount it first; nothing was erased"):
        site.erase("S-1")


def test_the_device_is_described_for_what_comes_after() -> None:
    """CM5-259"""
    told = described(Gateway.of(gateway_args()))
    assert told["lan"]["mac"] == "02:00:5e:00:53:01"
    assert told["device_segment"]["reservations"][0]["name"] == "valve"
    assert (told["storage"]["label"], told["mdns_name"]) == ("cabin-data", "cabin.local")
    assert (told["wan_domain_default"], told["domain_file"]) == ("home.example.test", "/home/cabin/domain.txt")
    assert "secret" not in json.dumps(told)
    assert described(Gateway.of(classic()))["storage"] is None
