"""`./factory recover plan` and `run`: volumes back into a working Longhorn."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import recover_opening as opening
from cli.errors import InputError
from cli.options import JsonOption
from cli.reporting import report

if TYPE_CHECKING:
    from components.longhorn.flow.site import SiteArgs
    from components.longhorn.flow.volumes import VolumeInput
    from components.longhorn.flow.world import Dumped

__all__ = ["plan", "run"]


def plan(
    file: opening.FileArgument,
    *,
    site: opening.SiteOption = None,
    kubeconfig: opening.KubeconfigOption = "",
    context: opening.ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which directories would be used, why, and what would be done. Reads only."""
    from components.longhorn.flow.describe import described_plan, steps_of  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.recover import Recovery  # noqa: PLC0415 - likewise
    from components.longhorn.flow.world import Consent  # noqa: PLC0415 - likewise

    volumes, place = opening.volumes_and_site(file, site)
    with opening.opened(place, kubeconfig, context) as world:
        rankings = Recovery(world, volumes, Consent()).discover()
        steps = [steps_of(world, volume) for volume in volumes]
    if as_json:
        items = [
            {"pv_name": volume.pv_name, "candidates": [item.as_dict() for item in ranking.candidates],
             "warnings": list(ranking.warnings), "steps": list(found)}
            for volume, ranking, found in zip(volumes, rankings, steps, strict=True)
        ]  # fmt: skip
        typer.echo(json.dumps({"volumes": items}, indent=2))
        return
    for volume, ranking, found in zip(volumes, rankings, steps, strict=True):
        typer.echo(described_plan(volume, ranking, found))


def run(
    file: opening.FileArgument,
    *,
    volume: Annotated[
        list[str] | None, typer.Option("--volume", help="Name of a volume to recover, typed in full; may be repeated.")
    ] = None,
    yes: opening.YesOption = False,
    site: opening.SiteOption = None,
    dumps: Annotated[
        list[Path] | None,
        typer.Option(
            "--dumps", help="Folder with dumps: labels and attributes come from them, entries are compared with them."
        ),
    ] = None,
    kubeconfig: opening.KubeconfigOption = "",
    context: opening.ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recover volumes into a working Longhorn. Interrupted anywhere, the same command goes on."""
    from components.longhorn.flow.recover import Recovery  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.report import Outcome  # noqa: PLC0415 - likewise
    from components.longhorn.flow.world import Consent  # noqa: PLC0415 - likewise

    volumes, place = opening.volumes_and_site(file, site)
    wanted = _named(volumes, volume or [], yes=yes)
    with opening.opened(place, kubeconfig, context) as world:
        consent = Consent(yes=True, named=frozenset(item.pv_name for item in wanted))
        beside = [item for item in volumes if item not in wanted]
        work = Recovery(world, wanted, consent, beside=beside, dumped=_dumped(dumps or [], place), told=_told)
        found = work.run()
    typer.echo(json.dumps(found.as_dict(), indent=2) if as_json else found.text())
    statuses = {
        Outcome.RECOVERED: opening.RECOVERED,
        Outcome.WARNINGS: opening.WARNINGS,
        Outcome.UNVERIFIED: opening.WARNINGS,
    }
    raise typer.Exit(statuses.get(found.outcome, opening.DAMAGED))


def _told(name: str, phase: str) -> None:
    report(f"{name}: {phase}")


def _dumped(folders: Sequence[Path], site: SiteArgs) -> Callable[[VolumeInput], Dumped]:
    """Look volumes up in the newest good dump from before the incident (LHR-147, LHR-148)."""
    import time  # noqa: PLC0415 - `--help` stays instant

    from components.longhorn.flow.dump_store import select  # noqa: PLC0415 - likewise

    if not folders:
        return lambda _volume: (None, None)
    with opening.clean():
        chosen = select(folders, time.time(), before=site.settings.incident_time).dump
    return lambda volume: (
        chosen.find("PersistentVolume", volume.pv_name),
        chosen.find("PersistentVolumeClaim", volume.pvc_name, volume.namespace),
    )


def _named(volumes: Sequence[VolumeInput], given: Sequence[str], *, yes: bool) -> list[VolumeInput]:
    """Choose what a person named, by option or at the terminal; everything else is refused."""
    known = {volume.pv_name: volume for volume in volumes}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InputError(f"--volume {', '.join(unknown)}: not in the file, which has {', '.join(known)}")
    if yes and given:
        return [volume for volume in volumes if volume.pv_name in set(given)]
    if yes or not sys.stdin.isatty():
        raise InputError("name each volume that may be changed: --yes --volume NAME (see `recover plan`)")
    chosen = []
    for volume in volumes:
        place = f"{volume.namespace}/{volume.pvc_name}"
        typed = input(f"Recover {place}? Its workload stops. Type {volume.pv_name} to go on, or press Enter: ")
        if typed.strip() == volume.pv_name:
            chosen.append(volume)
    if not chosen:
        raise InputError("no volume was named: nothing was done")
    return chosen
