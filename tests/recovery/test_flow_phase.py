"""One phase: what it bears of the API server, and when it takes the world to resist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from components.longhorn.flow.engine import PhaseRunner
from components.longhorn.flow.interfaces import ClusterError, Document, Ref
from components.longhorn.flow.journal import Evidence
from components.longhorn.flow.steps import Act, Done, Patch, Step, StopError, Wait
from tests.support.memory_cluster import MemoryCluster
from tests.support.recovery_node import FakeClock

PV = Ref("PersistentVolume", "pv-1")
CHANGE = Act("change pv-1", Patch(PV, {"metadata": {"labels": {"changed": "yes"}}}))
BUSY = ClusterError(503, "busy")
BORNE = 20


class Refusing(MemoryCluster):
    """Answers the first changes with an error."""

    def __init__(self, refusals: int) -> None:
        super().__init__(FakeClock().now)
        self.refusals = refusals
        self.add(PV, {"metadata": {}})

    def patch(self, ref: Ref, body: Mapping[str, Any] | Sequence[Mapping[str, Any]], subresource: str = "") -> Document:
        if self.refusals:
            self.refusals -= 1
            raise BUSY
        return super().patch(ref, body, subresource)


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def phase(decisions: Iterable[Step | ClusterError], cluster: MemoryCluster | None = None) -> Done:
        left = iter(decisions)

        def decide() -> Step:
            step = next(left)
            if isinstance(step, ClusterError):
                raise step
            return step

        clock = FakeClock()
        evidence = Evidence(tmp_path, "run", clock)
        return PhaseRunner(cluster or Refusing(0), None, clock, evidence, "pv-1", consented=True).run("attach", decide)

    return phase


def test_single_troubles_of_a_long_wait_add_up_to_nothing(run: Run) -> None:
    assert run([BUSY, Wait("it is attached", 10_000)] * 3 * BORNE + [Done()]) == Done()


def test_trouble_without_end_ends_the_phase(run: Run) -> None:
    assert run([BUSY] * BORNE + [Done()]) == Done()
    with pytest.raises(ClusterError, match="busy"):
        run([BUSY] * (BORNE + 1) + [Done()])


def test_a_change_that_could_not_be_made_was_not_undone(run: Run) -> None:
    cluster = Refusing(BORNE)
    assert run([CHANGE] * (BORNE + 1) + [Done()], cluster) == Done()
    assert (cluster.get(PV) or {})["metadata"]["labels"] == {"changed": "yes"}
    with pytest.raises(ClusterError, match="busy"):
        run([CHANGE] * (BORNE + 1), Refusing(BORNE + 1))


def test_a_change_that_is_undone_again_and_again_stops_the_phase(run: Run) -> None:
    with pytest.raises(StopError, match="done 6 times, and each time the cluster undid it") as stopped:
        run([CHANGE] * 7)
    assert stopped.value.code == "undone"
