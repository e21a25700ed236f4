"""The fork server of a run begins with what the stack declares, and is marked as its run will be."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli import forks
from cli.stack import Stack
from stacks.settings.schema import Settings
from toolchain import engine_home

Started = tuple[str, Sequence[str], Sequence[str]]


def stack(**config: Any) -> Stack:
    return Stack("demo", Path("Pulumi.demo.yaml"), "sandbox", embedded=False, config=config)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    """The mark and both lists of modules of each server that was started, and `end` for each that was ended."""
    seen: list[Started] = []

    @contextmanager
    def server(
        environment: Mapping[str, str], modules: Sequence[str], later: Sequence[str]
    ) -> Iterator[dict[str, str]]:
        seen.append((environment[forks.RUN_VARIABLE], modules, later))
        yield {"SERVER": "there"}
        seen.append(("end", (), ()))

    monkeypatch.setattr(forks, "fork_server", server)
    monkeypatch.setattr(engine_home, "own_host", lambda: True)
    return seen


def test_a_server_knows_the_sections_and_the_mark(started: list[Started]) -> None:
    with forks.forks(stack(**{"factory:hosts": {}, "factory:environment": "sandbox"})) as forked:
        assert started == [(forked.mark, ["components.host.machine"], ["toolchain.plugins.factory_host.provider"])]
        assert forked.variables == {"SERVER": "there"}
        with forked.server:
            pass
        assert started[1:] == [("end", (), ())], "the run has ended, and its server with it"
    assert len(started) == 2


def test_the_official_engine_needs_none(started: list[Started], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_home, "own_host", lambda: False)
    with forks.forks(stack()) as forked:
        assert forked.variables == {}
    assert started == []


def test_sections_and_modules_exist() -> None:
    assert forks._SECTIONS.keys() <= Settings.model_fields.keys()
    assert all(importlib.util.find_spec(module) for modules in forks._SECTIONS.values() for module in modules)
