"""One run of the flow over several volumes: phases 0 to 9, resumable anywhere, one bad volume apart from the others.

The order of the phases per volume, and what may be touched when, are the requirement (LHR, section 15.4). Each phase
looks at the world and decides anew; so a run that was killed is simply run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import Final

from .agent import AgentError
from .decide_attach import decide_attach, decide_detach
from .decide_bind import decide_bind
from .decide_data import Ranking, copy_outcome, decide_inject, mark_complete, parse_probe
from .decide_start import decide_start, ready_pod, verification
from .decide_stop import Source, decide_prepare, decide_quiet
from .engine import ActionError, PhaseRunner
from .facts import ClusterFacts, claims_of, observe, workload_of
from .from_dump import disagreements
from .interfaces import ClusterError, NodeError, Ref, name_of
from .journal import Evidence, Journal
from .marks import COMPLETE, SELF_HEAL, SOURCE, mark_of
from .node_tools import copy_into_device, nothing_mounted, probe_device
from .preflight import check_cluster, check_nodes, check_volumes, running_managers
from .report import Outcome, PhaseTime, RunReport, VolumeReport
from .sources import Prepared, discover, pinned_source, prepare, scan_nodes, source_doubts
from .steps import Act, Done, Patch, Run, Step, Stop, StopError
from .volumes import VolumeInput
from .world import Consent, Dumped, World

__all__ = ["PreflightError", "Recovery"]

_FAILURES: Final = (StopError, ClusterError, NodeError, AgentError, ActionError)
_PROBE_SECONDS: Final = 120


class PreflightError(Exception):
    """The run was not begun; nothing was touched. Holds everything that speaks against it."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass
class _Job:
    """One volume on its way."""

    volume: VolumeInput
    journal: Journal
    report: VolumeReport
    dumped: Dumped
    ranking: Ranking | None = None
    source: Source | None = None


class Recovery:
    """A run. ``told`` is called with each phase as it begins, for a person who watches.

    ``beside`` are volumes of the same input that are not to be recovered now: a workload that mounts one of them is
    started only if that was recovered before.
    """

    def __init__(
        self,
        world: World,
        volumes: Sequence[VolumeInput],
        consent: Consent,
        *,
        beside: Sequence[VolumeInput] = (),
        dumped: Callable[[VolumeInput], Dumped] = lambda _volume: (None, None),
        told: Callable[[str, str], None] = lambda _volume, _phase: None,
    ) -> None:
        self.world = world
        self.consent = consent
        self._told = told
        self._beside = tuple(beside)
        name = datetime.fromtimestamp(world.clock.now(), UTC).strftime("%Y-%m-%d-%H%M%S-recovery")
        self.evidence = Evidence(world.state / "evidence", name, world.clock)
        self._jobs = [
            _Job(
                volume,
                world.journal(volume.key),
                VolumeReport(volume.pv_name, f"{volume.namespace}/{volume.pvc_name}"),
                dumped(volume),
            )
            for volume in volumes
        ]

    def discover(self) -> list[Ranking]:
        """Check everything and rank the directories, by reading alone (INV-015). Raises PreflightError."""
        world = self.world
        problems = check_cluster(world.cluster, world.settings)
        problems += check_volumes(world.cluster, (job.volume for job in self._jobs), world.settings)
        node_problems, silent = check_nodes(world.nodes, world.settings)
        problems += node_problems
        if problems:
            raise PreflightError(problems)
        self._adopt_workloads()
        scanned = scan_nodes(world, silent)
        for job in self._jobs:
            job.ranking = discover(world, job.volume, scanned)
            job.report.candidates = [item.as_dict() for item in job.ranking.candidates]
            job.report.warnings += job.ranking.warnings
            problems += disagreements(job.volume, job.dumped)
            problems += source_doubts(world, job.volume, job.ranking, job.journal)
            if job.ranking.best is None and pinned_source(world, job.volume, job.journal) is None:
                problems.append(self._not_found(job))
        if problems:
            raise PreflightError(problems)
        return [job.ranking for job in self._jobs if job.ranking is not None]

    def run(self) -> RunReport:
        """Recover. Raises PreflightError before anything is touched; what fails later is in the report."""
        unnamed = [job.volume.pv_name for job in self._jobs if not self.consent.covers(job.volume.pv_name)]
        if unnamed:
            raise PreflightError(
                f"{name}: destructive steps need --yes and the volume's name typed: --volume {name}" for name in unnamed
            )
        with ExitStack() as held:
            for job in self._jobs:
                try:
                    held.enter_context(job.journal.alone())
                except BlockingIOError:
                    # It would take the device from under the other's copy.
                    message = f"{job.volume.pv_name}: another run on this machine works on it; wait for its end"
                    raise PreflightError([message]) from None
            return self._run()

    def _run(self) -> RunReport:
        self.discover()
        managers = len(running_managers(self.world.cluster, self.world.settings))
        names = ", ".join(job.volume.pv_name for job in self._jobs)
        begun = f"{managers} longhorn-manager pods are Running; {len(self._jobs)} volumes: {names}"
        self.evidence.note("all", "preflight", "preflight passed", outcome=begun)
        self._told("preflight", begun)
        for job in self._jobs:
            job.report.phase = "discover"
            self._guarded(job, self._restore_data)
        for unit in self._units():
            if all(not job.report.error for job in unit):
                self._guarded(unit[-1], self._start)
                for job in unit[:-1]:
                    self._finish(job, unit[-1].report)
        report = RunReport([job.report for job in self._jobs], str(self.evidence.text), self._paused())
        self.evidence.note("all", "report", "run complete", outcome=report.outcome.value)
        return report

    def _restore_data(self, job: _Job) -> None:
        world, volume = self.world, job.volume
        present = world.cluster.get(Ref("longhorn.Volume", volume.pv_name, world.settings.longhorn_namespace))
        job.source = Source.from_mark(mark_of(present, SOURCE))
        if job.source is None or mark_of(present, COMPLETE) != job.source.digest:
            self._inject_from_source(job)
        source = job.source
        if source is None:  # set by the phases above, or read from the mark
            raise StopError("merge", "no-source", "no source was chosen")
        job.report.source = f"{source.node}:{source.directory}"
        self._phase(job, "detach", lambda: decide_detach(self._facts(job), volume, world.settings))
        self._phase(job, "bind", lambda: decide_bind(self._facts(job), volume, world.settings, job.dumped))
        # The Volume carries the choice from now on. Lost in another incident, its data is in newer directories.
        job.journal.forget("merge")

    def _inject_from_source(self, job: _Job) -> None:
        world, volume, settings = self.world, job.volume, self.world.settings
        prepared = self._prepare_image(job)
        source = job.source = prepared.source
        self._phase(job, "prepare", lambda: decide_prepare(self._facts(job), volume, settings, source))
        self._phase(job, "quiet", lambda: decide_quiet(self._facts(job), volume, settings))
        try:
            self._phase(job, "attach", lambda: decide_attach(self._facts(job), volume, settings, source.node))
            self._inject(job, prepared)
        except _FAILURES:
            self._let_go(job, prepared)
            raise
        ref = Ref("longhorn.Volume", volume.pv_name, settings.longhorn_namespace)
        body = {"metadata": {"annotations": {COMPLETE: source.digest}}}
        mark = Act("note on the Volume that its data is complete", Patch(ref, body))

        def noted() -> Step:
            return Done() if mark_of(world.cluster.get(ref), COMPLETE) == source.digest else mark

        self._runner(job).run("inject", noted)

    def _prepare_image(self, job: _Job) -> Prepared:
        if job.ranking is None:  # run() always discovers first
            raise StopError("discover", "no-source", "nothing was discovered")
        started = self.world.clock.monotonic()
        for phase, prepared in prepare(self.world, job.volume, job.ranking, job.journal, self.evidence):
            now = self.world.clock.monotonic()
            job.report.timeline.append(PhaseTime(phase, now - started))
            job.report.phase, started = phase, now
            self._told(job.volume.pv_name, phase)
            if prepared is not None:
                job.report.backup, job.report.backup_digest = prepared.paths.backup, prepared.source.digest
                job.report.image, job.report.image_sha256 = prepared.image, prepared.sha256
                job.report.content = dict(prepared.content)
                job.report.warnings += prepared.warnings
                job.report.notes += prepared.notes
                return prepared
        raise StopError("merge", "no-source", "no directory gives a usable image")

    def _inject(self, job: _Job, prepared: Prepared) -> None:
        """Phase 6: format what is empty, copy, compare, and leave marks (DT-5)."""
        world, volume, paths = self.world, job.volume, prepared.paths
        runner = self._runner(job)
        node = world.nodes[prepared.source.node]

        def decide() -> Step:
            probe = node.run(probe_device(paths.device, paths.marker), timeout=_PROBE_SECONDS)
            if probe.status:
                return Stop("no-device", f"{paths.device} cannot be looked at: {probe.err.strip()}")
            return decide_inject(parse_probe(probe.out), volume, paths, prepared.source.digest)

        with self._timed(job, "inject"):
            found = runner.run("inject", decide).result
            if found["complete"]:
                return
            uuid = str(found["uuid"])
            command = copy_into_device(paths.device, prepared.image, paths.mounts, uuid)
            text = runner.perform(Run(command, world.settings.copy_seconds, long=True))
            outcome = copy_outcome(text, volume)
            if isinstance(outcome, Stop):
                raise StopError("inject", outcome.code, outcome.reason)
            self.evidence.note(volume.pv_name, "inject", "copied the files", outcome=str(dict(outcome.result)))
            job.report.warnings += outcome.warnings
            runner.perform(mark_complete(paths, uuid).action)

    def _let_go(self, job: _Job, prepared: Prepared) -> None:
        """Give the ticket back after a failure, unless the device may still be mounted (LHR-133)."""
        settings, volume = self.world.settings, job.volume
        if settings.keep_attached_on_failure:
            job.report.warnings.append("the volume stays attached, as keep_attached_on_failure asks")
            return
        try:
            node = self.world.nodes[prepared.source.node]
            if node.run(nothing_mounted(prepared.paths.mounts)).status:
                job.report.warnings.append("the device is still mounted, so the ticket stays; run again")
                return
            self._runner(job).run("detach", lambda: decide_detach(self._facts(job), volume, settings))
        except _FAILURES as error:
            job.report.warnings.append(f"the ticket may still be there: {error}")

    def _start(self, job: _Job) -> None:
        volume, settings = job.volume, self.world.settings
        try:
            self._refuse_incomplete(volume)
            self._phase(job, "start", lambda: decide_start(self._facts(job), volume, settings))
            self._verify(job)
        except _FAILURES as error:
            # The data is there; what does not start is another matter, and is said (LHR-155, LHR-156, DEF-19).
            job.report.outcome, job.report.verification = Outcome.UNVERIFIED, str(error)
            self.evidence.note(volume.pv_name, "start", "not verified", outcome=str(error))
            return
        job.report.outcome = Outcome.WARNINGS if job.report.warnings else Outcome.RECOVERED

    def _refuse_incomplete(self, volume: VolumeInput) -> None:
        """Keep a workload down whose other volumes of the same input are not recovered yet (LHR-008, VAR-007)."""
        namespace = self.world.settings.longhorn_namespace
        lacking = [
            f"{other.namespace}/{other.pvc_name}"
            for other in self._beside
            if other.workload is not None
            and other.workload == volume.workload
            and not mark_of(self.world.cluster.get(Ref("longhorn.Volume", other.pv_name, namespace)), COMPLETE)
        ]
        if lacking and volume.scale_up:
            reason = f"{volume.workload} stays down until {', '.join(lacking)} is recovered too: name all its volumes"
            raise StopError("start", "not-all", reason)

    def _verify(self, job: _Job) -> None:
        if not job.volume.verify_cmd or not job.volume.scale_up:
            return
        pod = ready_pod(self._facts(job).workload_pods)
        if pod is None:
            raise StopError("start", "no-pod", "no pod of the workload is ready, so nothing could be verified")
        job.report.verification = self._runner(job).perform(verification(pod, job.volume))
        self.evidence.note(job.volume.pv_name, "start", job.volume.verify_cmd, outcome=job.report.verification)

    def _finish(self, job: _Job, last: VolumeReport) -> None:
        """Give a volume the outcome of the workload that it shares with the last of its unit."""
        if last.outcome is Outcome.UNVERIFIED:
            job.report.outcome, job.report.verification = Outcome.UNVERIFIED, last.verification
        else:
            job.report.outcome = Outcome.WARNINGS if job.report.warnings else Outcome.RECOVERED

    def _guarded(self, job: _Job, work: Callable[[_Job], None]) -> None:
        """Keep one volume's failure away from the others (LHR-008)."""
        try:
            work(job)
        except _FAILURES as error:
            job.report.outcome, job.report.error = Outcome.FAILED, str(error)
            job.report.code = getattr(error, "code", type(error).__name__)
            self.evidence.note(job.volume.pv_name, job.report.phase, "failed", outcome=str(error))

    def _phase(self, job: _Job, phase: str, decide: Callable[[], Step]) -> None:
        self._told(job.volume.pv_name, phase)
        with self._timed(job, phase):
            done = self._runner(job).run(phase, decide)
            job.report.warnings += done.warnings
            job.journal.complete(phase, done.result)

    @contextmanager
    def _timed(self, job: _Job, phase: str) -> Iterator[None]:
        started = self.world.clock.monotonic()
        yield
        job.report.timeline.append(PhaseTime(phase, self.world.clock.monotonic() - started))
        job.report.phase = phase

    def _runner(self, job: _Job) -> PhaseRunner:
        world = self.world
        return PhaseRunner(
            cluster=world.cluster,
            node=world.nodes.get(job.source.node) if job.source else None,
            clock=world.clock,
            evidence=self.evidence,
            volume=job.volume.pv_name,
            consented=self.consent.covers(job.volume.pv_name),
            work_directory=world.settings.work_directory,
        )

    def _facts(self, job: _Job) -> ClusterFacts:
        return observe(self.world.cluster, job.volume, self.world.settings)

    def _adopt_workloads(self) -> None:
        """Let volumes without a workload belong to another volume's, if that mounts their claim (VAR-007, VAR-008)."""
        given = (*(job.volume for job in self._jobs), *self._beside)
        owners = [(owner, found) for owner in given if (found := workload_of(self.world.cluster, owner)) is not None]

        def adopted(volume: VolumeInput) -> VolumeInput:
            for owner, workload in owners if volume.workload is None else ():
                if owner.namespace == volume.namespace and claims_of(workload, owner.workload_kind, volume.pvc_name):
                    # The input itself is never changed (VAR-011).
                    return volume.model_copy(update=owner.handling)
            return volume

        for job in self._jobs:
            job.volume = adopted(job.volume)
        self._beside = tuple(adopted(volume) for volume in self._beside)

    def _units(self) -> list[list[_Job]]:
        """Group the volumes of one workload: it starts when all are ready, once, after what it waits for (VAR-008)."""
        units: dict[str, list[_Job]] = {}
        waits: dict[str, list[str]] = {}
        for job in self._jobs:
            name = str(job.volume.workload or job.volume.key)
            units.setdefault(name, []).append(job)
            waits[name] = [str(awaited) for awaited in job.volume.scale_up_after]
        order = [name for name in TopologicalSorter(waits).static_order() if name in units]
        # The one with a command to verify it goes last: it does so for all.
        return [sorted(units[name], key=lambda job: bool(job.volume.verify_cmd)) for name in order]

    def _paused(self) -> list[str]:
        """Name the automation that stays paused, and what for (CLR-041)."""
        reasons: dict[str, dict[bool, set[str]]] = {}
        for job in self._jobs:
            try:
                facts = self._facts(job)
            except ClusterError:
                continue
            if facts.application is not None and mark_of(facts.application, SELF_HEAL):
                own, reason = _why_paused(job, facts)
                found = reasons.setdefault(name_of(facts.application), {True: set(), False: set()})
                found[own].add(reason)
        # What other volumes wait for is said once, by the volume itself where it is of this run.
        return [
            f"self-healing of Application {name}: {reason}"
            for name, found in sorted(reasons.items())
            for reason in sorted(found[True] or found[False])
        ]

    def _not_found(self, job: _Job) -> str:
        volume, ranking = job.volume, job.ranking
        nodes = ", ".join(self.world.settings.nodes)
        known = ranking.candidates if ranking else ()
        refused = "; ".join(f"{item.node}:{item.directory}: {', '.join(item.reasons)}" for item in known)
        if not refused:
            return f"{volume.pv_name}: no replica directory on {nodes}: the data is lost, provision a fresh volume"
        return (
            f"{volume.pv_name}: no usable directory on {nodes} (likely unrecoverable, nothing was touched): {refused}"
        )


def _why_paused(job: _Job, facts: ClusterFacts) -> tuple[bool, str]:
    """Say why self-healing stays paused, and whether this volume is the reason."""
    name = job.volume.pv_name
    if job.report.error:
        return True, f"{name} is not recovered, and it would start the workload; a later complete run resumes it"
    if not job.volume.scale_up:
        return True, f"the workload of {name} stays down, as scale_up: false asks; a run with scale_up: true resumes it"
    if facts.held_back:
        others = ", ".join(facts.held_back)
        return False, f"it would start {others} too, which a recovery stopped; a complete run of its volumes resumes it"
    return True, f"the workload of {name} is not ready yet; a later run resumes it"
