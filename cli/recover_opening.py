"""What the commands of a recovery share: their options, the files they read, the cluster and nodes they open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CommandError, InputError
from cli.reporting import report

if TYPE_CHECKING:
    from components.longhorn.flow.dump import Dump
    from components.longhorn.flow.site import SiteArgs
    from components.longhorn.flow.volumes import VolumeInput
    from components.longhorn.flow.world import World

FileArgument = Annotated[Path, typer.Argument(help="YAML with `longhorn_recovery_volumes`, and `site` if not apart.")]
SiteOption = Annotated[
    Path | None, typer.Option("--site", help="YAML with `site`: settings, and how hosts are reached.")
]
KubeconfigOption = Annotated[str, typer.Option("--kubeconfig", help="File; else KUBECONFIG, else ~/.kube/config.")]
ContextOption = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
FolderOption = Annotated[list[Path], typer.Option("--folder", help="Folder with dumps; may be given several times.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Allow what changes the cluster.")]
NeededSite = Annotated[Path, typer.Option("--site", help="YAML with `site`.")]
RECOVERED, WARNINGS, REFUSED, DAMAGED = 0, 3, 4, 5
"""Exit statuses; those of the recovery library."""


def volumes_and_site(file: Path, site: Path | None) -> tuple[tuple[VolumeInput, ...], SiteArgs]:
    """Read the volumes, and the site from its own file or from theirs. Raises InputError with every mistake."""
    from components.longhorn.flow.volumes import InvalidInputError, parse  # noqa: PLC0415 - `--help` stays instant

    document = read_yaml(file)
    place = site_of(read_yaml(site), site) if site else site_of(document, file)
    try:
        return parse(document, place.settings), place
    except InvalidInputError as error:
        raise InputError(f"{file}:\n{error}") from error


def site_of(document: Any, file: Path) -> SiteArgs:  # noqa: ANN401 - any YAML
    """Read `site` of a document. Raises InputError with every mistake."""
    from components.longhorn.flow.opening import read_site  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.volumes import InvalidInputError  # noqa: PLC0415 - likewise

    if not isinstance(document, dict) or "site" not in document:
        raise InputError(f"{file}: no `site`: it says how nodes are reached and where things lie; see the runbook")
    try:
        return read_site(document["site"])
    except InvalidInputError as error:
        raise InputError(f"{file}:\n{error}") from error


def read_yaml(file: Path) -> Any:  # noqa: ANN401 - any YAML
    """Read a file. Raises InputError."""
    import yaml  # noqa: PLC0415 - `--help` stays instant

    try:
        return yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start} is no UTF-8") from error
    # The last ones are what the reader's own constructors let through.
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError) as error:
        raise InputError(f"{file}: no YAML: {' '.join(str(error).split())}") from error


def kubeconfig_path(given: str) -> str:
    """Choose the file: what was given, what the environment names, or the usual one."""
    return given or os.environ.get("KUBECONFIG", "") or "~/.kube/config"


@contextmanager
def opened(site: SiteArgs, kubeconfig: str, context: str | None) -> Iterator[World]:
    """Open cluster and nodes; journals and evidence lie in the state directory. Its errors are messages."""
    from components.longhorn.flow.opening import open_world  # noqa: PLC0415 - `--help` stays instant
    from toolchain import state_dir  # noqa: PLC0415 - likewise

    folder = state_dir() / "recovery"
    with clean(), open_world(site, kubeconfig_path(kubeconfig), folder, context=context) as world:
        yield world


def collected(world: World) -> Dump:
    """Read all objects, and what lies on the nodes' disks. Raises ClusterError."""
    from components.longhorn.flow.dump import collect  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.inventory import take_inventory  # noqa: PLC0415 - likewise

    inventory = take_inventory(list(world.nodes.values()), world.settings.data_path)
    silent = sorted(set(world.nodes) - inventory.nodes)
    if silent:
        report(f"{', '.join(silent)} do not answer: their directories are not in the dump")
    return collect(world.cluster, world.clock.now(), inventory=inventory)


@contextmanager
def clean() -> Iterator[None]:
    """Turn what the flow raises into messages with an exit status."""
    from components.longhorn.flow.agent import AgentError  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.dump import DumpError  # noqa: PLC0415 - likewise
    from components.longhorn.flow.escalate import EscalationError  # noqa: PLC0415 - likewise
    from components.longhorn.flow.interfaces import ClusterError, NodeError  # noqa: PLC0415 - likewise
    from components.longhorn.flow.recover import PreflightError  # noqa: PLC0415 - likewise
    from components.longhorn.flow.steps import StopError  # noqa: PLC0415 - likewise

    try:
        yield
    except PreflightError as error:
        report(f"nothing was touched:\n{error}")
        raise typer.Exit(REFUSED) from error
    except (ClusterError, NodeError, AgentError, DumpError, EscalationError, StopError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename or 'this machine'}: {error.strerror or error}") from error
