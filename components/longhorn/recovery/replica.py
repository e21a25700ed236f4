"""One replica directory as it lies on a disk: its files, its chain of layers, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .findings import Finding, Severity, Verdict, accept, verdict
from .metadata import VolumeMeta


@dataclass(frozen=True)
class Layer:
    """One file of a chain. Sizes in bytes; `allocated` counts the disk's blocks, as `du` does."""

    name: str
    path: Path
    parent: str
    size: int
    allocated: int
    mtime_ns: int
    inode: int = 0
    removed: bool = False
    user_created: bool = False
    created: str = ""

    @property
    def is_head(self) -> bool:
        """Whether this is a log that is written to, and no snapshot."""
        return self.name.startswith("volume-head-")

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "parent": self.parent,
            "size": self.size,
            "allocated": self.allocated,
            "mtime_ns": self.mtime_ns,
            "inode": self.inode,
            "removed": self.removed,
            "user_created": self.user_created,
            "created": self.created,
        }


@dataclass(frozen=True)
class Chain:
    """The layers that make the volume, newest first, and the size in bytes that they make."""

    volume_size: int
    layers: tuple[Layer, ...]

    @property
    def head(self) -> Layer:
        """The newest layer."""
        return self.layers[0]

    @property
    def root(self) -> Layer:
        """The oldest layer."""
        return self.layers[-1]

    @property
    def names(self) -> tuple[str, ...]:
        """The file names, newest first."""
        return tuple(layer.name for layer in self.layers)


@dataclass(frozen=True)
class Replica:
    """A replica directory. `chain` is None when no complete chain can be followed; the findings then say why.

    `actual` is what the directory takes on disk, its own block included (`du -s`, LHR-022); `apparent` the sum of the
    files' lengths. Both in bytes. `node` and `disk` are names that the caller gives.
    """

    path: Path
    name: str
    volume: str
    suffix: str
    node: str = ""
    disk: str = ""
    meta: VolumeMeta | None = None
    chain: Chain | None = None
    branches: tuple[Layer, ...] = ()
    apparent: int = 0
    actual: int = 0
    newest_mtime_ns: int = 0
    revision: int | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What the directory is good for."""
        return verdict(self.findings)

    @property
    def head_mtime_ns(self) -> int:
        """When the newest layer was last written, or 0."""
        return self.chain.head.mtime_ns if self.chain else 0

    def accepting(self, codes: Collection[str]) -> Replica:
        """Return the same directory with these risks accepted."""
        return replace(self, findings=accept(self.findings, codes))

    def with_findings(self, *findings: Finding) -> Replica:
        """Return the same directory with further findings."""
        return replace(self, findings=self.findings + findings)

    def reasons(self, least: Severity = Severity.REFUSED) -> tuple[str, ...]:
        """Return what speaks against it, worst first."""
        heavy = [finding for finding in self.findings if finding.severity >= least]
        return tuple(str(finding) for finding in sorted(heavy, key=lambda finding: -finding.severity))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "path": str(self.path),
            "name": self.name,
            "volume": self.volume,
            "suffix": self.suffix,
            "node": self.node,
            "disk": self.disk,
            "verdict": self.verdict.value,
            "size": self.chain.volume_size if self.chain else self.meta.size if self.meta else None,
            "apparent": self.apparent,
            "actual": self.actual,
            "newest_mtime_ns": self.newest_mtime_ns,
            "head_mtime_ns": self.head_mtime_ns,
            "revision": self.revision,
            "dirty": self.meta.dirty if self.meta else None,
            "rebuilding": self.meta.rebuilding if self.meta else None,
            "meta": dict(vars(self.meta)) if self.meta else None,
            "layers": [layer.as_dict() for layer in self.chain.layers] if self.chain else [],
            "branches": [layer.as_dict() for layer in self.branches],
            "findings": [finding.as_dict() for finding in self.findings],
        }
