"""The same life through the real engine: a machine with a role on a real Debian, from nothing to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.hosts.conftest import Repository
from tests.hosts.test_machine_life import BANNER, FILES, IDLE, SERVICE, SITE, foreign, web
from tests.support.machines import Machine
from tests.support.managed_host import started, trace
from tests.support.plugin_program import Program
from toolchain.paths import ROOT

pytestmark = pytest.mark.engine

PROGRAM = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
import pulumi
from components.host import FactoryProvider
from components.host.machine import Machine
from components.host.machine_args import MachineArgs

given = json.loads(os.environ["VALUES"])
opts = pulumi.ResourceOptions(providers=[FactoryProvider("hosts")])
secrets = {{"private_key": pulumi.Output.secret(given["private_key"])}}
machine = Machine("gateway", MachineArgs.model_validate(given["machine"]), secrets=secrets, opts=opts)
pulumi.export("roles", machine.roles)
"""
STATE = "gateway.web"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program.write(tmp_path / "project", PROGRAM, plugins=["factory-host"])


def values(machine: Machine, role: dict[str, Any]) -> dict[str, Any]:
    connection = {"address": machine.address, "user": "root", "host_key": machine.keys.host_key, "ssh_config": None}
    return {
        "machine": {"connection": connection, "roles": {"web": role}},
        "private_key": machine.keys.private_key,
    }


def test_a_life_through_the_engine(machine: Machine, repository: Repository, program: Program) -> None:
    foreign(machine)
    given = values(machine, web(repository))
    program.up(**given)
    assert machine.run("systemctl", "is-active", SERVICE, IDLE).stdout == "active\nactive\n"
    assert program.outputs()["roles"]["web"]["services"] == {"count": 2, "names": [IDLE, SERVICE]}
    assert machine.keys.private_key.splitlines()[1] not in program.state()
    program.unchanged(**given)

    # What others changed is shown by property, and repaired.
    for command in (
        ["sh", "-c", f"echo hacked >{BANNER}"],
        ["chmod", "0666", SITE],
        ["chown", "daemon", SITE],
        ["systemctl", "disable", "--now", SERVICE],
        ["dpkg", "--purge", "other"],
    ):
        machine.run(*command)
    operation, *paths = program.steps(**given)[STATE]
    assert operation == "update"
    assert {
        f'desired.files["{BANNER}"].content',
        f'desired.files["{SITE}"].mode',
        f'desired.files["{SITE}"].owner',
        f'desired.units["{SERVICE}"].enabled',
        f'desired.units["{SERVICE}"].running',
        "desired.packages.other",
    } == set(paths)
    program.up(**given)

    # Without its state the program finds everything as it should be.
    before, begun = trace(machine, *FILES), [started(machine, unit) for unit in (SERVICE, IDLE)]
    program.run("stack", "rm", "--force", "--yes")
    program.run("stack", "init", "dev")
    program.up(**given)
    assert trace(machine, *FILES) == before
    assert [started(machine, unit) for unit in (SERVICE, IDLE)] == begun

    # One file and its service.
    given = values(machine, web(repository, site="listen 81\n"))
    assert program.steps(**given) == {STATE: ["update", f'desired.files["{SITE}"].content']}
    program.up(**given)
    others = {path: state for path, state in before.items() if path not in {SITE, "/etc/web"}}
    assert trace(machine, *others) == others
    assert (started(machine, SERVICE) != begun[0], started(machine, IDLE) == begun[1]) == (True, True)

    # The new state knows that it made none of this: what it only adopted stays.
    program.run("destroy", "--yes", "--skip-preview", "--run-program=false")
    assert machine.path(SITE).read_text() == "listen 81\n"
