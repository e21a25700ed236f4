"""pgbouncer from Debian's package, unpacked into the cache: nothing is installed, nothing started, no root needed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from toolchain.errors import ToolError

SECONDS = 300
LIBRARY = re.compile(r"lib[^/]*\.so[.0-9]+")
WRAPPER = """\
#!/bin/sh
# The libraries that this machine lacks lie beside the program.
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH={libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} exec "$here/root/usr/sbin/pgbouncer" "$@"
"""


def unpack_pgbouncer(target: Path) -> None:
    """Put ``pgbouncer`` with the libraries it needs into the folder ``target``.

    Raises ToolError, which says why, if this is no Debian or the package cannot be had.
    """
    for needed in ("apt-get", "dpkg", "dpkg-deb", "ldd"):
        if not shutil.which(needed):
            raise ToolError(f"pgbouncer is neither on PATH nor obtainable: this machine has no {needed}")
    packages, root = target / "packages", target / "root"
    packages.mkdir()
    try:
        _download(packages, ["pgbouncer"])
    except ToolError:
        if os.geteuid() != 0:
            raise
        # Containers often come without package lists; only root can fetch them.
        _run(["apt-get", "update", "-qq"], packages)
        _download(packages, ["pgbouncer"])
    _extract(packages, root)
    program = root / "usr/sbin/pgbouncer"
    if _missing(program, root):
        archive = next(packages.glob("pgbouncer_*.deb"))
        depends = _libraries(_run(["dpkg-deb", "-f", archive.name, "Depends"], packages))
        _download(packages, [name for name in depends if not _installed(name, packages)])
        _extract(packages, root)
    missing = _missing(program, root)
    if missing:
        raise ToolError(f"pgbouncer from Debian's package lacks {', '.join(missing)}")
    shutil.rmtree(packages)
    wrapper = target / "pgbouncer"
    folders = ":".join(f'"$here/root/{folder.relative_to(root)}"' for folder in _library_folders(root))
    wrapper.write_text(WRAPPER.format(libraries=folders))
    wrapper.chmod(0o755)


def _download(folder: Path, packages: list[str]) -> None:
    _run(["apt-get", "download", "-qq", *packages], folder)


def _extract(packages: Path, root: Path) -> None:
    for package in packages.glob("*.deb"):
        _run(["dpkg", "-x", package.name, str(root)], packages)


def _libraries(depends: str) -> list[str]:
    """Return the library packages of a ``Depends`` field, the C library apart: that must be the machine's."""
    names = (re.split(r"[ (|:]", item.strip(), maxsplit=1)[0] for item in depends.split(","))
    return [name for name in names if name.startswith("lib") and not name.startswith("libc6")]


def _library_folders(root: Path) -> list[Path]:
    return sorted({file.parent for file in root.rglob("*.so.*") if LIBRARY.fullmatch(file.name)})


def _installed(package: str, folder: Path) -> bool:
    try:
        return _run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], folder).strip() == "installed"
    except ToolError:
        return False


def _missing(program: Path, root: Path) -> list[str]:
    search = ":".join(str(folder) for folder in _library_folders(root))
    answer = _run(["ldd", str(program)], root, {**os.environ, "LD_LIBRARY_PATH": search})
    return re.findall(r"(\S+) => not found", answer)


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    try:
        answer = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=SECONDS,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{' '.join(command)}: {error}") from error
    if answer.returncode:
        said = (answer.stderr or answer.stdout).strip().splitlines()
        raise ToolError(f"{' '.join(command)} failed: {said[-1] if said else f'exit status {answer.returncode}'}")
    return answer.stdout
