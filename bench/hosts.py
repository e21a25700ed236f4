"""How long it takes to bring machines into a state: fifty files, fifty packages, twenty units, against other programs.

Every peer leaves the same behind, and each run is checked: content, mode and owner of every file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.harness import QUICK_RUNS, RUNS, Row, measure, rounds
from bench.hosts_peers import PEERS, Peer, PeerError
from bench.hosts_work import FOLDER, GROUP, MODE, OWNER, Target, Work, checks, clean, files, units_seed, verify
from tests.support import machines
from tests.support.machines import Machine
from tests.support.project import Project
from tests.support.slow_link import slow_link
from toolchain.paths import ROOT

OURS = "factory"
STACK = "bench"
LATENCIES = (20, 80)
"""Milliseconds added to a round trip."""
MANY = (5, 20)
_SECONDS = 600
_PATIENCE = 45
"""Seconds after which a program is not run once more in a place, whatever number of runs is asked for."""
_IN_ALL = 420
"""Seconds after which no other program begins, but on one near machine."""
_FACTOR_PER_MILLISECOND = 1 / 8
_FACTOR_PER_HOST = 1 / 2
"""By what other programs get slower far away, or with many machines: to foresee whether the time is enough."""
_UPS = 3
_WATCHES, _WATCHES_OF_OTHERS = 16, 128


class Factory(Peer):
    """This project's own way to a machine, without the engine."""

    name = OURS

    def apply(self, work: Work, targets: Sequence[Target]) -> float:
        """Do the work in a process that tells how long it took from the first connection."""
        return self.timed(document(work), targets)

    def start(self) -> None:
        """Start the process and have it do nothing."""
        self.run([sys.executable, "-c", "import bench.hosts_factory"], PYTHONPATH=str(ROOT))

    def timed(self, desired: dict[str, Any] | None, targets: Sequence[Target]) -> float:
        """Bring a document about, or only connect without one."""
        order = {"document": desired, "hosts": [reached(target) for target in targets]}
        done = subprocess.run(
            [sys.executable, "-m", "bench.hosts_factory"], cwd=ROOT, input=json.dumps(order), capture_output=True,
            text=True, check=False, timeout=_SECONDS,
        )  # fmt: skip
        if done.returncode:
            raise PeerError(done.stderr)
        return float(done.stdout)


def run(*, quick: bool, note: Callable[[str], None]) -> Iterator[Row]:
    """Run all cases on machines of their own, in about ten minutes.

    The other programs run on one near machine as often as their patience allows, and elsewhere once if there is time
    for it; with `quick` on the near machine only, and once.
    """
    if why := machines.missing():
        raise SystemExit(f"factory: this benchmark cannot run here: {why}")
    runs, theirs = (QUICK_RUNS + 1, 1) if quick else (RUNS, RUNS)
    end = 0.0 if quick else time.monotonic() + _IN_ALL
    with tempfile.TemporaryDirectory(prefix="factory-bench-") as name:
        folder = Path(name)
        ours = Factory(folder / "factory")
        peers = [kind(folder / kind.__name__.lower()) for kind in PEERS]
        everybody: list[tuple[Peer, int]] = [(ours, runs), *((peer, theirs) for peer in peers)]
        with _running(folder, 1) as (machine,):
            target = direct(machine)
            yield from _starts(everybody, note)
            yield _connect(ours, target, runs)
            near = list(_life("", everybody, [machine], [target], note))
            yield from near
            yield from _checks(everybody, machine, target, note)
            yield from _up(folder, machine, target, min(runs, _UPS), note)
            for milliseconds in LATENCIES:
                with _behind([machine], milliseconds) as (far,):
                    where = f", {milliseconds} ms"
                    yield _connect(ours, far, runs, where)
                    who = _in_time(everybody, near, 1 + milliseconds * _FACTOR_PER_MILLISECOND, end)
                    yield from _life(where, who, [machine], [far], note)
        for number in MANY:
            with _running(folder, number) as several:
                who = _in_time(everybody, near, 1 + number * _FACTOR_PER_HOST, end)
                yield from _life(f", {number} hosts", who, several, [direct(one) for one in several], note)
                # Over a link, what the machines do hides in the waiting, as it does where each has cores of its own.
                for milliseconds in LATENCIES:
                    with _behind(several, milliseconds) as far_ones:
                        where = f", {number} hosts, {milliseconds} ms"
                        yield from _life(where, [(ours, runs)], several, far_ones, note)


def document(work: Work) -> dict[str, Any]:
    """Write the work as the document of a role."""
    file = {"mode": MODE, "owner": OWNER, "group": GROUP}
    return {
        "files": {f"{FOLDER}/{name}": {**file, "content": content} for name, content in work.files.items()},
        "packages": {name: {} for name in work.packages},
        "units": {name: {"enabled": True, "running": True} for name in work.units},
    }


def direct(machine: Machine) -> Target:
    """Reach a machine without anything in between."""
    return Target(machine.address, machine.port, machine.keys.host_key, machine.keys.client)


def reached(target: Target) -> dict[str, Any]:
    """Write a target as the connection of a host."""
    known = {key: value for key, value in asdict(target).items() if key != "identity_file"}
    return {**known, "identity_file": str(target.identity_file), "user": "root", "ssh_config": None}


@contextmanager
def _behind(several: Sequence[Machine], milliseconds: int) -> Iterator[list[Target]]:
    """Reach machines over links that add so much to each round trip."""
    with ExitStack() as stack:
        links = [slow_link(one.address, one.port, milliseconds / 1000) for one in several]
        ports = [stack.enter_context(link) for link in links]
        yield [replace(direct(one), address="127.0.0.1", port=port) for one, port in zip(several, ports, strict=True)]


@contextmanager
def _running(folder: Path, number: int) -> Iterator[list[Machine]]:
    seed = folder / "units"
    if not seed.exists():
        units_seed(seed)
    with ExitStack() as stack:
        stack.enter_context(_watches_for(number))
        yield [stack.enter_context(machines.running(f"bench{count}", seeds=[seed])) for count in range(number)]


@contextmanager
def _watches_for(number: int) -> Iterator[None]:
    """Let so many machines watch files at once; the kernel's usual limit is enough for a handful."""
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    before = int(limit.read_text())
    limit.write_text(str(max(before, _WATCHES_OF_OTHERS + number * _WATCHES)))
    try:
        yield
    finally:
        limit.write_text(str(before))


def _starts(everybody: Sequence[tuple[Peer, int]], note: Callable[[str], None]) -> Iterator[Row]:
    """Measure each program's own start, of which the other rows' seconds hold one: all but ours."""
    for peer, _ in everybody:
        note(f"start of {peer.name}")
        peer.start()  # its environment is made the first time
        row = Row("start of the program", peer.name)
        measure(row, peer.start)
        yield row


def _connect(ours: Factory, target: Target, runs: int, where: str = "") -> Row:
    row = Row(f"connect{where}", OURS)
    for _ in range(runs):
        _timed(row, partial(ours.timed, None, [target]))
    return row


def _life(
    where: str,
    everybody: Sequence[tuple[Peer, int]],
    several: Sequence[Machine],
    targets: Sequence[Target],
    note: Callable[[str], None],
) -> Iterator[Row]:
    """Measure fifty files from nothing, again, and with one of them changed."""
    work = files()
    for peer, runs in everybody:
        note(f"50 files{where}: {peer.name}, {runs} times")
        rows = [Row(f"{case}{where}", peer.name) for case in ("cold", "unchanged", "changed")]
        for count in rounds(runs, _PATIENCE):
            for machine in several:
                clean(machine)
            for row, wanted in zip(rows, (work, work, work.with_one_changed(count + 1)), strict=True):
                _timed(row, partial(peer.apply, wanted, targets))
                for machine in several:
                    verify(machine, wanted)
        yield from rows


def _in_time(
    everybody: Sequence[tuple[Peer, int]], near: Sequence[Row], factor: float, end: float
) -> list[tuple[Peer, int]]:
    """Choose who is measured elsewhere: ours, and once each of the others that is foreseen to be done in time."""
    chosen, left = [everybody[0]], end - time.monotonic()
    for peer, _ in everybody[1:]:
        needed = factor * sum(row.median for row in near if row.peer == peer.name)
        if needed <= left:
            chosen.append((peer, 1))
            left -= needed
    return chosen


def _checks(
    everybody: Sequence[tuple[Peer, int]], machine: Machine, target: Target, note: Callable[[str], None]
) -> Iterator[Row]:
    """Measure a run that finds every package installed and every unit enabled and running."""
    work = checks(machine)
    for peer, runs in everybody:
        note(f"50 packages and 20 units: {peer.name}, {runs} times")
        row = Row("50 packages and 20 units, unchanged", peer.name)
        for _ in rounds(runs, _PATIENCE / 4):
            _timed(row, partial(peer.apply, work, [target]))
        yield row


def _up(folder: Path, machine: Machine, target: Target, runs: int, note: Callable[[str], None]) -> Iterator[Row]:
    """Measure the whole command: launcher, checks, engine, policies, and one host with fifty files."""
    note(f"up of one host with 50 files, {runs} times")
    state = folder / "sandbox-state"
    state.mkdir()
    project = Project.copy_to(folder / "checkout", folder / "state")
    project.environment = {"PULUMI_BACKEND_URL": state.as_uri(), "PULUMI_CONFIG_PASSPHRASE": "bench"}
    machine_args = {"connection": reached(target), "roles": {"bench": document(files())}}
    config = {
        "pulumi:disable-default-providers": ["*"],
        "factory:environment": "sandbox",
        "factory:sandbox": {"mode": "vms", "state_url": state.as_uri(), "target_revision": "sandbox"},
        "factory:hosts": {"bench": machine_args},
    }
    project.configure(STACK, {"config": config})
    cold, unchanged = Row("up", OURS), Row("up, unchanged", OURS)
    for _ in range(runs):
        clean(machine)
        measure(cold, lambda: project.factory("up", "--stack", STACK, timeout=_SECONDS))
        verify(machine, files())
        measure(unchanged, lambda: project.factory("up", "--stack", STACK, timeout=_SECONDS))
        project.factory("destroy", "--stack", STACK, "--yes", timeout=_SECONDS)
    yield from (cold, unchanged)


def _timed(row: Row, action: Callable[[], float | None]) -> None:
    """Measure, and take what the action itself measured for its seconds."""
    told: list[float | None] = []
    measure(row, lambda: told.append(action()))
    if told[0] is not None:
        row.seconds[-1] = round(told[0], 3)
