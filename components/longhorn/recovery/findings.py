"""What can be said about a replica directory: one code per finding, with its weight and its consequence."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any


class Severity(IntEnum):
    """How much a finding matters; the worst one decides the verdict."""

    NOTE = 0
    WARNING = 1
    REFUSED = 2
    DAMAGED = 3


class Verdict(str, Enum):
    """What a directory is good for."""

    USABLE = "usable"
    WARNINGS = "usable with warnings"
    REFUSED = "refused"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Rule:
    """What a code means: how much it matters, what follows from it, and whether a person may accept it."""

    severity: Severity
    consequence: str
    acceptable: bool = False


_N, _W, _R, _D = Severity.NOTE, Severity.WARNING, Severity.REFUSED, Severity.DAMAGED

RULES: dict[str, Rule] = {
    # The directory (ODF-001, ODF-018)
    "unreadable": Rule(_D, "nothing can be said about what cannot be read; run as a user who may read it"),
    "set-aside": Rule(
        _R,
        "its own name says which volume it is, and a renamed one may have been opened by a new Longhorn since",
        acceptable=True,
    ),
    "rebuild-leftover": Rule(_N, "files of an unfinished rebuild or purge are ignored"),
    "stray-file": Rule(_N, "a file that is no part of a replica is ignored"),
    # volume.meta (GLK-001, GLK-013)
    "volume-meta-missing": Rule(_D, "the live head is not known; accepted, the only head is taken", acceptable=True),
    "volume-meta-invalid": Rule(_D, "the live head is not known; accepted, the only head is taken", acceptable=True),
    "volume-size-invalid": Rule(_D, "the size of the image is not known"),
    "head-name-invalid": Rule(_D, "the live head is not known"),
    "head-ambiguous": Rule(_D, "without volume.meta nothing says which head is live; choose one with --until"),
    "several-heads": Rule(_N, "only the head that volume.meta names is live"),
    # The chain (MRG-014, GLK-003)
    "layer-missing": Rule(_D, "every block that only this layer holds is lost"),
    "layer-name-invalid": Rule(_D, "a parent must be a file of the same directory"),
    "layer-not-a-file": Rule(_D, "a layer must be a regular file"),
    "layer-meta-missing": Rule(_D, "what lies below this layer is not known"),
    "layer-meta-invalid": Rule(_D, "what lies below this layer is not known"),
    "chain-cycle": Rule(_D, "the chain never ends"),
    "chain-too-long": Rule(_D, "the engine never makes such a chain"),
    "parent-differs": Rule(_W, "volume.meta keeps only a copy of it; the layer's own file is followed"),
    "branch": Rule(_N, "a snapshot beside the chain is not merged; choose it with --until"),
    "unrelated-layer": Rule(_R, "all layers of a volume grow from one root: a parent was lost", acceptable=True),
    # Sizes (MRG-017, GLK-009)
    "layer-empty": Rule(_D, "the layer lost its content"),
    "layer-truncated": Rule(_D, "the end of the layer is lost"),
    "layer-short": Rule(_W, "right for a volume that was expanded later, otherwise the layer's end is lost"),
    "layer-expanded": Rule(_N, "the volume was expanded after this layer was made"),
    "layer-too-large": Rule(_R, "what lies beyond the volume's size is cut off", acceptable=True),
    "head-size-differs": Rule(_R, "volume.meta and the head disagree; volume.meta's size is used", acceptable=True),
    # State (ODF-011, ODF-012, GLK-011, GLK-015, GLK-028)
    "rebuilding": Rule(_R, "an unfinished rebuild: allocated but mostly zeros", acceptable=True),
    "error": Rule(_R, "Longhorn took this replica out for a fault", acceptable=True),
    "backing-file": Rule(_R, "the bottom layer is elsewhere; without it the image would be wrong"),
    "dirty": Rule(_N, "not closed cleanly, as after any power cut; the file system's journal is not replayed"),
    "encrypted": Rule(_N, "the image is a LUKS container; its passphrase is needed to read it"),
    "revision-invalid": Rule(_N, "the revision counter does not help to rank this directory"),
    "in-use": Rule(_R, "the content changes while it is read; stop its user, or copy the directory", acceptable=True),
    "in-use-unknown": Rule(_N, "other users' processes could not be looked into; run as root to be sure"),
    # Content (LHR-023, LHR-029, ODF-017)
    "no-extents": Rule(_D, "there is not one block of data in any layer"),
    "all-zero": Rule(_R, "everything was overwritten, as by an empty replica", acceptable=True),
    "layer-zeroed": Rule(_R, "a snapshot was overwritten by an empty replica", acceptable=True),
    "too-small": Rule(_R, "a directory that Longhorn just made takes as much", acceptable=True),
    # Copies (GLK-026, GLK-027, MRG-012, MRG-013)
    "holes-filled": Rule(
        _R,
        "each zero of the newest layers now hides older data; `--mode zero-as-hole` sees through them, and brings back "
        "what had been overwritten with zeros",
        acceptable=True,
    ),
    "holes-filled-alone": Rule(_N, "the only layer has no holes; nothing lies below it, so nothing is hidden"),
    "holes-punched": Rule(_W, "what had been overwritten with zeros may show what was there before"),
    "holes-unknown": Rule(_R, "this file system does not tell holes from data; use the files on the disk they were on"),
    # The merge itself (MRG-012, MRG-026)
    "zero-as-hole": Rule(_W, "as asked, a written zero does not hide what lies below it"),
    "read-errors": Rule(_R, "another directory may have it; `--on-read-error zero` merges with zeros there"),
    "not-verified": Rule(_N, "what was written was not read back"),
    "sizes-differ": Rule(_W, "what a smaller one does not have counts as zeros"),
    # Circumstances that only the caller knows (LHR-033)
    "live": Rule(_R, "a live Replica object refers to this directory"),
    "size-unexpected": Rule(_R, "another volume, or an older state of this one", acceptable=True),
    "after-incident": Rule(_R, "changed after the incident, maybe by the new Longhorn", acceptable=True),
    "head-older": Rule(_W, "bigger, and much older than another candidate: compare them before choosing"),
}


@dataclass(frozen=True)
class Finding:
    """One remark: a code of RULES, what was seen, and in which file."""

    code: str
    message: str
    file: str = ""
    accepted: bool = False

    @property
    def rule(self) -> Rule:
        """What the code means."""
        return RULES[self.code]

    @property
    def severity(self) -> Severity:
        """How much it matters; an accepted risk is still a warning."""
        return min(self.rule.severity, Severity.WARNING) if self.accepted else self.rule.severity

    def __str__(self) -> str:
        """Say what was seen, what follows, and how to accept it."""
        place = f"{self.file}: " if self.file else ""
        text = f"{place}{self.message} ({self.code}): {self.rule.consequence}"
        if self.rule.acceptable and self.severity >= Severity.REFUSED:
            text += f" [--accept {self.code}]"
        return text

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "code": self.code,
            "severity": self.severity.name.lower(),
            "file": self.file,
            "message": self.message,
            "consequence": self.rule.consequence,
            "acceptable": self.rule.acceptable,
            "accepted": self.accepted,
        }


def accept(findings: Iterable[Finding], codes: Collection[str]) -> tuple[Finding, ...]:
    """Mark what a person accepts. What may not be accepted stays as it is."""
    return tuple(
        Finding(f.code, f.message, f.file, accepted=True) if f.code in codes and f.rule.acceptable else f
        for f in findings
    )


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Return what the findings leave a directory good for."""
    worst = max((finding.severity for finding in findings), default=Severity.NOTE)
    return {
        Severity.NOTE: Verdict.USABLE,
        Severity.WARNING: Verdict.WARNINGS,
        Severity.REFUSED: Verdict.REFUSED,
        Severity.DAMAGED: Verdict.DAMAGED,
    }[worst]
