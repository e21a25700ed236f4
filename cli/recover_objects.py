"""`./factory recover dump`, `restore` and `volumes`: the objects that describe the volumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cli import recover_opening as opening
from cli.errors import CommandError
from cli.options import JsonOption
from cli.reporting import report

__all__ = ["dump", "restore", "volumes"]


def dump(
    *,
    folder: opening.FolderOption,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Good dumps that stay in each folder.")] = 14,
    verify: Annotated[bool, typer.Option("--verify", help="Only check what is there.")] = False,
    site: Annotated[
        Path | None, typer.Option("--site", help="YAML with `site`: also note what lies on the nodes' disks.")
    ] = None,
    kubeconfig: opening.KubeconfigOption = "",
    context: opening.ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Dump PersistentVolumes, claims and Longhorn's objects, verified, into folders that are not on Longhorn."""
    import time  # noqa: PLC0415 - `--help` stays instant

    from components.longhorn.flow.dump import collect  # noqa: PLC0415 - likewise
    from components.longhorn.flow.dump_store import DumpFolder, as_dict, select  # noqa: PLC0415 - likewise
    from components.longhorn.flow.opening import open_cluster  # noqa: PLC0415 - likewise

    now = time.time()
    with opening.clean():
        if verify:
            found = select(folder, now)
            typer.echo(
                json.dumps({"file": str(found.path), **as_dict(found.check), "rejected": found.rejected}, indent=2)
            )
            return
        if site is None:
            objects = collect(open_cluster(opening.kubeconfig_path(kubeconfig), context), now)
        else:
            with opening.opened(opening.site_of(opening.read_yaml(site), site), kubeconfig, context) as world:
                objects = opening.collected(world)
        files = [str(DumpFolder(path, keep).write(objects, now)) for path in folder]
        typer.echo(json.dumps({"files": files, "counts": objects.counts}, indent=2) if as_json else "\n".join(files))


def restore(
    *,
    site: opening.NeededSite,
    folder: opening.FolderOption,
    claim: Annotated[list[str] | None, typer.Option("--claim", help="NAMESPACE/NAME; all without.")] = None,
    date: Annotated[str, typer.Option("--date", help="A dump of this day, YYYYMMDD.")] = "",
    before: Annotated[str, typer.Option("--before", help="A dump from before this time, RFC 3339.")] = "",
    yes: opening.YesOption = False,
    kubeconfig: opening.KubeconfigOption = "",
    context: opening.ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring objects back from the newest good dump; without --yes only say what would be made."""
    from components.longhorn.flow.dump_store import select  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.opening import open_cluster  # noqa: PLC0415 - likewise
    from components.longhorn.flow.restore import restore as bring_back  # noqa: PLC0415 - likewise
    from components.longhorn.flow.system_clock import SystemClock  # noqa: PLC0415 - likewise

    place, clock = opening.site_of(opening.read_yaml(site), site), SystemClock()
    with opening.clean():
        try:
            chosen = select(folder, clock.now(), date=date, before=before)
            cluster = open_cluster(opening.kubeconfig_path(kubeconfig), context)
            found = bring_back(cluster, chosen.dump, place.settings, clock, claims=claim or (), dry_run=not yes)
        except ValueError as error:  # a time that is none
            raise CommandError(str(error)) from error
    report(f"from {chosen.path}")
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        for name, outcome, why in found.objects:
            typer.echo(f"{outcome.value:10} {name}  {why}".rstrip())
        for name, state in found.data.items():
            typer.echo(f"{name}: {state.value}")
        for name in found.held:
            typer.echo(f"keep at 0 until its data is recovered: {name}")
    if yes and not found.complete:
        raise typer.Exit(opening.REFUSED if not found.data else opening.DAMAGED)


def volumes(
    *,
    folder: opening.FolderOption,
    claim: Annotated[
        list[str] | None, typer.Option("--claim", help="NAMESPACE/NAME; all of Longhorn's without.")
    ] = None,
    before: Annotated[str, typer.Option("--before", help="A dump from before this time, RFC 3339.")] = "",
) -> None:
    """Print the `longhorn_recovery_volumes` of a dump, to be kept in a file, looked at and completed."""
    import time  # noqa: PLC0415 - `--help` stays instant

    import yaml  # noqa: PLC0415 - likewise

    from components.longhorn.flow.dump_store import select  # noqa: PLC0415 - likewise
    from components.longhorn.flow.from_dump import described_volumes  # noqa: PLC0415 - likewise

    with opening.clean():
        try:
            chosen = select(folder, time.time(), before=before)
            found, notes = described_volumes(chosen.dump, claim or ())
        except ValueError as error:  # a time that is none
            raise CommandError(str(error)) from error
    report(f"from {chosen.path}")
    for note in notes:
        report(note)
    entries = [item.model_dump(mode="json", exclude_defaults=True) for item in found]
    typer.echo(yaml.safe_dump({"longhorn_recovery_volumes": entries}, sort_keys=False), nl=False)
