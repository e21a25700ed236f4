"""Merges a replica's layers into an image: the whole chain, by extents, provably complete or not there at all.

A file is written as `NAME.partial`, brought to the disk, read back, and only then named. Beside it lie a journal while
it is written, so that the same command continues, and a manifest once it is complete. Nothing is written anywhere else.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import manifest as manifests
from .copying import Copy, CopyOptions
from .directory import read_replica
from .errors import DamagedError, RecoveryError, RefusedError, Status
from .extents import LayerFile
from .files import UNFINISHED, sync_folder
from .findings import Finding, Severity, Verdict
from .guards import refuse_output
from .inspection import SMALLEST_SUSPECT, inspect
from .journal import Checkpoint, Journal
from .manifest import Content, Unreadable
from .observer import Observer
from .plan import Plan, plan
from .ranking import Circumstances, judge
from .readback import digest_of_file
from .replica import Replica
from .target import DeviceTarget, FileTarget, StreamTarget, Target
from .volume import Mode, ReadFailedError, Volume, open_volume

_CURED_BY_MODE = {"holes-filled", "holes-unknown"}
"""What `zero-as-hole` is there for."""
_CURED_BY_ZEROS = {"read-errors"}
"""What `zero_unreadable` is there for."""


_NOTHING = Checkpoint(0, "")


@dataclass(frozen=True)
class MergeOptions:
    """How to merge. `rate` in bytes per second; `accepting` holds codes of findings whose risk the caller takes."""

    mode: Mode = Mode.EXTENTS
    until: str = ""
    accepting: frozenset[str] = frozenset()
    overwrite: bool = False
    to_device: bool = False
    stream_sha256: bool = False
    verify: bool = True
    zero_unreadable: bool = False
    rate: int | None = None
    manifest: Path | None = None
    """Where the manifest goes; beside the image if not given, nowhere for a device or a stream."""


@dataclass(frozen=True)
class MergeResult:
    """A finished merge. `resumed_at` is the byte it continued at; `reused` means the image was complete before."""

    replica: Replica
    plan: Plan
    content: Content
    output: str
    manifest: Path | None
    verified: bool
    seconds: float
    unreadable: tuple[Unreadable, ...] = ()
    findings: tuple[Finding, ...] = ()
    resumed_at: int = 0
    reused: bool = False

    @property
    def status(self) -> Status:
        """The exit status."""
        warned = any(finding.severity >= Severity.WARNING for finding in self.findings)
        return Status.WARNINGS if warned else Status.RECOVERED

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "status": self.status.name.lower(),
            "output": self.output,
            "manifest": str(self.manifest) if self.manifest else None,
            "source": str(self.replica.path),
            "volume": self.replica.volume,
            "size": self.plan.volume_size,
            "mode": self.plan.mode.value,
            "layers": [layer.as_dict() for layer in self.plan.layers],
            "read_bytes": self.plan.total,
            "data_bytes": self.content.data_bytes,
            "sha256": self.content.sha256,
            "stream_sha256": self.content.stream_sha256,
            "verified": self.verified,
            "seconds": round(self.seconds, 3),
            "resumed_at": self.resumed_at,
            "reused": self.reused,
            "unreadable": [dict(vars(piece)) for piece in self.unreadable],
            "findings": [finding.as_dict() for finding in self.findings],
        }


def merge(
    source: Path, output: Path | None, options: MergeOptions | None = None, observer: Observer | None = None
) -> MergeResult:
    """Merge the replica directory `source` into `output`; None is standard output.

    Raises DamagedError, RefusedError, BadInputError, CancelledError, and RecoveryError when the machine fails. The
    image's name then stands for no new file; what was copied is kept beside it, and the same call continues.
    """
    options = options or MergeOptions()
    observer = observer or Observer()
    begin, started = time.monotonic(), _now()
    replica = assess(source, options)
    observer.step("assessed")
    if output is not None:
        refuse_output(replica, output, to_device=options.to_device)
    try:
        with _opened(replica, options.mode) as volume:
            job = _Job(replica, volume, plan(replica, volume), options, observer, started)
            observer.step("planned")
            result = job.to_stream() if output is None else job.to_path(output)
    except ReadFailedError as error:
        layer = replica.chain.layers[error.layer].name if replica.chain else "?"
        place = f"{error.length} bytes at {error.offset}"
        raise RecoveryError(
            "read-failed",
            f"{replica.path / layer}: {place}: {error.strerror}; another replica may have them, "
            "or --on-read-error zero goes on with zeros there",
        ) from error
    except OSError as error:
        name = error.filename or output or "standard output"
        raise RecoveryError("write-failed", f"{name}: {error.strerror}; what was copied is kept") from error
    return replace(result, seconds=time.monotonic() - begin)


def assess(source: Path, options: MergeOptions) -> Replica:
    """Return the replica if nothing that is not accepted speaks against it: what a scan refuses is refused here.

    Raises DamagedError, RefusedError.
    """
    replica = read_replica(source, until=options.until, accepting=options.accepting)
    replica = inspect(replica, accepting=options.accepting)
    replica = judge(replica, Circumstances(accepting=options.accepting))
    if options.zero_unreadable:
        replica = _cured(replica, _CURED_BY_ZEROS)
    if options.mode is Mode.ZERO_AS_HOLE:
        asked = Finding("zero-as-hole", "the extent maps are not trusted")
        replica = _cured(replica, _CURED_BY_MODE).with_findings(asked)
    if replica.verdict is Verdict.DAMAGED:
        raise DamagedError(_worst(replica, Severity.DAMAGED), "; ".join(replica.reasons()))
    if replica.verdict is Verdict.REFUSED:
        raise RefusedError(_worst(replica, Severity.REFUSED), "; ".join(replica.reasons()))
    if replica.chain is None:
        raise DamagedError("volume-meta-missing", f"{source} is no replica directory: it has no volume.meta")
    return replica


def _cured(replica: Replica, codes: Collection[str]) -> Replica:
    """Take what was asked for as the acceptance of what it is there for."""
    findings = (replace(f, accepted=True) if f.code in codes else f for f in replica.findings)
    return replace(replica, findings=tuple(findings))


def _worst(replica: Replica, severity: Severity) -> str:
    return next(finding.code for finding in replica.findings if finding.severity is severity)


@contextmanager
def _opened(replica: Replica, mode: Mode) -> Iterator[Volume]:
    if replica.chain is None:
        raise DamagedError("layer-missing", f"{replica.path} has no complete chain")
    with closing(open_volume(replica.chain, mode)) as volume:
        yield volume


@dataclass
class _Job:
    """One merge while it runs."""

    replica: Replica
    volume: Volume
    plan: Plan
    options: MergeOptions
    observer: Observer
    started: dt.datetime
    found: list[Finding] = field(default_factory=list)
    resumed_at: int = 0

    @property
    def _identity(self) -> dict[str, Any]:
        """What makes two merges the same: one that took unreadable bytes for zeros is no start for one that may not."""
        return {**self.plan.identity(), "zero_unreadable": self.options.zero_unreadable}

    def to_stream(self) -> MergeResult:
        """Write the image to standard output."""
        content, unreadable = self._copy(StreamTarget(sys.stdout.fileno()), verify=False)
        self._note(content, unreadable)
        manifest = self._write_manifest(self.options.manifest, content, unreadable, verified=False)
        return self._result("-", content, unreadable, manifest=manifest, verified=False)

    def to_path(self, output: Path) -> MergeResult:
        """Write the image to a file or a device."""
        return self._to_device(output) if self.options.to_device else self._to_file(output)

    def _to_device(self, output: Path) -> MergeResult:
        with closing(DeviceTarget(output, self.plan.volume_size, give_up_content=self.options.overwrite)) as target:
            content, unreadable = self._copy(target, verify=self.options.verify)
        self._note(content, unreadable)
        manifest = self._write_manifest(self.options.manifest, content, unreadable, verified=self.options.verify)
        return self._result(str(output), content, unreadable, manifest=manifest, verified=self.options.verify)

    def _to_file(self, output: Path) -> MergeResult:
        manifest = self.options.manifest or manifests.manifest_path(output)
        partial, noted = (output.with_name(f"{output.name}{suffix}") for suffix in (UNFINISHED, ".journal"))
        if output.exists() and not self.options.overwrite:
            result = self._reuse(output, manifest)
            if noted.exists():
                # A run was ended before it could remove this.
                with closing(Journal(noted)) as journal:
                    partial.unlink(missing_ok=True)
                    journal.remove()
            return result
        self._refuse_full_disk(output, partial)
        with closing(Journal(noted)) as journal:
            checkpoint = self._continue_at(journal, partial)
            with closing(FileTarget(partial, self.plan.volume_size, keep=checkpoint.position)) as target:
                self.observer.step("opened")
                content, unreadable = self._copy(
                    target, verify=self.options.verify, checkpoint=checkpoint, reached=journal.reached
                )
            self._note(content, unreadable)
            self._write_manifest(manifest, content, unreadable, verified=self.options.verify)
            self.observer.step("described")
            partial.replace(output)
            sync_folder(output.parent)
            self.observer.step("named")
            journal.remove()
        return self._result(str(output), content, unreadable, manifest=manifest, verified=self.options.verify)

    def _continue_at(self, journal: Journal, partial: Path) -> Checkpoint:
        """Return where an earlier run of the same merge had come, and begin a new journal if there is none."""
        checkpoint = journal.last(self._identity)
        if checkpoint is not None and partial.exists() and partial.stat().st_size == self.plan.volume_size:
            return checkpoint
        journal.begin(self._identity)
        self.observer.step("journal")
        return _NOTHING

    def _refuse_full_disk(self, output: Path, partial: Path) -> None:
        """Refuse what would not fit; what an earlier run left is used again or given up (DEF-10)."""
        there = partial.stat().st_blocks * 512 if partial.exists() else 0
        space = os.statvfs(output.parent)
        needed, free = max(self.plan.total - there, 0), space.f_bavail * space.f_frsize
        if needed > free:
            raise RefusedError("no-space", f"{output.parent} has {free} bytes free, and the image needs {needed} more")

    def _copy(
        self,
        target: Target,
        *,
        verify: bool,
        checkpoint: Checkpoint = _NOTHING,
        reached: Callable[[Checkpoint], None] | None = None,
    ) -> tuple[Content, tuple[Unreadable, ...]]:
        """Copy, read back, and compare. Raises DamagedError when the image is not what was written."""
        chosen = self.options
        options = CopyOptions(chosen.stream_sha256, chosen.zero_unreadable, chosen.rate)
        copy = Copy(self.volume, self.plan, target, options=options, observer=self.observer, reached=reached)
        with closing(copy):
            self.resumed_at = copy.resume(checkpoint)
            content = copy.run(self.resumed_at)
            self.observer.step("copied")
            self._refuse_changed_source()
            found = copy.prove() if verify else content.sha256
            self.observer.step("verified")
        if found != content.sha256:
            raise DamagedError("image-differs", f"what was written reads back as {found}, not as {content.sha256}")
        if not verify:
            self.found.append(Finding("not-verified", "it was not asked for, or is not possible"))
        return content, tuple(copy.unreadable)

    def _refuse_changed_source(self) -> None:
        for source in self.volume.sources:
            if isinstance(source, LayerFile) and source.changed():
                raise RecoveryError("source-changed", f"{source.path} was changed while it was read; stop what uses it")

    def _reuse(self, output: Path, path: Path) -> MergeResult:
        """Return an image that is there already, if it is the complete result of the same merge (LHR-052, DEF-09)."""
        known = manifests.read_manifest(path) if output.is_file() else None
        if known is None or known["identity"] != self._identity or output.stat().st_size != self.plan.volume_size:
            raise RefusedError(
                "output-exists", f"{output} exists and is not this merge's result; --overwrite replaces it"
            )
        if digest_of_file(output, self.observer) != known["content"]["sha256"]:
            raise RefusedError(
                "output-exists", f"{output} exists and differs from its manifest; --overwrite replaces it"
            )
        if self.options.stream_sha256 and known["content"]["stream_sha256"] is None:
            raise RefusedError(
                "output-exists", f"{output} exists and was made without --sha256; --overwrite replaces it"
            )
        content = Content(**{key: known["content"][key] for key in ("sha256", "data_bytes", "stream_sha256")})
        unreadable = tuple(Unreadable(**piece) for piece in known["unreadable"])
        self._note(content, unreadable)
        result = self._result(str(output), content, unreadable, manifest=path, verified=True)
        return replace(result, reused=True)

    def _note(self, content: Content, unreadable: tuple[Unreadable, ...]) -> None:
        """Find what only the whole content tells."""
        several, blocks = len(self.plan.layers) > 1, self.plan.total >= SMALLEST_SUSPECT
        if several and blocks and content.data_bytes == self.plan.total and self.plan.mode is Mode.EXTENTS:
            self.found.append(Finding("holes-punched", f"not one of {self.plan.total} allocated bytes' blocks is zero"))
        for piece in unreadable:
            place = f"{piece.length} bytes at {piece.offset}"
            self.found.append(Finding("read-errors", f"{place}: {piece.reason}", piece.layer, accepted=True))

    def _write_manifest(
        self, path: Path | None, content: Content, unreadable: tuple[Unreadable, ...], *, verified: bool
    ) -> Path | None:
        if path is not None:
            described = manifests.describe(
                self.replica,
                self.plan,
                content,
                identity=self._identity,
                until=self.options.until,
                verified=verified,
                unreadable=unreadable,
                findings=(*self.replica.findings, *self.found),
                started=self.started,
                finished=_now(),
            )
            manifests.write_manifest(path, described)
        return path

    def _result(
        self,
        output: str,
        content: Content,
        unreadable: tuple[Unreadable, ...],
        *,
        manifest: Path | None,
        verified: bool,
    ) -> MergeResult:
        return MergeResult(
            self.replica,
            self.plan,
            content,
            output,
            manifest,
            verified,
            0.0,
            unreadable,
            (*self.replica.findings, *self.found),
            self.resumed_at,
        )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)
