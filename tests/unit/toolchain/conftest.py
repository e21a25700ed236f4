from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.toolchain.doubles import FakeGo, ReleaseServer

COMMANDS = ("sh", "cat", "mkdir", "dirname", "sleep", "rm", "touch", "cp", "chmod")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and state, and a PATH that holds none of the tools."""
    for variable in ("FACTORY_TOOLS", "FACTORY_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("FACTORY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACTORY_STATE", str(tmp_path / "state" / "checkout"))
    monkeypatch.setattr("toolchain.lookup.EXTRA_DIRECTORIES", ())
    commands = tmp_path / "commands"
    commands.mkdir()
    for command in COMMANDS:
        (commands / command).symlink_to(
            next(p for p in (Path("/bin", command), Path("/usr/bin", command)) if p.exists())
        )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{commands}")
    (tmp_path / "bin").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def on_path(cache: Path) -> Path:
    """The folder on PATH into which a test puts programs."""
    return cache.parent / "bin"


@pytest.fixture
def go(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    """A ``go`` on PATH that "builds" scripts which print a version, and writes down each call."""
    return FakeGo(on_path, monkeypatch)


@pytest.fixture
def releases(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:  # noqa: ARG001 (order)
    """A mirror of the vendors' release sites on a free loopback port, empty at first."""
    with ReleaseServer() as server:
        monkeypatch.setenv("FACTORY_MIRROR", server.url)
        yield server


@pytest.fixture
def said() -> list[str]:
    """What was reported, when ``said.append`` is the report."""
    return []
