"""The fork server of a run begins with what the stack declares, and is marked as its run will be."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli import forks
from cli.stack import Stack
from stacks.settings.schema import Settings
from toolchain import ToolError, engine_home

Seen = tuple[str, Sequence[str], Sequence[str]]


def stack(**config: Any) -> Stack:
    return Stack("demo", Path("Pulumi.demo.yaml"), "sandbox", embedded=False, config=config)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """The mark of each server that was started, the lists of modules it was told, and `end` when it was ended."""
    seen: list[Seen] = []

    @contextmanager
    def server(environment: Mapping[str, str]) -> Iterator[Told]:
        mark = environment[forks.RUN_VARIABLE]
        seen.append((mark, (), ()))
        yield Told(lambda *modules: seen.append((mark, *modules)))
        seen.append(("end", (), ()))

    monkeypatch.setattr(forks, "fork_server", server)
    monkeypatch.setattr(engine_home, "own_host", lambda: True)
    return seen


class Told:
    """A double of the server: it notes what it is told."""

    def __init__(self, note: Callable[[Sequence[str], Sequence[str]], None]) -> None:
        self.note = note

    def serve(self, modules: Sequence[str], later: Sequence[str]) -> dict[str, str]:
        self.note(modules, later)
        return {"SERVER": "there"}


def test_a_server_knows_the_sections_and_the_mark(started: list[Seen]) -> None:
    with forks.forks(stack(**{"factory:hosts": {}, "factory:environment": "sandbox"})) as forked:
        hosts = (forked.mark, ["components.host.machine"], ["toolchain.plugins.factory_host.provider"])
        assert started == [(forked.mark, (), ()), hosts]
        assert forked.variables == {"SERVER": "there"}
        with forked.server:
            pass
        assert started[2:] == [("end", (), ())], "the run has ended, and its server with it"
    assert len(started) == 3


def test_the_first_run_takes_the_server_that_began_before_it(started: list[Seen]) -> None:
    with forks.early():
        assert len(started) == 1
        with forks.forks(stack()) as first:
            assert started == [(first.mark, (), ()), (first.mark, [], [])]
        assert started[2:] == [("end", (), ())]
        with forks.forks(stack()) as second:
            assert second.mark != first.mark
        assert len(started) == 6
    assert len(started) == 6, "ended once"


def test_a_server_that_no_run_takes_is_ended(started: list[Seen]) -> None:
    with forks.early():
        assert len(started) == 1
    assert [mark for mark, *_ in started[1:]] == ["end"]
    with forks.forks(stack()) as forked:
        assert started[2][0] == forked.mark, "a server that has ended is not taken"


def test_a_system_without_such_sockets_does_without(started: list[Seen], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_environment: Mapping[str, str]) -> Told:
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(forks, "fork_server", refused)
    with forks.early(), forks.forks(stack()) as forked:
        assert forked.variables == {}
    assert started == []


def test_what_is_missing_is_left_to_the_run(started: list[Seen], monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> bool:
        raise ToolError("FACTORY_TOOLS=no: unknown value")

    monkeypatch.setattr(engine_home, "own_host", unknown)
    with forks.early():
        assert started == []


def test_the_official_engine_needs_none(started: list[Seen], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_home, "own_host", lambda: False)
    with forks.forks(stack()) as forked:
        assert forked.variables == {}
    assert started == []


def test_sections_and_modules_exist() -> None:
    assert forks._SECTIONS.keys() <= Settings.model_fields.keys()
    assert all(importlib.util.find_spec(module) for modules in forks._SECTIONS.values() for module in modules)
