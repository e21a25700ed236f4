"""Waiting for an object to become usable, or to be gone."""

import threading
import time

from toolchain.plugins.kit import Context, ProviderError

from .client import Object
from .objects import Objects, Target
from .readiness import DELETE_SECONDS, HopelessError, pods_of, rule_of

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_now = time.monotonic


class NotReadyError(Exception):
    """The wait is over and the object is not usable; the reasons say why."""

    def __init__(self, live: Object, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.live = live
        self.reasons = reasons


def until_ready(objects: Objects, target: Target, live: Object, context: Context, timeout: float | None) -> Object:
    """Wait until the object is usable and return it as it is then; raises :class:`NotReadyError`.

    ``timeout`` (seconds) defaults to that of the object's kind.
    """
    found = rule_of(live)
    if found is None:
        return live
    rule, usual = found
    pause = _Pause(timeout or usual, context.cancelled)
    missing: list[str] = []
    while True:
        try:
            now = list(rule(live, objects))
        except HopelessError as error:
            raise NotReadyError(live, [f"{target}: {error}", *_details(objects, live)]) from None
        if not now:
            return live
        if now != missing:
            missing = now
            context.status(f"waiting: {missing[0]}")
        if (end := pause()) is not None:
            raise NotReadyError(live, [*(f"{target} {end}: {reason}" for reason in missing), *_details(objects, live)])
        latest = objects.read(target)
        if latest is None:
            raise NotReadyError(live, [f"{target} was deleted by somebody else"])
        live = latest


def missing_now(objects: Objects, live: Object) -> list[str]:
    """Return what is missing at this moment."""
    found = rule_of(live)
    try:
        return list(found[0](live, objects)) if found else []
    except HopelessError as error:
        return [str(error)]


def until_gone(objects: Objects, target: Target, uid: str | None, context: Context, timeout: float | None) -> None:
    """Wait until the object is gone, or another has taken its name; raises :class:`ProviderError` in time."""
    pause = _Pause(timeout or DELETE_SECONDS, context.cancelled)
    said = ""
    while True:
        live = objects.read(target)
        if live is None or (uid is not None and live["metadata"].get("uid") != uid):
            return
        if (end := pause()) is not None:
            raise ProviderError(f"{target} {end}: it still exists{_hold(live)}.")
        if (message := f"waiting until it is gone{_hold(live)}") != said:
            said = message
            context.status(said)


class _Pause:
    """Sleeps ever longer between two looks; says so when the time is over or the user has interrupted."""

    def __init__(self, timeout: float, cancelled: threading.Event) -> None:
        self._timeout = timeout
        self._cancelled = cancelled
        self._end = _now() + timeout
        self._length = _FIRST_PAUSE

    def __call__(self) -> str | None:
        left = self._end - _now()
        if left <= 0:
            return f"is not done after {self._timeout:g} s"
        if self._cancelled.wait(min(self._length, left)):
            return "was not waited for to the end (the run was interrupted)"
        self._length = min(self._length * 1.5, _LONGEST_PAUSE)
        return None


def _details(objects: Objects, live: Object) -> list[str]:
    """Return what pods and events tell; the reasons for the failure do not depend on getting them."""
    try:
        return [*pods_of(live, objects)[:3], *objects.warnings(live)]
    except ProviderError:
        return []


def _hold(live: Object) -> str:
    metadata, status = live["metadata"], live.get("status", {})
    conditions = (status.get("conditions") or []) if status.get("phase") == "Terminating" else []
    reasons = [str(c["message"]) for c in conditions if c.get("status") == "True" and c.get("message")]
    finalizers = [*metadata.get("finalizers", []), *(live.get("spec", {}).get("finalizers") or [])]
    reasons += [f"finalizers {', '.join(finalizers)}"] if finalizers else []
    return f" ({'; '.join(reasons)})" if reasons else ""
