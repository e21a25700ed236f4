"""What is there: the stack, the engine, the tools, the backends."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import ExitStack
from dataclasses import asdict

import typer
from rich import box
from rich.console import Console
from rich.table import Table

import toolchain
from cli.confirmation import confirmed
from cli.exclusive import alone
from cli.session import Report
from cli.stack import PROJECT, Stack
from sandbox.status import SandboxStatus
from sandbox.supervisor import Sandbox
from toolchain.progress import size


def show(stack: Stack, *, as_json: bool) -> None:
    """Print the selected stack, its engine and, for an embedded one, its backends."""
    engine = toolchain.locate("pulumi")
    facts = {
        "stack": stack.name,
        "file": stack.file.name,
        "environment": stack.environment,
        "backends": "embedded" if stack.embedded else "configured",
        "engine": f"{engine.version} ({engine.origin})" if engine else "not there yet; `./factory up` gets it",
    }
    sandbox = Sandbox(toolchain.state_dir()).status() if stack.embedded else None
    if as_json:
        typer.echo(json.dumps(facts | {"sandbox": sandbox.model_dump(mode="json") if sandbox else None}, indent=2))
        return
    for name, value in facts.items():
        typer.echo(f"{name:12} {value}")
    if sandbox:
        typer.echo(f"{'sandbox':12} {sandbox.state}")


def show_tools(*, as_json: bool) -> None:
    """Print each tool with version, origin, size and state."""
    rows = toolchain.table()
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2, default=str))
        return
    table = _plain_table("tool", "version", "origin", "size", "state")
    for row in rows:
        table.add_row(row.name, row.version, str(row.origin), size(row.size) if row.size else "", row.state)
    _console().print(table)


def show_backends(*, as_json: bool) -> None:
    """Print each backend with its state, address and memory."""
    status = Sandbox(toolchain.state_dir()).status()
    if as_json:
        typer.echo(status.model_dump_json(indent=2))
        return
    _console().print(_backend_table(status))
    typer.echo(f"{status.state}, {size(status.memory_bytes)} of memory, data in {status.state_dir}")
    for line in (*status.uncovered, status.note):
        if line:
            typer.echo(line)


def reset_sandbox(*, yes: bool, report: Report) -> None:
    """Delete the backends' data and the states of the stacks that described it, with the copies of these.

    What runs noted of themselves stays: the next run ends what a killed one left. Raises InputError, SandboxError,
    CommandError while a stack is being changed, OSError.
    """
    directory = toolchain.state_dir()
    question = f"Delete the databases, secrets and objects of the sandbox below {directory}?"
    with ExitStack() as held:
        # Of all stacks: each run uses the engine's home.
        for folder in sorted((directory / "runs").glob("*/")):
            held.enter_context(alone(folder.name))
        if not yes and not confirmed("sandbox", question):
            report("nothing was changed")
            raise typer.Exit(1)
        Sandbox(directory).reset(report, yes=True)
        states = (directory / "backend" / ".pulumi" / "stacks" / PROJECT).glob("*.json")
        copies = [directory / "state-copies" / state.stem for state in states]
        for folder in (*copies, directory / "pulumi-home", directory / "backend"):
            if folder.exists():
                shutil.rmtree(folder)


def _backend_table(status: SandboxStatus) -> Table:
    table = _plain_table("backend", "state", "pid", "address", "memory", "up")
    for row in status.backends:
        table.add_row(
            row.backend,
            row.state,
            str(row.pid or ""),
            row.address,
            size(row.memory_bytes) if row.memory_bytes else "",
            f"{row.uptime_seconds:.0f} s" if row.uptime_seconds is not None else "",
        )
    return table


def _plain_table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _console() -> Console:
    # Off a terminal there is no width to keep to: a wrapped address cannot be copied or searched.
    return Console() if sys.stdout.isatty() else Console(width=160)
