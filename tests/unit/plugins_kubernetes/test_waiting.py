from __future__ import annotations

import threading

import pytest

from toolchain.plugins.kit import Context, ProviderError
from toolchain.plugins.kubernetes.client import Object
from toolchain.plugins.kubernetes.discovery import Kind, Resource
from toolchain.plugins.kubernetes.objects import Target
from toolchain.plugins.kubernetes.waiting import NotReadyError, until_gone, until_ready

TARGET = Target(Resource(Kind("", "v1", "PersistentVolume"), "persistentvolumes", namespaced=False), "", "data")


class Objects:
    """Shows an object which becomes another one, look by look; the last stays."""

    def __init__(self, *looks: Object | None) -> None:
        self._looks = list(looks)

    def read(self, target: Target) -> Object | None:
        assert target == TARGET
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]

    def warnings(self, item: Object) -> list[str]:
        return [f"event about {item['metadata']['name']}"]


def volume(phase: str, uid: str = "1", **metadata: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "data", "uid": uid, **metadata},
        "spec": {},
        "status": {"phase": phase},
    }


class Interruption(threading.Event):
    """Moves the clock on instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0
        return self.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Interruption:
    interruption = Interruption()
    monkeypatch.setattr("toolchain.plugins.kubernetes.waiting._now", lambda: interruption.now)
    return interruption


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def context(clock: Interruption, said: list[str]) -> Context:
    return Context("t", cancelled=clock, status=said.append)


def ready(objects: Objects, live: Object, context: Context, timeout: float | None = None) -> Object:
    return until_ready(objects, TARGET, live, context, timeout)  # type: ignore[arg-type]


def test_the_object_is_returned_as_it_is_once_it_is_usable(context: Context, said: list[str]) -> None:
    found = ready(Objects(volume("Pending"), volume("Pending"), volume("Bound")), volume("Pending"), context)
    assert found["status"]["phase"] == "Bound"
    assert said == ["waiting: the volume is Pending, not Available or Bound"]


def test_a_kind_without_a_rule_is_usable_at_once(context: Context, clock: Interruption) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}
    assert ready(Objects(None), account, context) is account
    assert clock.now == 0


@pytest.mark.parametrize(("timeout", "seconds"), [(7.0, 7.0), (None, 300.0)])
def test_when_the_time_is_over_the_reasons_are_told(
    timeout: float | None, seconds: float, context: Context, clock: Interruption
) -> None:
    with pytest.raises(NotReadyError) as error:
        ready(Objects(volume("Pending")), volume("Pending"), context, timeout=timeout)
    assert error.value.reasons == [
        f"PersistentVolume data is not done after {seconds:g} s: the volume is Pending, not Available or Bound",
        "event about data",
    ]
    assert error.value.live["status"]["phase"] == "Pending"
    assert clock.now == pytest.approx(seconds)


def test_an_interrupted_run_does_not_wait(context: Context, clock: Interruption) -> None:
    clock.set()
    with pytest.raises(NotReadyError, match="the run was interrupted"):
        ready(Objects(volume("Pending")), volume("Pending"), context)
    assert clock.now < 1


def test_an_object_which_vanishes_meanwhile_is_said_so(context: Context) -> None:
    with pytest.raises(NotReadyError, match="was deleted by somebody else"):
        ready(Objects(None), volume("Pending"), context)


def test_what_has_failed_for_good_is_not_waited_for(context: Context, clock: Interruption) -> None:
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": "Failed"}}
    with pytest.raises(NotReadyError, match="the pod has failed: Failed"):
        ready(Objects(None), pod | {"spec": {}}, context)
    assert clock.now == 0


def gone(objects: Objects, context: Context, timeout: float | None = None) -> None:
    until_gone(objects, TARGET, "1", context, timeout)  # type: ignore[arg-type]


def test_a_deletion_ends_when_the_object_is_gone_or_another_has_its_name(
    context: Context, clock: Interruption, said: list[str]
) -> None:
    gone(Objects(volume("Bound"), None), context)
    gone(Objects(volume("Bound"), volume("Bound", uid="2")), context)
    assert 0 < clock.now < 1
    assert said == ["waiting until it is gone"] * 2


def test_a_deletion_which_hangs_names_what_holds_it(context: Context) -> None:
    held = volume("Terminating", finalizers=["example.test/hold"])
    held["status"]["conditions"] = [
        {"type": "ContentRemaining", "status": "True", "message": "2 pods remain"},
        {"type": "Other", "status": "False", "message": "nothing"},
    ]
    with pytest.raises(ProviderError) as error:
        gone(Objects(held), context, timeout=5)
    assert str(error.value) == (
        "PersistentVolume data is not done after 5 s: it still exists (2 pods remain; finalizers example.test/hold)."
    )
