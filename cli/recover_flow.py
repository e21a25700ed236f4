"""The commands of `./factory recover` that need a cluster: plan, run, diagnose, climb, dump, restore."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CommandError, InputError
from cli.reporting import report

if TYPE_CHECKING:
    from components.longhorn.flow.journal import Evidence
    from components.longhorn.flow.site import SiteArgs
    from components.longhorn.flow.volumes import VolumeInput
    from components.longhorn.flow.world import Dumped, World

__all__ = ["register"]

FileArgument = Annotated[Path, typer.Argument(help="YAML with `longhorn_recovery_volumes`, and `site` if not apart.")]
SiteOption = Annotated[
    Path | None, typer.Option("--site", help="YAML with `site`: settings, and how hosts are reached.")
]
KubeconfigOption = Annotated[str, typer.Option("--kubeconfig", help="File; else KUBECONFIG, else ~/.kube/config.")]
ContextOption = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FolderOption = Annotated[list[Path], typer.Option("--folder", help="Folder with dumps; may be given several times.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Allow what changes the cluster.")]
_RECOVERED, _WARNINGS, _REFUSED, _DAMAGED = 0, 3, 4, 5


def register(app: typer.Typer) -> None:
    """Add the commands to `recover`."""
    for name, command in (
        ("plan", plan),
        ("run", run),
        ("diagnose", diagnose),
        ("climb", climb),
        ("teardown", teardown),
        ("dump", dump),
        ("restore", restore),
    ):
        app.command(name)(command)


def plan(
    file: FileArgument,
    *,
    site: SiteOption = None,
    kubeconfig: KubeconfigOption = "",
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which directories would be used, why, and what would be done. Reads only."""
    from components.longhorn.flow.describe import described_plan, steps_of  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.recover import Recovery  # noqa: PLC0415 - likewise
    from components.longhorn.flow.world import Consent  # noqa: PLC0415 - likewise

    volumes, place = _input(file, site)
    with _opened(place, kubeconfig, context) as world:
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
    file: FileArgument,
    *,
    volume: Annotated[
        list[str] | None, typer.Option("--volume", help="Name of a volume to recover, typed in full; may be repeated.")
    ] = None,
    yes: YesOption = False,
    site: SiteOption = None,
    dumps: Annotated[
        list[Path] | None, typer.Option("--dumps", help="Folder with dumps: labels and attributes come from them.")
    ] = None,
    kubeconfig: KubeconfigOption = "",
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recover volumes into a working Longhorn. Interrupted anywhere, the same command goes on."""
    from components.longhorn.flow.recover import Recovery  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.report import Outcome  # noqa: PLC0415 - likewise
    from components.longhorn.flow.world import Consent  # noqa: PLC0415 - likewise

    volumes, place = _input(file, site)
    wanted = _named(volumes, volume or [], yes=yes)
    with _opened(place, kubeconfig, context) as world:
        consent = Consent(yes=True, named=frozenset(item.pv_name for item in wanted))
        work = Recovery(world, wanted, consent, dumped=_dumped(dumps or [], place), told=_told)
        found = work.run()
    typer.echo(json.dumps(found.as_dict(), indent=2) if as_json else found.text())
    statuses = {Outcome.RECOVERED: _RECOVERED, Outcome.WARNINGS: _WARNINGS, Outcome.UNVERIFIED: _WARNINGS}
    raise typer.Exit(statuses.get(found.outcome, _DAMAGED))


def diagnose(
    *,
    site: Annotated[Path, typer.Option("--site", help="YAML with `site`.")],
    kubeconfig: KubeconfigOption = "",
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with Longhorn's control plane and what to try first. Reads only."""
    from components.longhorn.flow import diagnosis  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.escalate import reinstall_steps  # noqa: PLC0415 - likewise

    place = _site(_read(site), site)
    with _opened(place, kubeconfig, context) as world:
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
    raise typer.Exit(_RECOVERED if found.healthy and not found.reasons else _WARNINGS)


def climb(
    *,
    site: Annotated[Path, typer.Option("--site", help="YAML with `site`.")],
    folder: FolderOption,
    limit: Annotated[str, typer.Option("--limit", help="The highest level: L1 to L5.")] = "L5",
    yes: YesOption = False,
    kubeconfig: KubeconfigOption = "",
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore Longhorn's control plane level by level: dump, act, look again; stop as soon as it is healthy."""
    from components.longhorn.flow.diagnosis import Level  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.escalate import escalate  # noqa: PLC0415 - likewise

    if limit not in {"L1", "L2", "L3", "L4", "L5"}:
        raise InputError(f"--limit {limit}: give L1 to L5; a reinstall is never automatic, `diagnose` lists its steps")
    if not yes:
        raise InputError("climb restarts services and pods: look with `diagnose` first, then give --yes")
    place = _site(_read(site), site)
    with _opened(place, kubeconfig, context) as world:
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
    typer.echo(json.dumps(found.as_dict(), indent=2) if as_json else text)
    raise typer.Exit(_RECOVERED if found.after.healthy else _WARNINGS)


def teardown(
    *,
    site: Annotated[Path, typer.Option("--site", help="YAML with `site`.")],
    folder: FolderOption,
    context: Annotated[str, typer.Option("--context", help="Context of the kubeconfig.")],
    cluster: Annotated[str, typer.Option("--cluster", help="The context's name once more, typed in full.")] = "",
    yes: YesOption = False,
    kubeconfig: KubeconfigOption = "",
) -> None:
    """Remove a Longhorn that cannot be healed, managers first, and keep the replica directories."""
    from components.longhorn.flow.teardown import teardown as remove  # noqa: PLC0415 - `--help` stays instant

    if not yes or cluster != context:
        raise InputError(f"this removes Longhorn from {context}: give --yes --cluster {context} after `diagnose`")
    place = _site(_read(site), site)
    with _opened(place, kubeconfig, context) as world:
        remove(
            world.cluster,
            list(world.nodes.values()),
            world.clock,
            place.settings,
            _evidence(world),
            confirmed=True,
            dump=_saving(world, folder),
        )
    typer.echo("Longhorn is removed, its directories are as they were; install the chart with the same data path")


def _evidence(world: World) -> Evidence:
    from components.longhorn.flow.journal import Evidence  # noqa: PLC0415 - `--help` stays instant

    return Evidence(world.state / "evidence", f"control-plane-{int(world.clock.now())}", world.clock)


def _saving(world: World, folders: Sequence[Path]) -> Callable[[], str]:
    """Make the function that dumps all objects into each folder."""
    from components.longhorn.flow.dump import collect  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.dump_store import DumpFolder  # noqa: PLC0415 - likewise
    from components.longhorn.flow.inventory import take_inventory  # noqa: PLC0415 - likewise

    def save() -> str:
        now = world.clock.now()
        inventory = take_inventory(list(world.nodes.values()), world.settings.data_path)
        objects = collect(world.cluster, now, inventory=inventory)
        return ", ".join(str(DumpFolder(path).write(objects, now)) for path in folders)

    return save


def dump(
    *,
    folder: FolderOption,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Good dumps that stay in each folder.")] = 14,
    verify: Annotated[bool, typer.Option("--verify", help="Only check what is there.")] = False,
    kubeconfig: KubeconfigOption = "",
    context: ContextOption = None,
) -> None:
    """Dump PersistentVolumes, claims and Longhorn's objects, verified, into folders that are not on Longhorn."""
    import time  # noqa: PLC0415 - `--help` stays instant

    from components.longhorn.flow.dump import DumpError, collect  # noqa: PLC0415 - likewise
    from components.longhorn.flow.dump_store import DumpFolder, as_dict, select  # noqa: PLC0415 - likewise
    from components.longhorn.flow.opening import open_cluster  # noqa: PLC0415 - likewise

    now = time.time()
    with _clean():
        try:
            if verify:
                found = select(folder, now)
                typer.echo(
                    json.dumps({"file": str(found.path), **as_dict(found.check), "rejected": found.rejected}, indent=2)
                )
                return
            objects = collect(open_cluster(_kubeconfig(kubeconfig), context), now)
            for path in folder:
                typer.echo(str(DumpFolder(path, keep).write(objects, now)))
        except DumpError as error:
            raise CommandError(str(error)) from error


def restore(
    *,
    site: Annotated[Path, typer.Option("--site", help="YAML with `site`.")],
    folder: FolderOption,
    claim: Annotated[list[str] | None, typer.Option("--claim", help="NAMESPACE/NAME; all without.")] = None,
    date: Annotated[str, typer.Option("--date", help="A dump of this day, YYYYMMDD.")] = "",
    before: Annotated[str, typer.Option("--before", help="A dump from before this time, RFC 3339.")] = "",
    yes: YesOption = False,
    kubeconfig: KubeconfigOption = "",
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring objects back from the newest good dump; without --yes only say what would be made."""
    from components.longhorn.flow.dump import DumpError  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.dump_store import select  # noqa: PLC0415 - likewise
    from components.longhorn.flow.interfaces import SystemClock  # noqa: PLC0415 - likewise
    from components.longhorn.flow.opening import open_cluster  # noqa: PLC0415 - likewise
    from components.longhorn.flow.restore import restore as bring_back  # noqa: PLC0415 - likewise

    place, clock = _site(_read(site), site), SystemClock()
    with _clean():
        try:
            chosen = select(folder, clock.now(), date=date, before=before)
            cluster = open_cluster(_kubeconfig(kubeconfig), context)
            found = bring_back(cluster, chosen.dump, place.settings, clock, claims=claim or (), dry_run=not yes)
        except (DumpError, ValueError) as error:
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
        raise typer.Exit(_REFUSED if not found.data else _DAMAGED)


def _told(name: str, phase: str) -> None:
    report(f"{name}: {phase}")


def _dumped(folders: Sequence[Path], site: SiteArgs) -> Callable[[VolumeInput], Dumped]:
    """Look volumes up in the newest good dump from before the incident (LHR-147, LHR-148)."""
    import time  # noqa: PLC0415 - `--help` stays instant

    from components.longhorn.flow.dump import DumpError  # noqa: PLC0415 - likewise
    from components.longhorn.flow.dump_store import select  # noqa: PLC0415 - likewise

    if not folders:
        return lambda _volume: (None, None)
    try:
        chosen = select(folders, time.time(), before=site.settings.incident_time).dump
    except DumpError as error:
        raise CommandError(str(error)) from error
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


def _input(file: Path, site: Path | None) -> tuple[tuple[VolumeInput, ...], SiteArgs]:
    from components.longhorn.flow.volumes import InvalidInputError, parse  # noqa: PLC0415 - `--help` stays instant

    document = _read(file)
    place = _site(_read(site), site) if site else _site(document, file)
    try:
        return parse(document, place.settings), place
    except InvalidInputError as error:
        raise InputError(f"{file}:\n{error}") from error


def _site(document: Any, file: Path) -> SiteArgs:  # noqa: ANN401 - any YAML
    from components.longhorn.flow.opening import read_site  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.volumes import InvalidInputError  # noqa: PLC0415 - likewise

    if not isinstance(document, dict) or "site" not in document:
        raise InputError(f"{file}: no `site`: it says how nodes are reached and where things lie; see the runbook")
    try:
        return read_site(document["site"])
    except InvalidInputError as error:
        raise InputError(f"{file}:\n{error}") from error


def _read(file: Path) -> Any:  # noqa: ANN401 - any YAML
    import yaml  # noqa: PLC0415 - `--help` stays instant

    try:
        return yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: no YAML: {' '.join(str(error).split())}") from error


def _kubeconfig(given: str) -> str:
    return given or os.environ.get("KUBECONFIG", "") or "~/.kube/config"


@contextmanager
def _opened(site: SiteArgs, kubeconfig: str, context: str | None) -> Iterator[World]:
    from components.longhorn.flow.opening import open_world  # noqa: PLC0415 - `--help` stays instant
    from toolchain import state_dir  # noqa: PLC0415 - likewise

    folder = state_dir() / "recovery"
    with _clean(), open_world(site, _kubeconfig(kubeconfig), folder, context=context) as world:
        yield world


@contextmanager
def _clean() -> Iterator[None]:
    """Turn what the flow raises into messages with an exit status."""
    from components.longhorn.flow.agent import AgentError  # noqa: PLC0415 - `--help` stays instant
    from components.longhorn.flow.escalate import EscalationError  # noqa: PLC0415 - likewise
    from components.longhorn.flow.interfaces import ClusterError, NodeError  # noqa: PLC0415 - likewise
    from components.longhorn.flow.recover import PreflightError  # noqa: PLC0415 - likewise
    from components.longhorn.flow.steps import StopError  # noqa: PLC0415 - likewise

    try:
        yield
    except PreflightError as error:
        report(f"nothing was touched:\n{error}")
        raise typer.Exit(_REFUSED) from error
    except (ClusterError, NodeError, AgentError, EscalationError, StopError) as error:
        raise CommandError(str(error)) from error
