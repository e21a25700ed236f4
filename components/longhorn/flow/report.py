"""What came of a run, for people and as JSON (LHR-160 .. LHR-162, DEF-19)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

__all__ = ["Outcome", "PhaseTime", "RunReport", "VolumeReport"]

_WIDTH: Final = 40
"""Characters that a run's whole time is drawn with."""
_NAMES: Final = 12
"""Names of the root directory that a person is shown."""


class Outcome(StrEnum):
    """How one volume ended."""

    RECOVERED = "recovered"
    WARNINGS = "recovered with warnings"
    UNVERIFIED = "data restored, workload not verified"
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True)
class PhaseTime:
    """How long a phase took."""

    phase: str
    seconds: float


@dataclass
class VolumeReport:
    """One volume."""

    pv_name: str
    claim: str
    outcome: Outcome = Outcome.NOT_REACHED
    source: str = ""
    candidates: list[dict[str, Any]] = field(default_factory=list)
    backup: str = ""
    backup_digest: str = ""
    image: str = ""
    image_sha256: str = ""
    content: dict[str, Any] = field(default_factory=dict)
    """What the image is made of: layers with the bytes they gave, file system, journal, check, names in its root."""
    phase: str = ""
    """The last phase that was completed."""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a person should know, and what takes nothing from the outcome."""
    error: str = ""
    code: str = ""
    verification: str = ""
    timeline: list[PhaseTime] = field(default_factory=list)
    method: str = "MTH-D: block-device injection, because the Volume is gone and its directories are not"

    @property
    def seconds(self) -> float:
        """The time to recover."""
        return sum(item.seconds for item in self.timeline)


@dataclass
class RunReport:
    """All volumes of a run."""

    volumes: list[VolumeReport]
    evidence: str = ""
    paused: list[str] = field(default_factory=list)
    """Automation that stays paused, and why."""

    @property
    def outcome(self) -> Outcome:
        """The worst of all."""
        order = (Outcome.FAILED, Outcome.NOT_REACHED, Outcome.UNVERIFIED, Outcome.WARNINGS, Outcome.RECOVERED)
        return min((item.outcome for item in self.volumes), key=order.index)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "outcome": self.outcome.value,
            "evidence": self.evidence,
            "paused": self.paused,
            "volumes": [
                {
                    **{key: value for key, value in vars(item).items() if key != "timeline"},
                    "outcome": item.outcome.value,
                    "timeline": [{"phase": step.phase, "seconds": round(step.seconds, 3)} for step in item.timeline],
                    "seconds": round(item.seconds, 3),
                }
                for item in self.volumes
            ],
        }

    def text(self) -> str:
        """Return what a person reads at the end."""
        lines = []
        for item in self.volumes:
            lines.append(f"{item.claim} ({item.pv_name}): {item.outcome.value}, time to recover {item.seconds:.0f} s")
            lines += [f"  {label}: {value}" for label, value in _rows(item) if value]
            lines += [f"  warning: {warning}" for warning in item.warnings]
            lines += [f"  note: {note}" for note in item.notes]
            lines += [f"  {line}" for line in _timeline(item.timeline)]
        lines += [f"still paused: {text}" for text in self.paused]
        lines += [f"evidence: {self.evidence}"] if self.evidence else []
        if self.outcome in {Outcome.RECOVERED, Outcome.WARNINGS}:
            lines.append("next: check through the application; recover the other volumes; then take a fresh dump")
        lines.append("backups and images are kept; remove them by hand when everything is verified")
        return "\n".join(lines)


def _timeline(steps: Sequence[PhaseTime]) -> Iterator[str]:
    """Draw each phase where it lies in the whole: when it began, how long it took."""
    total = sum(step.seconds for step in steps)
    begin = 0.0
    for step in steps:
        first = int(begin / total * _WIDTH) if total else 0
        begin += step.seconds
        last = max(int(begin / total * _WIDTH), first + 1) if total else 1
        bar = ("#" * (last - first)).rjust(last).ljust(_WIDTH, ".").replace(" ", ".")[:_WIDTH]
        yield f"{step.phase:<8} {step.seconds:>8.1f} s  [{bar}]"


def _rows(item: VolumeReport) -> tuple[tuple[str, str], ...]:
    return (
        ("source", item.source),
        ("backup", item.backup),
        ("image", item.image),
        ("content", _content(item.content)),
        ("error", item.error),
        ("verification", item.verification),
    )


def _content(content: Mapping[str, Any]) -> str:
    """Say what was found in the image, so that a person sees at once whether it is the right volume."""
    if not content:
        return ""
    names = content["root"]
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return (
        f"{content['data_bytes'] / 2**20:.1f} MiB of {len(content['layers'])} layers, {content['file_system']} "
        f"{content['uuid']}, journal {content['journal']}, fsck {content['check']}; in its root: "
        f"{', '.join(names[:_NAMES])}{more}"
    )
