"""A signed apt repository of tiny packages in a directory, made without a build system."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import subprocess
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from toolchain.debian_packages import program

PROGRAMS = ("dpkg-deb", "gpg", "gpgconf")
_SECONDS = 60


def missing() -> str:
    """Say why no repository can be made here; empty when one can."""
    absent = [name for name in PROGRAMS if program(name) is None]
    return f"the packages of the tests need {', '.join(absent)}" if absent else ""


@dataclass(frozen=True)
class Package:
    """One version of a package: what it installs, and the maintainer scripts it runs."""

    name: str
    version: str = "1.0"
    files: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    """Files that can be run."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    conffiles: Sequence[str] = ()

    @property
    def file_name(self) -> str:
        """What the archive's file is called."""
        return f"{self.name}_{self.version}_all.deb"

    @property
    def control(self) -> str:
        """The description that both the archive and the index carry."""
        return textwrap.dedent(f"""\
            Package: {self.name}
            Version: {self.version}
            Architecture: all
            Maintainer: tests <tests@example.test>
            Description: a tiny package of the tests
            """)

    def build(self, folder: Path, work: Path) -> Path:
        """Write the archive into a folder."""
        tree = work / self.file_name
        control = tree / "DEBIAN"
        control.mkdir(parents=True)
        (control / "control").write_text(self.control)
        if self.conffiles:
            (control / "conffiles").write_text("".join(f"{path}\n" for path in self.conffiles))
        for name, script in self.scripts.items():
            (control / name).write_text(script)
            (control / name).chmod(0o755)
        for path, content in {**self.files, **self.programs}.items():
            target = tree / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
            target.chmod(0o755 if path in self.programs else 0o644)
        archive = folder / self.file_name
        _run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(archive))
        return archive


@dataclass(frozen=True)
class Signer:
    """A key that signs repositories."""

    home: Path

    @property
    def public_key(self) -> str:
        """The public key, armoured."""
        return _run("gpg", "--homedir", str(self.home), "--batch", "--armor", "--export")

    def sign(self, file: Path, target: Path) -> None:
        """Write the file with its signature around it."""
        _run("gpg", "--homedir", str(self.home), "--batch", "--yes", "--clearsign", "--output", str(target), str(file))


@contextmanager
def signer(home: Path) -> Iterator[Signer]:
    """Make a key in a directory; the agent that gpg starts for it is ended."""
    home.mkdir(mode=0o700)
    try:
        options = ["--batch", "--passphrase", "", "--pinentry-mode", "loopback"]
        _run("gpg", "--homedir", str(home), *options, "--quick-generate-key", "tests@example.test", "ed25519", "sign")
        yield Signer(home)
    finally:
        _run("gpgconf", "--homedir", str(home), "--kill", "all")


def write_repository(folder: Path, packages: Sequence[Package], key: Signer, work: Path) -> None:
    """Write a flat repository (suite `./`) with these packages, signed."""
    folder.mkdir(parents=True)
    for package in packages:
        package.build(folder, work)
    listing = write_index(folder)
    date = dt.datetime.now(dt.UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
    release = work / "Release"
    release.write_text(
        f"Suite: tests\nDate: {date}\nArchitectures: all amd64 arm64\n"
        f"SHA256:\n {_digest(listing)} {len(listing)} Packages\n"
    )
    key.sign(release, folder / "InRelease")


def write_index(folder: Path) -> bytes:
    """Write and return the list of the archives in a folder, which makes it a repository."""
    index = []
    for archive in sorted(folder.glob("*.deb")):
        content = archive.read_bytes()
        facts = {"Filename": f"./{archive.name}", "Size": len(content), "SHA256": _digest(content)}
        index.append(
            _run("dpkg-deb", "--field", str(archive)) + "".join(f"{key}: {value}\n" for key, value in facts.items())
        )
    listing = "\n".join(index).encode()
    (folder / "Packages").write_bytes(listing)
    return listing


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _run(name: str, *arguments: str) -> str:
    found = program(name)
    assert found is not None, f"{name} is not on this machine"
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [found, *arguments], check=False, capture_output=True, text=True, env=environment, timeout=_SECONDS
    )
    assert done.returncode == 0, f"{name} ended with {done.returncode}\n{done.stderr}"
    return done.stdout
