"""A small project whose roles live below a directory of this machine, reached through a real OpenSSH server."""

from __future__ import annotations

import getpass
import itertools
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_sudo import FakeSudo
from tests.support.plugin_program import Program
from tests.support.ssh_server import SshServer, ssh_server, sshd
from toolchain.paths import ROOT

_NOTES = frozenset({"run", "var", "var/lib"})
CANARY = "k4nary-of-a-host, which is long enough"
PROGRAM = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
import pulumi
from components.host import Credentials, FactoryProvider, HostState, HostStateArgs, RemoteHost

given = json.loads(os.environ["VALUES"])
provider = FactoryProvider("hosts")
secret = {{path: pulumi.Output.secret(text) for path, text in given["contents"].items()}}
for role, desired in given["roles"].items():
    args = HostStateArgs.model_validate(desired)
    made = HostState(
        role, RemoteHost.model_validate(given["host"]), role, args,
        credentials=Credentials(**given["credentials"]),
        contents={{path: text for path, text in secret.items() if path in args.files}},
        opts=pulumi.ResourceOptions(provider=provider),
    )
    pulumi.export(role, made.summary)
"""


class HostProgram(Program):
    """The program, refreshed as `./factory` does: with the providers of the same run."""

    def run(self, *arguments: str, check: bool = True, values: Mapping[str, Any] | None = None) -> str:
        """Run `pulumi ARGUMENTS`."""
        with_program = ("--run-program",) if "--refresh" in arguments and arguments[0] in {"up", "preview"} else ()
        return super().run(*arguments, *with_program, check=check, values=values)


@dataclass
class Machine:
    """A project with a file backend of its own, and the directory that is its machine's root."""

    program: Program
    root: Path
    host: dict[str, Any]
    private_key: str
    server_log: Path

    def values(self, *, contents: dict[str, str] | None = None, **roles: dict[str, Any]) -> dict[str, Any]:
        credentials = {"private_key": self.private_key}
        return {"host": self.host, "credentials": credentials, "contents": contents or {}, "roles": roles}

    def path(self, name: str) -> Path:
        """Where a path of the machine is on this one."""
        return self.root / name.lstrip("/")

    def failing(self, *arguments: str, values: dict[str, Any]) -> str:
        """Run `pulumi` where it must fail with a clean message; returns what it printed."""
        printed = self.program.run(*arguments, check=False, values=values)
        assert "error" in printed
        assert "Traceback" not in printed
        return printed

    def snapshot(self) -> dict[str, tuple[int, int, bytes]]:
        """Inode, time of change and content of every file below the root, but for where runs keep their notes."""
        return {
            name: (file.lstat().st_ino, file.lstat().st_mtime_ns, _content(file))
            for file in sorted(self.root.rglob("*"))
            if (name := str(file.relative_to(self.root))) not in _NOTES
        }

    def edit_state(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change the resource's entry in the state by hand."""
        stored = json.loads(self.program.state())
        for each in stored["deployment"]["resources"]:
            if each["type"] == "factory-host:index:HostState":
                edit(each)
        (self.program.folder / "edited.json").write_text(json.dumps(stored))
        self.program.run("stack", "import", "--file", "edited.json")

    def starts(self, *arguments: str, values: dict[str, Any]) -> subprocess.Popen[str]:
        """Start `pulumi` in a process group of its own."""
        home = self.program.home.environment
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")} | home
        environment |= {
            "PULUMI_BACKEND_URL": (self.program.folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "not-a-secret",
            "PULUMI_STACK": "dev",
            "VALUES": json.dumps(values),
        }
        return subprocess.Popen(
            [str(self.program.home.pulumi), *arguments, "--non-interactive"],
            cwd=self.program.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SshServer, Path]]:
    """The OpenSSH server and the folder with its log."""
    if sshd() is None:
        pytest.skip("needs an OpenSSH server on this machine")
    folder = tmp_path_factory.mktemp("ssh")
    (folder / "bin").mkdir()
    with ssh_server(folder, LogLevel="VERBOSE", SetEnv=f"PATH={folder}/bin:{os.environ['PATH']}") as running:
        yield running, folder


@pytest.fixture(scope="module")
def sudo(server: tuple[SshServer, Path]) -> FakeSudo:
    """The machines' `sudo`, which takes the canary as its password."""
    return FakeSudo.write(server[1] / "bin", CANARY)


@pytest.fixture(scope="module")
def machines(server: tuple[SshServer, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Machine]:
    """Make machines, each with a project, a state and a root of its own."""
    ssh, log = server
    count = itertools.count()

    def make() -> Machine:
        folder = tmp_path_factory.mktemp(f"machine{next(count)}")
        root = folder / "root"
        for notes in _NOTES:
            (root / notes).mkdir(parents=True, exist_ok=True)
        program = HostProgram.write(folder / "project", PROGRAM, plugins=["factory-host"])
        host = {
            "address": "127.0.0.1",
            "port": ssh.port,
            "user": getpass.getuser(),
            "host_key": ssh.host_key,
            "ssh_config": None,
            # A busy machine is no reason to give up.
            "connect_timeout": 60,
            "root": str(root),
        }
        return Machine(program, root, host, ssh.private_key, log / "log")

    return make


@pytest.fixture
def machine(machines: Callable[[], Machine]) -> Machine:
    """A fresh machine."""
    return machines()


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() and not file.is_symlink() else b""
