"""Copies a replica directory so that each layer owns exactly the blocks it owned (LHR-040 .. LHR-046, GLK-026).

Each extent is copied verbatim, written zeros included, and holes stay holes. `cp`, `rsync` and `scp` do neither. The
copy is complete when its directory has its final name; its manifest lies beside it and says what it must look like.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import BadInputError, CancelledError, DamagedError, RecoveryError
from .extents import LayerFile

__all__ = ["MANIFEST_SUFFIX", "BackupManifest", "FileRecord", "backup", "check_backup", "read_manifest"]

MANIFEST_SUFFIX = ".manifest.json"
_PARTIAL = ".partial"
_CHUNK = 4 << 20
_VERSION = 1
_METHODS = ("extents", "tar")
_COPY_SECONDS = 7 * 24 * 3600

Progress = Callable[[int], bool]
"""Called with the bytes copied so far; false stops the copy."""


@dataclass(frozen=True)
class FileRecord:
    """One file of a replica directory."""

    name: str
    size: int
    """Apparent size in bytes."""
    allocated: int
    """Bytes of its extents."""
    extents: str
    """SHA-256 over the list of its extents."""
    content: str
    """SHA-256 over (offset, bytes) of its extents."""


@dataclass(frozen=True)
class BackupManifest:
    """What a complete copy looks like."""

    source: str
    method: str
    files: tuple[FileRecord, ...]
    version: int = _VERSION

    @property
    def digest(self) -> str:
        """One digest of all layers: names, sizes, ownership and content of every block."""
        lines = [f"{item.name}\0{item.size}\0{item.extents}\0{item.content}\n" for item in self.files]
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "digest": self.digest}


def backup(source: Path, target: Path, *, method: str = "extents", progress: Progress | None = None) -> BackupManifest:
    """Copy the replica directory ``source`` to ``target``; a complete copy is kept, an incomplete one made anew.

    ``method`` is ``extents`` (our own copier) or ``tar`` (GNU ``tar -S``); either is compared block by block with the
    source before it gets its name. Raises BadInputError, DamagedError (a file changed meanwhile, or the copy is not
    equal), CancelledError, or OSError of the disk.
    """
    source, target = source.resolve(), Path(os.path.abspath(target))  # noqa: PTH100 - the target need not exist
    _refuse_bad_input(source, target, method)
    try:
        return check_backup(target)
    except DamagedError:
        # It would have no name without having been complete: what is there now is no copy any more.
        raise
    except FileNotFoundError:
        pass  # only now is the original needed: a proven copy may be the last one (INV-003)
    if not (source / "volume.meta").is_file():
        raise BadInputError("source", f"{source} is no replica directory: it has no volume.meta")
    partial = target.with_name(target.name + _PARTIAL)
    if partial.exists():
        shutil.rmtree(partial)
    target.parent.mkdir(parents=True, exist_ok=True)
    files = _regular_files(source)
    _settle(files)
    before = {file: _stamp(file) for file in files}
    if method == "tar":
        _tar(source, partial)
    else:
        _copy_all(source, partial, files, progress)
    if {file: _stamp(file) for file in _regular_files(source)} != before:
        raise DamagedError("changed", f"{source}: files changed during the copy; stop what writes to it (LHR-046)")
    manifest = BackupManifest(str(source), method, tuple(_record(file) for file in files))
    copied = BackupManifest(str(source), method, tuple(_record(file) for file in _regular_files(partial)))
    if copied.digest != manifest.digest:
        wrong = sorted({item.name for item in set(manifest.files) ^ set(copied.files)})
        raise DamagedError("copy-differs", f"{partial} does not own the same blocks as {source}: {', '.join(wrong)}")
    _write_manifest(target, manifest)
    partial.rename(target)
    _sync_directory(target.parent)
    return manifest


def check_backup(target: Path, *, content: bool = False) -> BackupManifest:
    """Return the manifest of a complete copy whose files still have the recorded sizes and extents.

    ``content`` compares every byte too. Raises FileNotFoundError when there is no complete copy, DamagedError when
    there was one and it is another now.
    """
    if not target.is_dir():
        raise FileNotFoundError(f"{target}: no backup")
    try:
        manifest = read_manifest(target)
    except FileNotFoundError as error:
        raise DamagedError(
            "no-manifest", f"{target} exists without {error.filename}: it is no backup of ours"
        ) from error
    found = {file.name: _record(file, content=content) for file in _regular_files(target)}
    for expected in manifest.files:
        actual = found.pop(expected.name, None)
        same = actual is not None and (actual.size, actual.extents) == (expected.size, expected.extents)
        if actual is None or not same or (content and actual.content != expected.content):
            raise DamagedError(
                "backup-damaged",
                f"{target / expected.name}: not as it was copied; move the backup and its manifest aside and run again",
            )
    if found:
        raise DamagedError("backup-damaged", f"{target} holds files that were not copied: {', '.join(sorted(found))}")
    return manifest


def read_manifest(target: Path) -> BackupManifest:
    """Read the manifest beside a copy. Raises FileNotFoundError, or DamagedError for another content."""
    path = target.with_name(target.name + MANIFEST_SUFFIX)
    try:
        raw = json.loads(path.read_text("utf-8"))
        files = tuple(FileRecord(**item) for item in raw["files"])
        manifest = BackupManifest(raw["source"], raw["method"], files, raw["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError("manifest", f"{path} is no manifest of a backup") from error
    if raw.get("digest") != manifest.digest or manifest.version != _VERSION:
        raise DamagedError("manifest", f"{path} does not agree with itself")
    return manifest


def _settle(files: list[Path]) -> None:
    """Bring what the kernel still holds to the disk: blocks that are allocated late make a file seem to change."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _refuse_bad_input(source: Path, target: Path, method: str) -> None:
    if method not in _METHODS:
        raise BadInputError(
            "method",
            f"method {method!r}: only {' and '.join(_METHODS)} keep what each layer owns; cp, rsync, scp and dd do not",
        )
    if source in target.parents or source == target or target.parent == source.parent:
        raise BadInputError("target", f"{target} lies among the replicas: nothing is ever written there (INV-001)")


def _copy_all(source: Path, partial: Path, files: list[Path], progress: Progress | None) -> None:
    partial.mkdir(mode=0o700)
    done = 0
    for file in files:
        done = _copy(file, partial / file.name, done, progress)
    shutil.copystat(source, partial)
    _sync_directory(partial)


def _copy(source: Path, target: Path, done: int, progress: Progress | None) -> int:
    with closing(LayerFile(source)) as layer:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, layer.size)
            for start, end in layer.extents():
                for offset in range(start, min(end, layer.size), _CHUNK):
                    part = layer.read(offset, min(_CHUNK, min(end, layer.size) - offset))
                    _write(descriptor, part, offset)
                    done += len(part)
                    if progress and not progress(done):
                        raise CancelledError("cancelled", f"stopped after {done} bytes; the same command starts anew")
            if os.geteuid() == 0:
                os.fchown(descriptor, layer.status.st_uid, layer.status.st_gid)
            os.fchmod(descriptor, layer.status.st_mode & 0o7777)
            os.utime(descriptor, ns=(layer.status.st_atime_ns, layer.status.st_mtime_ns))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if layer.changed():
            raise DamagedError("changed", f"{source} changed during the copy; stop what writes to it (LHR-046)")
    return done


def _tar(source: Path, partial: Path) -> None:
    program = shutil.which("tar")
    if program is None:
        raise BadInputError("method", "method tar needs GNU tar, which is not installed; use extents")
    partial.mkdir(mode=0o700)
    # Its default way to find holes; `--hole-detection=raw` would turn written zeros into holes.
    pack = [program, "-C", str(source), "-S", "--format=posix", "-cf", "-", "."]
    unpack = [program, "-C", str(partial), "-xpf", "-"]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
        done = subprocess.run(unpack, stdin=packing.stdout, check=False, timeout=_COPY_SECONDS)
    if packing.returncode or done.returncode:
        raise RecoveryError("tar", f"tar ended with {packing.returncode} and {done.returncode} for {source}")
    for file in _regular_files(partial):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    _sync_directory(partial)


def _record(file: Path, *, content: bool = True) -> FileRecord:
    layout, bytes_, allocated = hashlib.sha256(), hashlib.sha256(), 0
    with closing(LayerFile(file)) as layer:
        for start, end in layer.extents():
            layout.update(f"{start}-{end}\n".encode())
            stop = min(end, layer.size)
            allocated += stop - start
            for offset in range(start, stop if content else start, _CHUNK):
                part = layer.read(offset, min(_CHUNK, stop - offset))
                bytes_.update(offset.to_bytes(8, "big") + len(part).to_bytes(8, "big") + part)
        return FileRecord(file.name, layer.size, allocated, layout.hexdigest(), bytes_.hexdigest())


def _regular_files(directory: Path) -> list[Path]:
    found = sorted(directory.iterdir())
    strange = [path.name for path in found if path.is_symlink() or not path.is_file()]
    if strange:
        raise DamagedError("strange-file", f"{directory} holds what is no file: {', '.join(strange)}")
    return found


def _stamp(file: Path) -> tuple[int, int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_blocks


def _write_manifest(target: Path, manifest: BackupManifest) -> None:
    final = target.with_name(target.name + MANIFEST_SUFFIX)
    partial = final.with_name(final.name + _PARTIAL)
    with partial.open("w", encoding="utf-8") as file:
        json.dump(manifest.as_dict(), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(final)
    _sync_directory(final.parent)


def _write(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
