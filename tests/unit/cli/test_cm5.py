"""`./factory cm5`: what is refused without a word of confirmation, in which order things end, and clean failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli import engine, gateway_device, lifecycle
from cli.errors import CommandError
from cli.exclusive import alone
from cli.session import Session
from cli.stack import Stack
from components.cm5_gateway.archive import Device
from components.host.transport_fake import FakeTransport
from stacks.settings.needs import CM5_GATEWAY
from stacks.settings.sections import targets
from tests.support.gateway import CLASSIC, GATEWAY, merged
from tests.unit.cli.conftest import CommandLine
from toolchain.engine_home import EngineHome, PluginSet

AWAY = {"connection": {"address": "127.0.0.1", "port": 9, "ssh_config": None}, "lan": {"address": "10.20.0.14"}}


def write(factory: CommandLine, gateway: dict[str, Any] | None) -> None:
    config: dict[str, Any] = {
        "pulumi:disable-default-providers": ["*"],
        "factory:environment": "prod",
        "factory:fingerprints": {"hosts": ["site.example.test"]},
    }
    config |= {"factory:cm5_gateway": gateway} if gateway else {}
    (factory.root / "Pulumi.site.yaml").write_text(yaml.safe_dump({"config": config}))


@pytest.fixture
def site(factory: CommandLine) -> CommandLine:
    """A stack with a gateway that nobody answers for."""
    write(factory, merged(CLASSIC, AWAY))
    return factory


@pytest.mark.parametrize(
    "words",
    [("backup", "x.tar.gz"), ("restore", "x.tar.gz"), ("uninstall",), ("prepare", "x")],
    ids=lambda words: words[0],
)
def test_a_stack_without_a_gateway_is_bad_input(words: tuple[str, ...], factory: CommandLine) -> None:
    write(factory, None)
    done = factory("cm5", *words, "--stack", "site")
    assert done.status == 2
    assert "stack 'site' has no gateway: describe it as factory:cm5_gateway" in done.err


@pytest.mark.parametrize("confirm", [(), ("--confirm", "cabn")])
def test_an_end_is_confirmed_by_name(confirm: tuple[str, ...], site: CommandLine, tmp_path: Path) -> None:
    """CM5-213, CM5-258, CM5-259, CM5-260: refused, with what would be done and what would stay."""
    before = site.files()
    done = site("cm5", "uninstall", "--stack", "site", *confirm)
    assert done.status == 2
    assert "Nothing was changed: to go on, give --confirm cabin" in done.err
    assert "data stays: /home/cabin/domain.txt, /opt/data/config/traefik/acme" in done.err
    erase = site("cm5", "uninstall", "--stack", "site", "--erase-disk", "S-1", *confirm)
    assert (erase.status, "data is erased" in erase.err) == (2, True)
    folder = tmp_path / "handover"
    done = site("cm5", "prepare", str(folder), "--stack", "site", *confirm)
    assert (done.status, folder.exists()) == (2, False)
    assert "data, disk and system stay as they are" in done.err
    assert site.files() == before


def test_a_gateway_that_does_not_answer_is_one_sentence(site: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "cabin.tar.gz"
    done = site("cm5", "backup", str(file), "--stack", "site")
    assert (done.status, done.err.splitlines()) == (
        1,
        ["factory: cannot reach 127.0.0.1:9: Connection refused"],
    )
    assert list(tmp_path.glob("*cabin.tar*")) == []


def test_an_archive_without_its_digest_is_refused_before_anything(site: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "cabin.tar.gz"
    file.write_bytes(b"x")
    done = site("cm5", "restore", str(file), "--stack", "site")
    assert done.status == 1
    assert "without it an archive is not put back" in done.err


def test_a_disk_is_erased_only_where_there_is_one(site: CommandLine) -> None:
    done = site("cm5", "uninstall", "--stack", "site", "--confirm", "cabin", "--erase-disk", "S-1")
    assert (done.status, "this gateway has no disk of its own" in done.err) == (2, True)


def test_doctor_asks_the_gateway_and_says_why_it_cannot(site: CommandLine) -> None:
    """CM5-266: the result is machine-readable, also of a device that is away."""
    done = site("doctor", "cm5", "--stack", "site", "--json")
    (found,) = json.loads(done.out)
    assert (done.status, found["host"], found["ok"]) == (1, "cm5_gateway", False)
    assert found["error"].startswith("cannot reach 127.0.0.1:9")
    write(site, None)
    assert site("doctor", "cm5", "--stack", "site").status == 2


DISK = "urn:pulumi:site::factory::factory:cm5:CM5Gateway$factory-host:index:HostState::cm5.nvme"
DESTROYED = f"destroy {' '.join(targets(CM5_GATEWAY, 'site'))}"
ELSEWHERE = "urn:pulumi:site::factory::factory:vault:VaultFoundation$vault:index/mount:Mount::kv"


class Ending:
    """The device and the engine, which only note in which order they are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, status: int = 0) -> None:
        self.done: list[str] = []
        self.resources: list[dict[str, Any]] = [
            {"urn": DISK, "type": "factory-host:index:HostState", "protect": True},
            {"urn": f"{DISK}2", "type": "factory-host:index:HostState"},
            {"urn": ELSEWHERE, "type": "vault:index/mount:Mount", "protect": True},
        ]

        def run(_session: object, arguments: list[str], **_: object) -> int:
            self.done.append(f"{arguments[0]} {' '.join(word for word in arguments if 'CM5Gateway' in word)}")
            return status

        def opened(stack: Stack, _report: object) -> Session:
            home = EngineHome(Path("pulumi"), PluginSet.OFFICIAL, {})
            return Session(stack, home, {"PULUMI_BACKEND_URL": "s3://states"})

        monkeypatch.setattr(engine, "capture", self.captured)
        monkeypatch.setattr(engine, "run", run)
        monkeypatch.setattr(lifecycle, "open_session", opened)
        monkeypatch.setattr(gateway_device, "login_secrets", lambda *_: {})
        monkeypatch.setattr(gateway_device, "SshTransport", lambda *_: FakeTransport(self.unused))
        monkeypatch.setattr(Device, "_ask", self.asked)

    def captured(self, _session: object, arguments: list[str]) -> str:
        if arguments[:2] == ["stack", "export"]:
            return json.dumps({"deployment": {"resources": self.resources}})
        if arguments[:3] == ["stack", "tag", "ls"]:
            return json.dumps({"factory:plugins": "official"})
        self.done.append(" ".join([*arguments[:2], arguments[2].rsplit("::", 1)[-1]]))
        return ""

    def unused(self, _request: object) -> list[dict[str, Any]]:
        raise AssertionError

    async def asked(self, request: dict[str, Any]) -> dict[str, Any]:
        self.done.append(f"{request['verb']}{' (look)' if request.get('only_look') else ''}")
        with pytest.raises(CommandError, match="is locked by a live run"), alone("site"):
            pytest.fail("another run could change the stack meanwhile")
        return {"down": True}


@pytest.fixture
def with_disk(factory: CommandLine) -> Callable[..., Any]:
    """Uninstall a gateway that has a disk."""
    gateway = merged(GATEWAY, {**AWAY, "adguard": None, "cloud": None, "services": None, "traefik": {"acme": None}})
    gateway = merged(gateway, {"containers": {"backend": {"secret_environment": None}}})
    write(factory, gateway)
    return lambda *more: factory("cm5", "uninstall", "--stack", "site", "--confirm", "cabin", *more)


def test_the_end_goes_from_the_containers_to_the_disk(
    with_disk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CM5-260, CM5-261: the wrong disk is noticed first, protection is lifted for the gateway alone, data goes last."""
    ending = Ending(monkeypatch)
    assert with_disk().status == 0
    assert ending.done == ["down", "state unprotect cm5.nvme", DESTROYED]
    ending.done.clear()
    assert with_disk("--erase-disk", "S-1").status == 0
    assert ending.done == ["erase (look)", "down", "state unprotect cm5.nvme", DESTROYED, "erase"]


def test_a_removal_that_failed_erases_nothing(with_disk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ending = Ending(monkeypatch, status=1)
    assert with_disk("--erase-disk", "S-1").status == 1
    assert ending.done[-1] == DESTROYED


def test_an_end_that_is_refused_leaves_the_containers_running(
    with_disk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another run changes the stack, and while something else of it needs the gateway."""
    ending = Ending(monkeypatch)
    with alone("site"):
        locked = with_disk()
    assert (locked.status, "is locked by a live run" in locked.err) == (1, True)
    ending.resources[2]["dependencies"] = [DISK]
    needed = with_disk()
    assert (needed.status, "kv cannot be without what was to be destroyed" in needed.err) == (1, True)
    assert ending.done == []


def test_the_backup_is_of_a_device_at_rest(site: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CM5-259: no container writes after the data was saved, and no run starts one."""
    ending = Ending(monkeypatch)

    async def backup(device: Device, _file: Path, _created: str) -> dict[str, Any]:
        await device._ask({"verb": "backup"})
        return {"manifest": {"paths": ["/data"]}, "size": 5}

    monkeypatch.setattr(Device, "backup", backup)
    folder = tmp_path / "handover"
    words = ("cm5", "prepare", str(folder), "--stack", "site", "--confirm", "cabin")
    done = site(*words)
    assert done.status == 0, done.err
    assert ending.done == ["down", "backup"]
    assert (folder / "cabin.json").exists()

    ending.done.clear()
    (folder / "cabin.json").rename(folder / "cabin.tar.gz")
    again = site(*words)
    assert (again.status, f"{folder}/cabin.tar.gz exists already" in again.err) == (2, True)
    assert ending.done == [], "the containers go on running"
