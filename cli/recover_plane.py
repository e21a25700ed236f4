"""`./factory recover diagnose`, `climb` and `teardown`: Longhorn's control plane."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import recover_opening as opening
from cli.errors import InputError
from cli.options import JsonOption

if TYPE_CHECKING:
    from components.longhorn.flow.journal import Evidence
    from components.longhorn.flow.world import World

__all__ = ["climb", "diagnose", "teardown"]


def diagnose(
    *,
    site: opening.NeededSite,
    kubeconfig: opening.KubeconfigOption = "",
    context: opening.ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with Longhorn's control plane and what to try first. Reads only."""
    from components.longhorn.flow import diagnosis  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.escalate import reinstall_steps  # noqa: PLC0415 - likewise

    place = opening.site_of(opening.read_yaml(site), site)
    with opening.opened(place, kubeconfig, context) as world:
        found = diagnosis.diagnose(diagnosis.capture(world.cluster, list(world.nodes.values()), place.settings))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        reasons = (*(["nothing to do"] if found.healthy else []), *found.reasons)
        typer.echo(f"{found.state.value}: {'; '.join(reasons)}")
        for level in found.ladder:
            typer.echo(f"  {level.name} {level.value}")
        if found.needs_confirmation:
            for number, step in enumerate(reinstall_steps(place.settings), 1):
                typer.echo(f"    {number}. {step}")
    raise typer.Exit(opening.RECOVERED if found.healthy and not found.reasons else opening.WARNINGS)


def climb(
    *,
    site: opening.NeededSite,
    folder: opening.FolderOption,
    limit: Annotated[str, typer.Option("--limit", help="The highest level: L1 to L5.")] = "L5",
    yes: opening.YesOption = False,
    kubeconfig: opening.KubeconfigOption = "",
    context: opening.ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore Longhorn's control plane level by level: dump, act, look again; stop as soon as it is healthy."""
    from components.longhorn.flow.diagnosis import Level  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.escalate import escalate  # noqa: PLC0415 - likewise

    if limit not in {"L1", "L2", "L3", "L4", "L5"}:
        raise InputError(f"--limit {limit}: give L1 to L5; a reinstall is never automatic, `diagnose` lists its steps")
    if not yes:
        raise InputError("climb restarts services and pods: look with `diagnose` first, then give --yes")
    place = opening.site_of(opening.read_yaml(site), site)
    with opening.opened(place, kubeconfig, context) as world:
        found = escalate(
            world.cluster,
            list(world.nodes.values()),
            world.clock,
            place.settings,
            _evidence(world),
            limit=Level[limit],
            dump=_saving(world, folder),
        )
    climbed = ", ".join(level.name for level in found.climbed) or "nothing"
    after = found.after.state.value
    text = f"climbed {climbed}; now {after}" + (f"; next would be {found.next_level.name}" if found.next_level else "")
    typer.echo(json.dumps(found.as_dict(), indent=2) if as_json else "\n".join([*found.warnings, text]))
    raise typer.Exit(opening.RECOVERED if found.after.healthy else opening.WARNINGS)


def teardown(
    *,
    site: opening.NeededSite,
    folder: opening.FolderOption,
    context: Annotated[str, typer.Option("--context", help="Context of the kubeconfig.")],
    cluster: Annotated[str, typer.Option("--cluster", help="The context's name once more, typed in full.")] = "",
    yes: opening.YesOption = False,
    kubeconfig: opening.KubeconfigOption = "",
) -> None:
    """Remove a Longhorn that cannot be healed, managers first, and keep the replica directories."""
    from components.longhorn.flow.journal import Journal  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.teardown import teardown as remove  # noqa: PLC0415 - likewise

    if not yes or cluster != context:
        raise InputError(f"this removes Longhorn from {context}: give --yes --cluster {context} after `diagnose`")
    place = opening.site_of(opening.read_yaml(site), site)
    with opening.opened(place, kubeconfig, context) as world:
        remove(
            world.cluster,
            list(world.nodes.values()),
            world.clock,
            place.settings,
            _evidence(world),
            confirmed=True,
            dump=_saving(world, folder),
            journal=Journal(world.state / "journal" / "control-plane.json"),
        )
    typer.echo("Longhorn is removed, its directories are as they were; install the chart with the same data path")


def _evidence(world: World) -> Evidence:
    from components.longhorn.flow.journal import Evidence  # noqa: PLC0415 - `--help` stays instant

    return Evidence(world.state / "evidence", f"control-plane-{int(world.clock.now())}", world.clock)


def _saving(world: World, folders: Sequence[Path]) -> Callable[[], str]:
    """Make the function that dumps all objects into each folder."""
    from components.longhorn.flow.dump_store import DumpFolder  # noqa: PLC0415 - `--help` stays instant

    def save() -> str:
        objects = opening.collected(world)
        return ", ".join(str(DumpFolder(path).write(objects, world.clock.now())) for path in folders)

    return save
