"""How long a whole gateway takes: made from a bare machine, found unchanged, one template changed; and its files alone.

The machine has two networks and a disk, the engine is the real one, and only Docker is a double. The files alone are
also written by ansible-core, as a playbook of the described installation would.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.harness import QUICK_RUNS, RUNS, Row, measure
from bench.hosts import OURS, Factory, direct
from bench.hosts_peers import Ansible, Peer
from bench.hosts_work import Target, Work, clean, verify
from components.cm5_gateway import CM5GatewayArgs, Gateway
from components.cm5_gateway.render import roles
from tests.support import machines
from tests.support.gateway_device import Device, gateway_device
from tests.support.gateway_site import GatewayMachine
from tests.support.project import Project

ENGINE = "factory, the engine alone"
STACK = "bench"
CHANGED = "up, one template changed"
ALONE = "one template changed, its resource alone"
GOALS = {"preview, unchanged": 3.0, "up, unchanged": 5.0, ALONE: 2.0}
"""Seconds; a preview and an `up` refresh every role and look at every fact."""
Changes = Mapping[str, Any]
_SECONDS = 600
_TEMPLATE = "/etc/dnsmasq.d/cabin.conf"
_UPDATED = re.compile(r"^\s*~ (\d+) updated", re.MULTILINE)
_TOOK = re.compile(r" updated \((\d+(?:\.\d+)?)s\)")
"""What the engine prints on a changed resource's row."""


def run(*, quick: bool, note: Callable[[str], None]) -> Iterator[Row]:
    """Run all cases on one machine. With `quick` the other programs run once."""
    if why := machines.missing():
        raise SystemExit(f"factory: this benchmark cannot run here: {why}")
    runs, theirs = (QUICK_RUNS, 1) if quick else (RUNS, RUNS)
    with tempfile.TemporaryDirectory(prefix="factory-bench-") as place:
        folder = Path(place)
        (folder / "device").mkdir()
        with gateway_device(folder / "device") as device:
            note("the whole gateway on a bare machine, once")
            bare = Row("up of a bare machine", ENGINE)
            measure(bare, device.up)
            yield bare
            note(f"the engine alone, {runs} times")
            yield from _life(ENGINE, runs, partial(_engine, device), device.machine)
            note(f"the whole command, {runs} times")
            project = device.stack(folder, STACK)
            yield from _life(OURS, runs, partial(_command, project, device), device.machine)
            yield from _files(folder, device, runs, theirs, note)


def _life(peer: str, runs: int, do: Callable[[str, Changes], str], machine: GatewayMachine) -> Iterator[Row]:
    """Measure what a person waits for every day; each change touches one role."""
    changes: Changes = {}
    do("up", changes)
    rows = {case: Row(case, peer) for case in (*GOALS, CHANGED)}
    for count in range(runs):
        measure(rows["preview, unchanged"], partial(do, "preview", changes))
        measure(rows["up, unchanged"], partial(do, "up", changes))
        lease = f"{count + 1}h"
        changes = {"device_segment": {"dhcp_lease_time": lease}}
        said: list[str] = []
        measure(rows[CHANGED], partial(_kept, said, do, "up", changes))
        found, took = _UPDATED.search(said[0]), _TOOK.findall(said[0])
        if (
            found is None
            or found[1] != "1"
            or len(took) != 1
            or f",{lease}\n" not in machine.path(_TEMPLATE).read_text()
        ):
            raise ValueError(f"the change of one template did something else\n{said[0]}")
        rows[ALONE].seconds.append(float(took[0]))
    yield rows.pop(CHANGED)
    for case, row in rows.items():
        met = "met" if row.median <= GOALS[case] else "missed"
        yield replace(row, result=f"goal {GOALS[case]:.0f} s: {met}")


def _kept(said: list[str], do: Callable[[str, Changes], str], verb: str, changes: Changes) -> None:
    said.append(do(verb, changes))


def _engine(device: Device, verb: str, changes: Changes) -> str:
    options = {"up": ("--yes", "--skip-preview"), "preview": ("--expect-no-changes",)}
    return device.program.run(verb, "--refresh", *options[verb], values=device.values(**changes))


def _command(project: Project, device: Device, verb: str, changes: Changes) -> str:
    configuration = project.configuration(STACK)
    configuration["config"]["factory:cm5_gateway"] = device.args(**changes)
    project.configure(STACK, configuration)
    return project.factory(verb, "--stack", STACK, timeout=_SECONDS).stdout


def _files(folder: Path, device: Device, runs: int, theirs: int, note: Callable[[str], None]) -> Iterator[Row]:
    """Measure the files of all roles alone: from nothing, again, and with one of them changed."""
    target, machine = direct(device.machine), device.machine
    work = _work(device)
    peers: list[tuple[Peer, int]] = [(Factory(folder / "factory"), runs), (Ansible(folder / "ansible"), theirs)]
    for peer, times in peers:
        peer.start()  # its environment is made the first time
        note(f"the gateway's {len(work.files)} files: {peer.name}, {times} times")
        yield from _written(peer, times, work, machine, target)


def _written(peer: Peer, times: int, work: Work, machine: GatewayMachine, target: Target) -> Iterator[Row]:
    rows = [
        Row(f"its {len(work.files)} files, {case}", peer.name) for case in ("from nothing", "unchanged", "one changed")
    ]
    for count in range(times):
        clean(machine)
        for row, wanted in zip(rows, (work, work, work.with_one_changed(count + 1)), strict=True):
            measure(row, partial(peer.apply, wanted, [target]))
            verify(machine, wanted)
    yield from rows


def _work(device: Device) -> Work:
    """Collect the files of all roles whose content is no secret, flat in one folder."""
    planned = roles(Gateway.of(CM5GatewayArgs.model_validate(device.args())))
    texts = {path: file.content for role in planned.values() for path, file in role.desired.files.items()}
    return Work({path.strip("/").replace("/", "-"): text for path, text in sorted(texts.items()) if text is not None})
