"""The engine's home is made once, for the right kind of stack, and of files that can be run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import toolchain
from toolchain import engine_home
from toolchain.catalogue import plugin_version
from toolchain.engine_home import LOCAL_PLUGINS, PluginSet, prepare


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A built engine and a Vault plugin that only exist."""
    folder = tmp_path / "cache" / "pulumi"
    folder.mkdir(parents=True)
    for name in ("pulumi", "pulumi-language-python-exec", "pulumi-resource-pulumi-python"):
        (folder / name).write_text("#!/bin/sh\nexit 0\n")
        (folder / name).chmod(0o755)
    vault = tmp_path / "cache" / "pulumi-resource-vault"
    vault.write_text("#!/bin/sh\nexit 0\n")
    made = {"pulumi": folder / "pulumi", "pulumi-resource-vault": vault}
    monkeypatch.setenv("FACTORY_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(toolchain, "ensure", lambda names, _report: {name: made[name] for name in names})
    _engine_is(monkeypatch, toolchain.Origin.BUILT, made["pulumi"])
    return made


def _engine_is(monkeypatch: pytest.MonkeyPatch, origin: toolchain.Origin, path: Path) -> None:
    monkeypatch.setattr(toolchain, "locate", lambda name: toolchain.Tool(name, "3.259.0", origin, path))


@pytest.mark.usefixtures("tools")
def test_a_sandbox_on_a_built_engine_gets_the_local_plugins(tmp_path: Path) -> None:
    home = prepare(sandbox=True, report=print)
    assert home.plugins is PluginSet.LOCAL
    plugins = tmp_path / "state" / "pulumi-home" / "plugins"
    assert home.environment["PULUMI_HOME"] == str(plugins.parent)
    for name in LOCAL_PLUGINS:
        program = plugins / f"resource-{name}-v{plugin_version(name)}" / f"pulumi-resource-{name}"
        assert os.access(program, os.X_OK), program
    assert (plugins / f"resource-vault-v{plugin_version('vault')}" / "pulumi-resource-vault").is_symlink()


def test_the_engine_finds_its_helpers_beside_itself(tools: dict[str, Path]) -> None:
    home = prepare(sandbox=True, report=print)
    beside = {entry.name for entry in home.pulumi.parent.iterdir()}
    assert {"pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python"} <= beside
    assert not home.pulumi.is_symlink(), "the engine would look beside what the link leads to"
    assert home.environment["PATH"].split(os.pathsep)[0] == str(home.pulumi.parent)
    assert home.pulumi.samefile(tools["pulumi"])


@pytest.mark.usefixtures("tools")
def test_a_sandboxs_engine_keeps_no_log(tmp_path: Path) -> None:
    logs = tmp_path / "state" / "pulumi-home" / "logs"
    logs.mkdir(parents=True)
    (logs / "of-an-earlier-release.log").write_text("secrets")
    prepare(sandbox=True, report=print)
    assert "so that the engine writes none" in logs.read_text()


@pytest.mark.usefixtures("tools")
def test_production_never_gets_the_local_plugins() -> None:
    home = prepare(sandbox=False, report=print)
    assert home.plugins is PluginSet.OFFICIAL
    assert "PULUMI_HOME" not in home.environment


def test_the_official_engine_keeps_its_own_home_and_plugins(
    tools: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _engine_is(monkeypatch, toolchain.Origin.PATH, tools["pulumi"])
    home = prepare(sandbox=True, report=print)
    assert home.plugins is PluginSet.OFFICIAL
    assert home.pulumi == tools["pulumi"]
    assert set(home.environment) == {"PATH"}


def test_a_second_time_changes_nothing(tools: dict[str, Path], tmp_path: Path) -> None:
    prepare(sandbox=True, report=print)

    def times() -> dict[Path, int]:
        return {path: path.lstat().st_ctime_ns for path in (tmp_path / "state" / "pulumi-home").rglob("*")}

    before = times()
    prepare(sandbox=True, report=print)
    assert times() == before
    assert tools


def test_another_engine_takes_the_place_of_the_one_before(tools: dict[str, Path]) -> None:
    prepare(sandbox=True, report=print)
    newer = tools["pulumi"].with_name("newer")
    newer.write_text("#!/bin/sh\nexit 7\n")
    newer.chmod(0o755)
    newer.replace(tools["pulumi"])
    assert subprocess.run([prepare(sandbox=True, report=print).pulumi], check=False).returncode == 7


def test_where_no_link_can_be_made_the_engine_is_copied(
    tools: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    home = prepare(sandbox=True, report=print)
    assert home.pulumi.read_bytes() == tools["pulumi"].read_bytes()
    assert not home.pulumi.samefile(tools["pulumi"])
    assert subprocess.run([home.pulumi], check=False).returncode == 0


def test_everything_for_a_sandbox_is_asked_for_together(
    tools: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine_home.tools(sandbox=True) == ["pulumi", "pulumi-resource-vault"]
    assert engine_home.tools(sandbox=False) == ["pulumi"]
    _engine_is(monkeypatch, toolchain.Origin.VENDOR, tools["pulumi"])
    assert engine_home.tools(sandbox=True) == ["pulumi"]
