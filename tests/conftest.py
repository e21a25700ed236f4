"""What every test can rely on: the seed of this run, and skips that only a missing capability of the machine allows."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Generator
from typing import TypeVar

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

import toolchain
from sandbox.supervisor import OWNER_VARIABLE

# The files of these folders share what the first of them made, and follow one another.
IN_ONE_PIECE = ("tests/engine/application/",)

# What takes longest comes first, so that the workers end together: half a minute and more each, on two cores.
SLOWEST_FIRST = (
    "tests/engine/application/",
    "tests/engine/lifecycle/test_kill.py",
    "tests/engine/lifecycle/test_command_line.py",
    "tests/engine/host_state/",
    "tests/engine/adoption/",
    "tests/engine/test_sandbox_lifecycle.py",
    "tests/engine/plugin_kubernetes/test_with_engine.py",
    "tests/upgrade/",
    "tests/engine/lifecycle/test_production.py",
    "tests/engine/lifecycle/test_agreed_plan.py",
    "tests/engine/",
    "tests/hosts/",
    "tests/unit/test_quality.py",
)


NOT_LONG = "runs with --long only"


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist publishes no types
    """Hands out whole files of tests, or whole folders where the files belong together."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in IN_ONE_PIECE if file.startswith(folder)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Run whole files in one worker: each worker starts its backends once."""
    return ByFile(config, log)


# A busy machine is no failure; in CI too each run tries other examples.
hypothesis.settings.register_profile("factory", hypothesis.settings(), deadline=None, derandomize=False)
hypothesis.settings.load_profile("factory")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Heed interrupts, leave no sandbox behind even if this process is killed, and let one seed decide everything."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = os.environ.get("FACTORY_SEED")
    # A shell that starts tests in the background has interrupts ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ[OWNER_VARIABLE] = str(os.getpid())


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
    """Order the tests; without the tools (a plain `pytest`), those that need them are skipped and say so."""
    items.sort(key=lambda item: _place(item.nodeid))
    if os.environ.get("FACTORY_LONG") != "1":
        not_long = pytest.mark.skip(reason=NOT_LONG)
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(not_long)
    if "FACTORY_SEED" not in os.environ and not _tools_are_there():
        missing = pytest.mark.skip(reason="needs the tools: run `./factory test`")
        for item in items:
            if item.get_closest_marker("engine"):
                item.add_marker(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """CI has every capability: there, only what runs with `--long` may be skipped."""
    report = yield
    return _complete(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that is skipped as a whole is skipped, too."""
    report = yield
    return _complete(report)


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def _complete(report: Report) -> Report:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if os.environ.get("CI") and report.skipped and NOT_LONG not in reason:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {reason}"
    return report


def _place(nodeid: str) -> int:
    """Return when a test's turn is; among equals the order stays as it is."""
    return next((place for place, path in enumerate(SLOWEST_FIRST) if nodeid.startswith(path)), len(SLOWEST_FIRST))


def _tools_are_there() -> bool:
    return all(toolchain.locate(name) is not None for name in ("pulumi", "kube-apiserver", "vault"))
