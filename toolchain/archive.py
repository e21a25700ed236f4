"""Unpacking a verified archive. One member that could leave the target folder condemns the archive."""

import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from toolchain.errors import ToolError
from toolchain.releases import Packing, Release


@dataclass(frozen=True)
class _Member:
    name: str
    regular: bool
    directory: bool
    executable: bool
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, release: Release, target: Path) -> None:
    """Unpack what the release wants kept into the folder ``target``.

    Only files and folders with relative names and no ``..`` are accepted: a link, a device or such a name raises
    ToolError before anything is written, also outside of what is kept. A broken archive raises ToolError.
    """
    opener = _open_zip if release.packing is Packing.ZIP else _open_tar
    try:
        with opener(archive) as members:
            for member in members:
                _refuse_unsafe(member)
            for member in members:
                relative = _relative(member.name, nested=release.nested)
                if member.regular and relative and (not release.keep or relative in release.keep):
                    _write(member, target / relative)
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ToolError(f"the release is not a readable {release.packing}: {error}") from error


@contextmanager
def _open_tar(archive: Path) -> Iterator[list[_Member]]:
    with tarfile.open(archive, "r:gz") as tar:

        def opened(member: tarfile.TarInfo) -> IO[bytes]:
            stream = tar.extractfile(member)
            if stream is None:
                raise ToolError(f"{member.name} cannot be read from the archive")
            return stream

        def described(info: tarfile.TarInfo) -> _Member:
            return _Member(info.name, info.isreg(), info.isdir(), bool(info.mode & stat.S_IXUSR), lambda: opened(info))

        yield [described(info) for info in tar.getmembers()]


@contextmanager
def _open_zip(archive: Path) -> Iterator[list[_Member]]:
    with zipfile.ZipFile(archive) as file:

        def described(info: zipfile.ZipInfo) -> _Member:
            mode = info.external_attr >> 16
            regular = not info.is_dir() and stat.S_IFMT(mode) in {0, stat.S_IFREG}
            return _Member(info.filename, regular, info.is_dir(), bool(mode & stat.S_IXUSR), lambda: file.open(info))

        yield [described(info) for info in file.infolist()]


def _refuse_unsafe(member: _Member) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or not (member.regular or member.directory):
        raise ToolError(f"the release holds an unsafe member, {member.name!r}; nothing was installed")


def _relative(name: str, *, nested: bool) -> str:
    return "/".join(PurePosixPath(name).parts[1 if nested else 0 :])


def _write(member: _Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, path.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    path.chmod(0o755 if member.executable else 0o644)
