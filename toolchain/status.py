"""What there is: the data behind ``./factory tools``."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from toolchain.catalogue import Spec, catalogue
from toolchain.lookup import Origin, build_only, locate, official_directory, own_directory


class State(StrEnum):
    """Whether a tool can be used, and if not, what ``ensure`` would do."""

    READY = "ready"
    TO_DOWNLOAD = "to be downloaded"
    TO_BUILD = "to be built"
    TO_UNPACK = "to be unpacked from its package"
    MISSING = "missing"


@dataclass(frozen=True)
class ToolStatus:
    """One line. ``size``: bytes, installed or expected; ``origin`` and ``path`` are None for what is not there."""

    name: str
    version: str
    origin: Origin | None
    size: int
    state: State
    path: Path | None
    optional: bool


def table() -> list[ToolStatus]:
    """Return every tool of the catalogue. Nothing is fetched or made."""
    return [_status(spec) for spec in catalogue().values()]


def _status(spec: Spec) -> ToolStatus:
    tool = locate(spec.name)
    if tool is None:
        return ToolStatus(spec.name, spec.version, None, spec.size, _plan(spec), None, spec.optional)
    home = {Origin.VENDOR: official_directory(spec), Origin.PATH: None}.get(tool.origin, own_directory(spec))
    size = _size_of(tool.path.parent if tool.name == "postgres" else home or tool.path.resolve())
    return ToolStatus(spec.name, tool.version, tool.origin, size, State.READY, tool.path, spec.optional)


def _plan(spec: Spec) -> State:
    if spec.release and not build_only():
        return State.TO_DOWNLOAD
    if spec.build:
        return State.TO_BUILD
    return State.MISSING if spec.name == "postgres" else State.TO_UNPACK


def _size_of(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.lstat().st_size for file in files if file.is_file())
