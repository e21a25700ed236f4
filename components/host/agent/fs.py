"""Changing files so that a reader, a crash or a full disk never meets a half of one.

A new content is written to a temporary file beside its target, which has its final owner and mode from the start; it is
synced, validated and renamed. The directory is synced before anything else relies on the change (:meth:`Files.settle`).
"""

from __future__ import annotations

import errno
import os
import stat

from .digest import Digest, sha256_of
from .errors import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .host import Host

_CLOSED_MODE = 0o600
_PARENT_MODE = 0o755
_VALIDATION_SECONDS = 60.0


def temporary(path: str) -> str:
    """Name the temporary file of a target: the same each time, so that a later run finds what a killed one left.

    It begins with a dot and ends in ``.tmp``: the programs that read whole directories pass over it.
    """
    name = sha256_of(os.fsencode(path))[:16]
    return f"{os.path.dirname(path)}/.factory-{name}.tmp"


class Files:
    """The file system of a host, changed atomically. Errors of the system become an AgentError that names the path."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._unsettled: set[str] = set()

    def write(
        self,
        path: str,
        pieces: Iterable[bytes],
        *,
        mode: int,
        owner: int = -1,
        group: int = -1,
        validate: Sequence[str] | None = None,
        sha256: str | None = None,
        secret: bool = False,
    ) -> None:
        """Put a file in place, with missing parents. A wrong checksum or a refused validation leaves the old one.

        What a command that validates a ``secret`` content prints is not told, for it may repeat parts of it.
        """
        target = self._host.path(path)
        draft = temporary(target)
        with _naming(path):
            self.parents(path)
            _unlink(draft)
            descriptor = os.open(
                draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _CLOSED_MODE
            )
            try:
                digest = _fill(descriptor, pieces, mode, owner, group)
                _expect(path, digest, sha256)
                self._validate(path, draft, validate, secret=secret)
                os.rename(draft, target)
            except BaseException:
                _unlink(draft)
                raise
        self._touch(target)

    def attributes(self, path: str, *, mode: int | None = None, owner: int = -1, group: int = -1) -> None:
        """Change owner and mode, never through a link."""
        target = self._host.path(path)
        with _naming(path):
            descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if (owner, group) != (-1, -1):
                    os.fchown(descriptor, owner, group)
                if mode is not None:
                    os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def make_directory(self, path: str, *, mode: int, owner: int = -1, group: int = -1) -> None:
        """Make a directory with its parents; it has its final mode before anybody can enter it."""
        target = self._host.path(path)
        with _naming(path):
            self.parents(path)
            os.mkdir(target, 0o700)
            os.chown(target, owner, group, follow_symlinks=False)
            os.chmod(target, mode)
        self._touch(target)

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link in place of nothing or of another link."""
        place = self._host.path(path)
        draft = temporary(place)
        with _naming(path):
            self.parents(path)
            _unlink(draft)
            os.symlink(target, draft)
            try:
                os.rename(draft, place)
            except BaseException:
                _unlink(draft)
                raise
        self._touch(place)

    def remove(self, path: str) -> None:
        """Remove a file or link; one that is not there is none to remove."""
        target = self._host.path(path)
        with _naming(path):
            _unlink(target)
        self._touch(target)

    def remove_directory(self, path: str, *, must: bool) -> None:
        """Remove an empty directory. One that is not empty stays, which is an error if it ``must`` go."""
        target = self._host.path(path)
        with _naming(path):
            try:
                os.rmdir(target)
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and not must:
                    return
                raise
        self._touch(target)

    def parents(self, path: str) -> None:
        """Make the missing parents of a path, mode 0755."""
        missing = []
        parent = os.path.dirname(self._host.path(path))
        while not os.path.isdir(parent):
            missing.append(parent)
            parent = os.path.dirname(parent)
        for place in reversed(missing):
            os.mkdir(place)
            os.chmod(place, _PARENT_MODE)
            self._touch(place)

    def settle(self) -> None:
        """Sync the directories in which names changed since the last time."""
        for directory in sorted(self._unsettled):
            try:
                descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                os.fsync(descriptor)
            except OSError as error:
                if error.errno != errno.EINVAL:  # /proc and /sys have no disk to sync with
                    raise
            finally:
                os.close(descriptor)
        self._unsettled.clear()

    def clean(self, paths: Iterable[str]) -> None:
        """Remove the temporary files that a killed run may have left beside these targets."""
        for path in paths:
            try:
                _unlink(temporary(self._host.path(path)))
            except (NotADirectoryError, IsADirectoryError):
                continue

    def _touch(self, target: str) -> None:
        self._unsettled.add(os.path.dirname(target))

    def _validate(self, path: str, draft: str, validate: Sequence[str] | None, *, secret: bool) -> None:
        if validate is None:
            return
        done = self._host.run([word.replace("%s", draft) for word in validate], timeout=_VALIDATION_SECONDS)
        if done.status != 0:
            raise done.error(f"{path}: the new content was refused, the old one stays", secret=secret)


def _fill(descriptor: int, pieces: Iterable[bytes], mode: int, owner: int, group: int) -> str:
    """Give the open file its owner, mode and content, and sync it; returns the content's SHA-256."""
    digest = Digest()
    try:
        os.fchown(descriptor, owner, group)
        os.fchmod(descriptor, mode)
        for piece in pieces:
            digest.update(piece)
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def _expect(path: str, digest: str, sha256: str | None) -> None:
    if sha256 is not None and digest != sha256:
        raise failed(f"{path}: what arrived has the SHA-256 {digest}, expected is {sha256}: the old file stays")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


class _naming:  # noqa: N801 used like a function
    """Turns an error of the system into a sentence that names the path."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate."""
        if isinstance(error, OSError):
            raise failed(f"{self._path}: {error.strerror}{_advice(error)}") from error


def _advice(error: OSError) -> str:
    advice = {
        errno.ENOSPC: "free some room on this file system",
        errno.EDQUOT: "the quota of this file system is used up",
        errno.EROFS: "this file system cannot be written: mount it read-write, or look for its errors",
        errno.EACCES: "the agent's user may not do this: connect as root or with sudo",
        errno.EPERM: "the agent's user may not do this: connect as root or with sudo",
        errno.ELOOP: "a symbolic link is in the way",
        errno.ENOTDIR: "a file stands where a directory should be",
        errno.ENOTEMPTY: "something else is in it",
    }.get(error.errno or 0)
    return f" ({advice})" if advice else ""


def kind_of(mode: int) -> str:
    """Name what a path is."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"
