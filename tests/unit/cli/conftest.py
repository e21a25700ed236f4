"""The command line in this process, on a folder of stack files and a state directory of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

import cli.configuration
import cli.forks
import cli.guards
import cli.stack
from cli.commands import main


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class CommandLine:
    """`./factory` for a checkout in `root`."""

    root: Path
    state: Path
    run: Callable[..., Outcome]

    def __call__(self, *arguments: str) -> Outcome:
        return self.run(*arguments)

    def files(self) -> dict[str, bytes]:
        """Everything below the checkout and the state directory, with its content."""
        both = [*self.root.rglob("*"), *self.state.rglob("*")]
        return {str(file): file.read_bytes() for file in both if file.is_file()}


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line; starting any process fails the test, but for the fork server, which only imports."""
    root, state = tmp_path / "checkout", tmp_path / "state"
    root.mkdir()
    (root / "Pulumi.yaml").write_text("name: factory\nruntime: python\n")
    for module in (cli.stack, cli.configuration, cli.guards):
        monkeypatch.setattr(module, "ROOT", root)
    for name in ("PULUMI_STACK", "PULUMI_BACKEND_URL", "PULUMI_HOME", "PULUMI_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACTORY_STATE", str(state))
    monkeypatch.setattr(subprocess.Popen, "__init__", _no_process)
    monkeypatch.setattr(cli.forks, "fork_server", lambda _: nullcontext(SimpleNamespace(serve=lambda *_: {})))

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr("sys.argv", ["factory", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return CommandLine(root, state, run)


def _no_process(*arguments: object, **_: object) -> NoReturn:
    pytest.fail(f"a process was started: {arguments[1]}")
