"""What every test can rely on: the seed of this run, and skips that only a missing capability of the machine allows."""

from __future__ import annotations

import os
import random
from collections.abc import Generator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

import toolchain

# The files of these folders share what the first of them made, and follow one another.
IN_ONE_PIECE = ("tests/engine/application/",)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist publishes no types
    """Hands out whole files of tests, or whole folders where the files belong together."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in IN_ONE_PIECE if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Run whole files in one worker: each worker starts its backends once."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of this run, printed by `./factory test`."""
    return int(os.environ.get("FACTORY_SEED", "0"))


@pytest.fixture
def dice(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """Random choices that the seed and the test's own name decide."""
    return random.Random(f"{seed}:{request.node.nodeid}")


@pytest.fixture(scope="session")
def long_run() -> bool:
    """Whether this is `./factory test --long`."""
    return os.environ.get("FACTORY_LONG") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the tools (a plain `pytest`), the tests that need them are skipped and say so."""
    if os.environ.get("FACTORY_LONG") != "1":
        not_long = pytest.mark.skip(reason="runs with --long only")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(not_long)
    if "FACTORY_SEED" not in os.environ and not _tools_are_there():
        missing = pytest.mark.skip(reason="needs the tools: run `./factory test`")
        for item in items:
            if item.get_closest_marker("engine"):
                item.add_marker(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """CI has every capability: there, only what runs with `--long` may be skipped."""
    report = yield
    if os.environ.get("CI") and report.skipped and not item.get_closest_marker("long"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {reason}"
    return report


def _tools_are_there() -> bool:
    return all(toolchain.locate(name) is not None for name in ("pulumi", "kube-apiserver", "vault"))
