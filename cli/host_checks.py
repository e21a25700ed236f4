"""The machines of a stack, looked at: what they are, and whether what was asked of them holds. Nothing is changed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import typer

from cli.errors import InputError
from cli.machine_access import login_of, login_secrets, settings_with_machines
from cli.session import Report
from cli.stack import Stack
from components.cm5_gateway.machine import machine_of as cm5_gateway
from components.host.checks import CheckResult, expected_of, judge
from components.host.machine_args import MachineArgs
from components.host.pool import HostPool
from components.host.preflight import skew
from components.host.transport import HostError
from components.traefik_gateway.machine import machine_of as traefik_gateway
from sandbox.status import SandboxState
from sandbox.supervisor import Sandbox
from stacks.settings.needs import CM5_GATEWAY, TRAEFIK_GATEWAY
from stacks.settings.problems import did_you_mean
from toolchain import state_dir

_SECONDS_MORE = 10
"""What the answers may take on their way, beside the checks themselves."""
_SKEW_SECONDS = 5.0
_GIB = 1024**3


@dataclass(frozen=True)
class HostReport:
    """What was found on one machine. `error` tells why nothing was; `facts` are the agent's, with the clock's skew."""

    host: str
    place: str
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[CheckResult] = ()

    @property
    def ok(self) -> bool:
        """Whether it could be asked and every check holds."""
        return not self.error and all(check.ok for check in self.checks)


def examine_hosts(stack: Stack, name: str | None, *, as_json: bool, report: Report) -> int:
    """Look at the machines, or at one; the status is 1 if anything fails. Raises InputError for an unknown one."""
    settings = settings_with_machines(stack)
    machines = dict(settings.hosts)
    if settings.cm5_gateway is not None:
        machines[CM5_GATEWAY] = cm5_gateway(settings.cm5_gateway)
    if settings.traefik_gateway is not None:
        machines[TRAEFIK_GATEWAY] = traefik_gateway(settings.traefik_gateway)
    if name is not None and name not in machines:
        raise InputError(f"stack {stack.name!r} has no host {name!r}. {did_you_mean(name, machines)}")
    if not machines:
        raise InputError(f"stack {stack.name!r} has no hosts: describe one in {stack.file.name} (docs/hosts.md)")
    chosen = {key: machine for key, machine in machines.items() if name in {None, key}}
    secrets = login_secrets(stack, settings, chosen, report)
    away = _stopped_with_the_sandbox(stack, chosen)
    looked = iter(asyncio.run(_look_at_all({key: chosen[key] for key in chosen if key not in away}, secrets)))
    found = [HostReport(key, "", away[key]) if key in away else next(looked) for key in chosen]
    if as_json:
        typer.echo(json.dumps([asdict(each) | {"ok": each.ok} for each in found], indent=2))
    else:
        for each in found:
            _print(each)
    return 0 if all(each.ok for each in found) else 1


def _stopped_with_the_sandbox(stack: Stack, names: Collection[str]) -> dict[str, str]:
    """Return the machines that the sandbox stands for, each with what to do, if it is stopped."""
    described = stack.config.get("factory:hosts")
    hosts = described if stack.embedded and isinstance(described, dict) else {}
    ours = [name for name in names if name in hosts and "connection" not in hosts[name]]
    status = Sandbox(state_dir()).status() if ours else None
    if status is None or status.state is not SandboxState.STOPPED:
        return {}
    why = f" ({status.note})" if status.note else ""
    return dict.fromkeys(ours, f"the sandbox, which stands for it, is stopped{why}: run `./factory sandbox start`")


async def _look_at_all(hosts: Mapping[str, MachineArgs], secrets: Mapping[str, Mapping[str, str]]) -> list[HostReport]:
    pool = HostPool()
    try:
        looks = [_look(pool, name, machine, secrets.get(name, {})) for name, machine in hosts.items()]
        return list(await asyncio.gather(*looks))
    finally:
        await pool.close()


async def _look(pool: HostPool, name: str, machine: MachineArgs, secrets: Mapping[str, str]) -> HostReport:
    host = machine.connection
    if host is None:
        return HostReport(name, "", "has no connection")
    checks = {key: check for role in machine.roles.values() for key, check in expected_of(role).items()}
    checks |= machine.checks
    seconds = sum(check.timeout for check in checks.values()) + _SECONDS_MORE
    packages = {
        key: item for role in machine.roles.values() for key, item in role.document().get("packages", {}).items()
    }
    try:
        session = await pool.session(host, login_of(secrets), secrets.get("sudo_password"))
        before = time.time()
        facts = dict((await session.plan({"document": {"packages": packages}, "resource": "doctor"}))["facts"])
        facts["skew"] = skew(facts["clock"], before, time.time())
        requests = {key: check.request() for key, check in checks.items()}
        observed = (await session.check(requests, seconds=seconds))["checks"] if checks else {}
    except (HostError, TimeoutError) as error:
        reason = str(error) or f"{host.place}: the checks did not end within {seconds} s"
        return HostReport(name, host.place, reason)
    return HostReport(name, host.place, facts=facts, checks=judge(checks, observed))


def _print(found: HostReport) -> None:
    if found.error:
        typer.echo(f"{found.host}: FAILED {found.error}")
        return
    typer.echo(f"{found.host} ({found.place}): {', '.join(_in_words(found.facts))}")
    for check in found.checks:
        if check.ok:
            typer.echo(f"  ok      {check.name}: {check.actual}")
            continue
        typer.echo(f"  FAILED  {check.name} ({check.subject}): expected {check.expected}, found {check.actual}")
        if check.likely_cause:
            typer.echo(f"          -> {check.likely_cause}")


def _in_words(facts: Mapping[str, Any]) -> list[str]:
    system = facts["os"]
    words = [f"{system['id']} {system['version_id']}"] if system["id"] else []
    words += [facts["arch"], f"Python {facts['python']}"]
    words += [f"{room['free'] / _GIB:.1f} GiB free on {path}" for path, room in facts["disk"].items()]
    words.append("root" if facts["uid"] == 0 else f"uid {facts['uid']}")
    words.append("systemd" if facts["systemd"] else "no systemd")
    if abs(facts["skew"]) > _SKEW_SECONDS:
        words.append(f"CLOCK off by {facts['skew']:+.0f} s")
    if facts.get("apt_lock"):
        words.append("the lock of apt is held")
    return words
