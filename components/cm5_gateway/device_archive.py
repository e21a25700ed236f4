"""Takes and puts back what `up` cannot make again. Runs on the device, sent over the connection and started as root.

Standard library only, Python 3.9 or newer; GNU tar keeps owners, modes, ACLs and extended attributes. Standard input
begins with a line of JSON, the request; archives travel in pieces, each after its length in four bytes, an empty one
last; the answer is a line of JSON. The containers stand still while their data is read and go on whatever happens; they
are stopped while it is replaced, and started when all is in its place.

A restore replaces each path in two renames, when the whole archive has arrived, matched its digest and been unpacked.
Killed anywhere, the same restore is run again and ends the same: which containers ran is noted beside the data.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

__all__ = ["MANIFEST", "ArchiveError", "main"]

MANIFEST = "factory-backup.json"
STAGING = ".factory-restore"
BEFORE = ".before-restore"
NOTE = ".factory-stopped.json"
_PIECE = 256 * 1024
_TAR = ("tar", "--numeric-owner", "--acls", "--xattrs", "--xattrs-include=*")
_PRIVATE = 0o700
_LENGTH = 4
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ArchiveError(Exception):
    """It cannot be done; the message says why and what to do."""


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Serve one request."""
    request = json.loads(source.readline())
    verbs = {"backup": _backup, "restore": _restore, "down": _down, "erase": _erase}
    try:
        answer = verbs[request["verb"]](request, source, sink)
    except ArchiveError as error:
        answer = {"error": str(error)}
    except OSError as error:
        answer = {"error": f"{error.filename or 'the device'}: {error.strerror}"}
    sink.write(json.dumps(answer).encode() + b"\n")
    sink.flush()


def _backup(request: dict[str, Any], _source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    """Send the archive; the answer has its digest. A failure is told after the pieces that were sent before it."""
    try:
        return _sent(request, sink)
    finally:
        sink.write(bytes(_LENGTH))


def _sent(request: dict[str, Any], sink: BinaryIO) -> dict[str, Any]:
    root, digest, size = request["root"], hashlib.sha256(), 0
    there = [path for path in request["paths"] if _lexists(_at(root, path))]
    if not there:
        raise ArchiveError("there is no data yet: run `up` first")
    if _note(request).exists():
        raise ArchiveError("a restore was interrupted and its data is half in place: run that restore again first")
    manifest = {**request["manifest"], "paths": there}
    staging = _staging(request)
    try:
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=2), "utf-8")
        names = [path.lstrip("/") for path in there]
        command = [*_TAR, "--create", "--gzip", "--directory", str(staging), MANIFEST]
        command += ["--directory", root or "/", *names]
        with _frozen(request) as held:
            for piece in _output(command):
                digest.update(piece)
                size += len(piece)
                sink.write(len(piece).to_bytes(_LENGTH, "big") + piece)
    finally:
        shutil.rmtree(staging)
    return {"sha256": digest.hexdigest(), "size": size, "manifest": manifest, "held": held}


def _restore(request: dict[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    """Receive an archive, look at all of it, and only then replace the paths that it holds."""
    running = _in_state(request, "running")
    if running and not request["stop"]:
        raise ArchiveError(
            f"these containers run: {', '.join(running)}. Give --stop: they are started again afterwards"
        )
    sink.write(b'{"ready": true}\n')
    sink.flush()
    root, staging = request["root"], _staging(request)
    try:
        archive = staging / "archive"
        if _received(source, archive) != request["sha256"]:
            raise ArchiveError("the archive did not arrive as it was sent; nothing was changed")
        unpacked = staging / "unpacked"
        unpacked.mkdir(_PRIVATE)
        keep = ("--preserve-permissions", "--same-owner")
        _run(*_TAR, "--extract", "--gzip", *keep, "--file", str(archive), "--directory", str(unpacked))
        new = {path: _at(str(unpacked), path) for path in request["paths"]}
        if lost := [path for path, at in new.items() if not _lexists(at)]:
            raise ArchiveError(f"the archive does not hold {', '.join(lost)}; nothing was changed")
        os.sync()
        with _stopped(request) as held:
            for path, at in new.items():
                _replace(_at(root, path), at)
            os.sync()
            for path in new:
                _remove(_beside(_at(root, path), BEFORE))
    finally:
        shutil.rmtree(staging)
    return {"restored": list(new), "held": held}


def _down(request: dict[str, Any], _source: BinaryIO, _sink: BinaryIO) -> dict[str, Any]:
    """Stop and remove the containers; their data stays."""
    if not _at(request["root"], request["compose"]).exists():
        return {"down": False}
    _compose(request, "down")
    # Otherwise the next `up` would take them for running.
    _remove(_at(request["root"], request["applied"]))
    return {"down": True}


def _erase(request: dict[str, Any], _source: BinaryIO, _sink: BinaryIO) -> dict[str, Any]:
    """Forget what is on a disk, known by its serial number; with ``only_look`` say whether that would be done."""
    disk = request["disk"]
    listed = _run("lsblk", "--json", "--list", "--output", "PATH,SERIAL,MOUNTPOINT", disk)
    whole, *parts = json.loads(listed)["blockdevices"]
    serial = (whole.get("serial") or "").strip()
    if not serial or serial != request["serial"]:
        raise ArchiveError(f"{disk} has the serial number {serial or '(none)'} and not {request['serial']}")
    if request["only_look"]:
        return {"erased": False}
    if mounted := [each["path"] for each in (whole, *parts) if each.get("mountpoint")]:
        raise ArchiveError(f"{', '.join(mounted)} is mounted: unmount it first; nothing was erased")
    for each in (*reversed(parts), whole):
        _run("wipefs", "--all", each["path"])
    return {"erased": True}


def _replace(path: Path, new: Path) -> None:
    """Put a file or a directory in the place of another, on whatever file system that is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.lstat().st_dev != new.lstat().st_dev:
        copy = _beside(path, STAGING)
        _remove(copy)
        _run("cp", "--archive", "--", str(new), str(copy))
        new = copy
    before = _beside(path, BEFORE)
    # What lies aside already is what was there before this restore was interrupted.
    if _lexists(before):
        _remove(path)
    elif _lexists(path):
        path.rename(before)
    new.rename(path)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _lexists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif _lexists(path):
        path.unlink()


def _received(source: BinaryIO, path: Path) -> str:
    """Write the pieces to a file and return their digest; an archive that ends early has none."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while True:
            four = source.read(_LENGTH)
            if len(four) < _LENGTH:
                return ""
            size = int.from_bytes(four, "big")
            if not size:
                return digest.hexdigest()
            piece = source.read(size)
            digest.update(piece)
            file.write(piece)


@contextmanager
def _frozen(request: dict[str, Any]) -> Iterator[list[str]]:
    """Let the containers stand still; those that a killed run left so go on too. A restart of the device ends it."""
    running, paused = _in_state(request, "running"), _in_state(request, "paused")
    try:
        if running:
            _compose(request, "pause", *running)
        yield sorted({*running, *paused})
    finally:
        if held := _in_state(request, "paused"):
            _compose(request, "unpause", *held)


@contextmanager
def _stopped(request: dict[str, Any]) -> Iterator[list[str]]:
    """Stop the containers, and start them when all is in place; a note tells the next run which these are."""
    note = _note(request)
    noted: list[str] = json.loads(note.read_text("utf-8")) if note.exists() else []
    held = sorted({*_in_state(request, "running"), *_in_state(request, "paused"), *noted})
    with _beside(note, ".new").open("w", encoding="utf-8") as file:
        json.dump(held, file)
        file.flush()
        os.fsync(file.fileno())
    _beside(note, ".new").rename(note)
    if held:
        _compose(request, "stop", *held)
    yield held
    if held:
        _compose(request, "start", *held)
    note.unlink()


def _note(request: dict[str, Any]) -> Path:
    return _at(request["root"], request["data_dir"]) / NOTE


def _in_state(request: dict[str, Any], state: str) -> list[str]:
    if not _at(request["root"], request["compose"]).exists():
        return []
    return sorted(_compose(request, "ps", "--status", state, "--services").split())


def _output(command: list[str]) -> Iterator[bytes]:
    """Run a program and yield what it prints. Raises ArchiveError when it fails."""
    with tempfile.TemporaryFile() as words:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, env=_environment()) as process:
            while piece := process.stdout.read(_PIECE) if process.stdout else b"":
                yield piece
        if process.returncode:
            words.seek(0)
            said = words.read().decode("utf-8", "replace")
            raise ArchiveError(f"{command[0]} ended with {process.returncode}: {_last(said)}")


def _compose(request: dict[str, Any], *arguments: str) -> str:
    return _run("docker", "compose", "--file", str(_at(request["root"], request["compose"])), *arguments)


def _staging(request: dict[str, Any]) -> Path:
    """Make an empty directory that only root reads, beside the data. What a killed run left is removed."""
    for mount in request["mounts"]:
        if not os.path.ismount(_at(request["root"], mount)):
            raise ArchiveError(f"{mount} is not mounted: is the disk there? (CM5-148)")
    path = _at(request["root"], request["data_dir"]) / STAGING
    _remove(path)
    path.mkdir(_PRIVATE)
    return path


def _at(root: str, path: str) -> Path:
    return Path(root, path.lstrip("/")) if root else Path(path)


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": os.environ.get("PATH", _PATH), "LC_ALL": "C"}


def _run(*command: str) -> str:
    """Run a program; its last words become the error's."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode:
        raise ArchiveError(f"{' '.join(command[:2])} ended with {done.returncode}: {_last(done.stderr or done.stdout)}")
    return done.stdout


def _last(text: str) -> str:
    return " ".join(text.strip().splitlines()[-1:])


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
