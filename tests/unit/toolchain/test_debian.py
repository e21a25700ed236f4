"""pgbouncer out of Debian's package, with doubles of apt-get, dpkg and ldd."""

from pathlib import Path

import pytest

import toolchain
from tests.unit.toolchain.doubles import executable

APT = """#!/bin/sh
echo "$*" >> {calls}
case "$1" in
    update) touch {calls}.lists; exit ;;
    download) [ -e {calls}.lists ] || {{ echo 'E: Unable to locate package pgbouncer' >&2; exit 100; }} ;;
esac
shift 2
for name in "$@"; do touch "${{name}}_1_amd64.deb"; done
"""
DPKG = """#!/bin/sh
case "$2" in
    pgbouncer_*) mkdir -p "$3/usr/sbin"; echo '#!/bin/sh
echo "PgBouncer 1.18.0 with $LD_LIBRARY_PATH"' > "$3/usr/sbin/pgbouncer"; chmod 755 "$3/usr/sbin/pgbouncer" ;;
    libc-ares2_*) mkdir -p "$3/usr/lib/triplet"; touch "$3/usr/lib/triplet/libcares.so.2"
        mkdir -p "$3/usr/share/doc"; touch "$3/usr/share/doc/example.socket" ;;
esac
"""
DPKG_DEB = "#!/bin/sh\necho 'libc-ares2 (>= 1.0), libc6 (>= 2.34), libevent-2.1-7 | libevent-2.0-5, libssl3, init'\n"
DPKG_QUERY = """#!/bin/sh
for package in "$@"; do :; done
case "$package" in libssl3) echo installed ;; *) echo 'no packages found' >&2; exit 1 ;; esac
"""
LDD = """#!/bin/sh
echo ' libc.so.6 => /lib/libc.so.6'
case "$LD_LIBRARY_PATH" in */triplet*) ;; *) echo ' libcares.so.2 => not found' ;; esac
"""


@pytest.fixture
def debian(on_path: Path) -> Path:
    """A Debian whose package lists are there; returns the file of the calls of apt-get."""
    calls = on_path.parent / "apt-calls"
    Path(f"{calls}.lists").touch()
    executable(on_path / "apt-get", APT.format(calls=calls).encode())
    executable(on_path / "dpkg", DPKG.encode())
    executable(on_path / "dpkg-deb", DPKG_DEB.encode())
    executable(on_path / "dpkg-query", DPKG_QUERY.encode())
    executable(on_path / "ldd", LDD.encode())
    return calls


def test_the_package_is_unpacked_with_the_libraries_that_are_missing(debian: Path, cache: Path) -> None:
    path = toolchain.ensure(["pgbouncer"], print)["pgbouncer"]
    assert path.is_relative_to(cache)
    assert debian.read_text().splitlines() == ["download -qq pgbouncer", "download -qq libc-ares2 libevent-2.1-7"]
    assert 'LD_LIBRARY_PATH="$here/root/usr/lib/triplet"${' in path.read_text()
    tool = toolchain.locate("pgbouncer")
    assert tool
    assert tool.origin is toolchain.Origin.DEBIAN
    assert [file.name for file in path.parent.iterdir() if file.name not in {"pgbouncer", "root"}] == []


def test_libraries_that_are_there_are_not_fetched(debian: Path, on_path: Path) -> None:
    executable(on_path / "ldd", b"#!/bin/sh\necho ' libc.so.6 => /lib/libc.so.6'\n")
    assert "pgbouncer" in toolchain.ensure(["pgbouncer"], print)
    assert debian.read_text().splitlines() == ["download -qq pgbouncer"]


def test_root_fetches_missing_package_lists(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(f"{debian}.lists").unlink()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert "pgbouncer" in toolchain.ensure(["pgbouncer"], print)
    assert debian.read_text().splitlines()[:3] == ["download -qq pgbouncer", "update -qq", "download -qq pgbouncer"]


def test_without_root_and_lists_it_is_left_out(
    debian: Path, cache: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(f"{debian}.lists").unlink()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert toolchain.ensure(["pgbouncer"], said.append) == {}
    assert any("connections through the pooler are not covered" in line and "Unable to locate" in line for line in said)
    assert list((cache / "tools").iterdir()) == []


def test_a_library_that_stays_missing_is_named(debian: Path, on_path: Path, said: list[str]) -> None:
    executable(on_path / "ldd", b"#!/bin/sh\necho ' libmagic.so.9 => not found'\n")
    assert toolchain.ensure(["pgbouncer"], said.append) == {}
    assert any("lacks libmagic.so.9" in line for line in said)
    assert debian.exists()


@pytest.mark.usefixtures("cache")
def test_elsewhere_it_is_left_out_and_the_others_are_not_affected(said: list[str]) -> None:
    assert toolchain.ensure(["pgbouncer"], said.append) == {}
    assert any("this machine has no apt-get" in line for line in said)
