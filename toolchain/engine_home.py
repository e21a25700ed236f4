"""The engine's home: the command, our language host and, for the sandbox, the local provider plugins."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import toolchain
from toolchain.catalogue import plugin_version
from toolchain.fork_server import CLIENT, VARIABLE
from toolchain.lookup import build_only
from toolchain.paths import ROOT, state_dir

LOCAL_PLUGINS = ("command", "kubernetes", "postgresql")
VAULT_PLUGIN = "pulumi-resource-vault"
DYNAMIC_PROVIDERS = "pulumi-resource-pulumi-python"
"""The script that comes with the engine and serves dynamic resources; it finds the project's interpreter by itself."""
_NO_LOG = """\
In the place of a directory of logs, so that the engine writes none: it would copy each property of each resource,
secrets too, encrypted with a passphrase that is public for a sandbox. `pulumi -v=9 --logtostderr` still tells all.
"""


class PluginSet(StrEnum):
    """Which provider plugins serve a stack. States made by the two are not interchangeable."""

    OFFICIAL = "official"
    LOCAL = "local"


@dataclass(frozen=True)
class EngineHome:
    """An engine that is ready to run.

    `environment` is complete: a plain `pulumi` started with it behaves as it does under the launcher, apart from the
    stack's own backend and passphrase, which the caller adds.
    """

    pulumi: Path
    plugins: PluginSet
    environment: dict[str, str]


def tools(*, sandbox: bool) -> list[str]:
    """Return the tools that the engine of a stack consists of, so that they can be had together with others."""
    engine = toolchain.locate("pulumi")
    built = build_only() if engine is None else not engine.official
    return ["pulumi", VAULT_PLUGIN] if sandbox and built else ["pulumi"]


def prepare(*, sandbox: bool, report: Callable[[str], None]) -> EngineHome:
    """Resolve or build the engine, and the local plugins where a sandbox needs them.

    The official command brings its own plugins. Where it cannot be had, a sandbox gets the local ones in a home of its
    own below the state directory, and a production stack gets none: the engine then names the plugin that it misses.

    Raises ToolError.
    """
    engine = toolchain.ensure(["pulumi"], report)["pulumi"]
    if not own_host():
        return EngineHome(engine, PluginSet.OFFICIAL, {"PATH": _path_with([engine.parent])})
    home = state_dir() / "pulumi-home"
    # The engine looks for language hosts beside its own binary, and warns of one that it finds elsewhere.
    _write_script(home / "bin" / "pulumi-language-python", "toolchain.language_host")
    for program in engine.parent.iterdir():
        if program.name == DYNAMIC_PROVIDERS:
            _write_script(home / "bin" / program.name, "pulumi.dynamic", alone=shlex.quote(str(program)))
        else:
            _place(program, home / "bin")
    pulumi = home / "bin" / engine.name
    environment = {
        "PATH": _path_with([pulumi.parent]),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
    }
    if not sandbox:
        return EngineHome(pulumi, PluginSet.OFFICIAL, environment)
    vault = toolchain.ensure([VAULT_PLUGIN], report)[VAULT_PLUGIN]
    for name in LOCAL_PLUGINS:
        _write_script(_plugin_folder(home, name) / f"pulumi-resource-{name}", f"toolchain.plugins.{name}")
    _link(_plugin_folder(home, "vault") / VAULT_PLUGIN, vault)
    _keep_no_log(home / "logs")
    environment |= {"PULUMI_HOME": str(home), "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}
    return EngineHome(pulumi, PluginSet.LOCAL, environment)


def own_host() -> bool:
    """Whether the engine's language host is this repository's, as far as is known before there is an engine."""
    engine = toolchain.locate("pulumi")
    return engine is None or not engine.official


def _path_with(folders: Iterable[Path]) -> str:
    return os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])


def _plugin_folder(home: Path, name: str) -> Path:
    return home / "plugins" / f"resource-{name}-v{plugin_version(name)}"


def _place(program: Path, folder: Path) -> None:
    """Give the program a name in this folder that does not resolve to another: a hard link, or a copy."""
    placed = folder / program.name
    if placed.exists() and (placed.samefile(program) or placed.stat().st_mtime_ns == program.stat().st_mtime_ns):
        return
    fresh = folder / f".{program.name}.{os.getpid()}"
    try:
        os.link(program, fresh)
    except OSError:
        shutil.copy2(program, fresh)
    fresh.replace(placed)


def _write_script(path: Path, module: str, *, alone: str | None = None) -> None:
    """Write an executable that becomes `python -m module` of this checkout; `exec`, so that signals reach it.

    In a run with a fork server it becomes a fork. `alone` is the command to become in one without.
    """
    found = f"PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}} exec"
    fork = shlex.join([sys.executable, "-I", "-S", str(CLIENT), "-m", module])
    by_itself = f"exec {alone}" if alone else f"{found} {shlex.join([sys.executable, '-m', module])}"
    text = f'#!/bin/sh\n[ -z "${{{VARIABLE}:-}}" ] || {found} {fork} "$@"\n{by_itself} "$@"\n'
    if path.is_file() and path.read_text("utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, "utf-8")
    fresh.chmod(0o755)
    fresh.replace(path)


def _keep_no_log(logs: Path) -> None:
    """Put a file where the engine would make a directory; it has no setting for this, and goes on without a word.

    What it would write takes a fifth of a preview's processor time.
    """
    if logs.is_file():
        return
    shutil.rmtree(logs, ignore_errors=True)
    logs.write_text(_NO_LOG, "utf-8")


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(target)
    fresh.replace(link)
