"""What an agent's preflight facts warn of before anything is changed: clock, disk, the lock of apt. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["skew", "warnings"]

_SKEW_SECONDS: Final = 60
"""From here on signatures and certificates may be refused as not valid yet, or no more."""
_LITTLE_ROOM: Final = 100 * 1024**2
_MIB: Final = 1024**2


def skew(clock: float, before: float, after: float) -> float:
    """Return by how many seconds a host's clock is wrong that was read at some moment between two of ours.

    Only what lies outside of them is skew; a clock that is slow gives a negative number.
    """
    return round(min(0.0, clock - before) + max(0.0, clock - after), 1)


def warnings(facts: Mapping[str, Any], before: float, after: float) -> Iterator[str]:
    """Say what may stop a run half-way; ``before`` and ``after`` are our clock around the question."""
    wrong = skew(facts.get("clock", before), before, after)
    if abs(wrong) > _SKEW_SECONDS:
        way = "ahead" if wrong > 0 else "behind"
        yield (
            f"its clock is {abs(wrong):.0f} s {way}: signatures of packages and certificates may be refused; let "
            "systemd-timesyncd or chrony set it first"
        )
    for path, room in facts.get("disk", {}).items():
        if room["free"] < _LITTLE_ROOM:
            yield f"only {room['free'] / _MIB:.0f} MiB are free on {path}: packages may not fit; free some room first"
    if facts.get("apt_lock"):
        yield "another program holds the lock of apt: the run waits for it, and gives up after two minutes"
