"""How long backends and engine take: a start, a preview that finds nothing, one application more, and 1, 10 and 50.

The peer of those numbers of applications is a plain program that makes the same resources.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.engine_peer import PEER, plain_program
from bench.harness import QUICK_RUNS, RUNS, Row, interleave, measure
from tests.engine.lifecycle.conftest import with_applications
from tests.support.project import Project
from toolchain.paths import ROOT

STACK = "sandbox"
OURS = "factory"
SIZES = (1, 10, 50)
QUICK_SIZES = (1, 3)
_SECONDS = 1800.0
"""No single command takes longer."""
_EMPTY = f"""\
name: empty
runtime: {{name: python, options: {{toolchain: pip, virtualenv: {ROOT / ".venv"}}}}}
"""


def run(*, quick: bool, note: Callable[[str], None]) -> Iterator[Row]:
    """Run all cases on a sandbox of their own, which is stopped at the end."""
    runs = QUICK_RUNS if quick else RUNS
    with _project() as project:
        yield from _start(project, runs, note)
        note("bringing the committed sandbox stack up")
        project.factory("up", timeout=_SECONDS)
        yield from _preview(project, runs, note)
        yield from _third_application(project, runs, note)
        project.factory("destroy", "--yes", timeout=_SECONDS)
        yield from _many(project, QUICK_SIZES if quick else SIZES, runs, note)


@contextmanager
def _project() -> Iterator[Project]:
    with tempfile.TemporaryDirectory(prefix="factory-bench-") as folder:
        project = Project.copy_to(Path(folder, "checkout"), Path(folder, "state"))
        try:
            yield project
        finally:
            project.factory("sandbox", "stop", check=False)


def _start(project: Project, runs: int, note: Callable[[str], None]) -> Iterator[Row]:
    """Start all backends: once with empty data, then with what they had. The goal is 25 s."""
    note(f"start of all backends, {runs + 1} times")
    first, again = Row("start of all backends, the first", OURS), Row("start of all backends, again", OURS)
    measure(first, lambda: project.factory("sandbox", "start"))
    for _ in range(runs):
        project.factory("sandbox", "stop")
        measure(again, lambda: project.factory("sandbox", "start"))
    yield from (first, again)


def _preview(project: Project, runs: int, note: Callable[[str], None]) -> Iterator[Row]:
    """Compare a preview of the sandbox that changes nothing with one of a program that has nothing in it."""
    note(f"no-op preview with refresh, {runs} times each")
    empty = _empty_program(project)
    rows = interleave(
        "no-op preview with refresh",
        {"empty program": empty, OURS: lambda: project.factory("preview", "--expect-no-changes", timeout=_SECONDS)},
        runs,
    )
    nothing, ours = (row.median for row in rows)
    note(f"empty program {nothing:.2f} s, factory {ours:.2f} s; the goal is {2 * nothing + 1:.2f} s")
    yield from rows


def _empty_program(project: Project) -> Callable[[], object]:
    """Return what previews an empty program with the engine and the state backend of the sandbox."""
    folder = project.root.parent / "empty"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(_EMPTY, "utf-8")
    (folder / "__main__.py").write_text('"""Nothing."""\n', "utf-8")
    exports = project.factory("env").stdout

    def pulumi(*arguments: str) -> None:
        script = f'{exports}\nunset PULUMI_STACK\nexec pulumi "$@"'
        command = ["sh", "-c", script, "pulumi", *arguments]
        subprocess.run(command, cwd=folder, env=project.variables, check=True, capture_output=True, timeout=_SECONDS)

    pulumi("stack", "init", "empty")
    return lambda: pulumi("preview", "--refresh", "--stack", "empty", "--color", "never")


def _third_application(project: Project, runs: int, note: Callable[[str], None]) -> Iterator[Row]:
    note(f"up of a third application, {runs} times")
    row = Row("up of a third application", OURS)
    before = project.configuration(STACK)
    for _ in range(runs):
        project.configure(STACK, _with_third(before))
        measure(row, lambda: project.factory("up", timeout=_SECONDS))
        project.configure(STACK, before)
        project.factory("up", timeout=_SECONDS)
    yield row


def _with_third(document: dict[str, Any]) -> dict[str, Any]:
    """Add one application like `webapp` to the two that are there."""
    config, third = document["config"], with_applications(document, "third")["config"]
    more = {key: config[key] | third[key] for key in ("factory:apps", "factory:secrets")}
    return document | {"config": config | more}


def _many(project: Project, sizes: tuple[int, ...], runs: int, note: Callable[[str], None]) -> Iterator[Row]:
    """Bring stacks of several sizes up from nothing. The large ones run fewer times: the table tells how many."""
    before = project.configuration(STACK)
    for size in sizes:
        times = runs if size == 1 else 1
        note(f"{size} applications, {times} times each")
        project.configure(STACK, with_applications(before, *(f"app-{number:02}" for number in range(1, size + 1))))
        label = f"{size} application{'s' if size > 1 else ''}"
        rows = {
            peer: (Row(f"{label}: up from nothing", peer), Row(f"{label}: no-op preview", peer))
            for peer in (OURS, PEER)
        }
        bytes_ = dict.fromkeys(rows, 0)
        for _ in range(times):
            up, preview = rows[OURS]
            measure(up, lambda: project.factory("up", timeout=_SECONDS))
            measure(preview, lambda: project.factory("preview", "--expect-no-changes", timeout=_SECONDS))
            bytes_[OURS], resources = project.state_file(STACK).stat().st_size, project.resources(STACK, decrypted=True)
            project.factory("destroy", "--yes", timeout=_SECONDS)
            up, preview = rows[PEER]
            with plain_program(project, STACK, resources) as plain:
                measure(up, plain.up)
                measure(preview, plain.preview)
                bytes_[PEER] = project.state_file(STACK).stat().st_size
                plain.destroy()
        for peer, pair in rows.items():
            yield from (replace(row, state_bytes=bytes_[peer]) for row in pair)
