"""The programs that the gateway brings to the device: they never destroy data, and go on where they were killed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.cm5_gateway import nvme_disk
from components.cm5_gateway.nvme_disk import BEGUN_NAME, PARTITION_NAME, UNFINISHED, DiskError

SCRIPTS = Path(nvme_disk.__file__).parent
LABEL = "cabin-data"
MEBIBYTE = 1024 * 1024


class KilledError(Exception):
    """The machine stopped here."""


class Disk:
    """A disk as the kernel and blkid show it; a command may be the last one before the power goes."""

    def __init__(self, directory: Path, *, signs: dict[str, str] | None = None, parts: Any = ()) -> None:
        self.path, self.partition = str(directory / "nvme0n1"), str(directory / "nvme0n1p1")
        Path(self.path).write_bytes(bytes(MEBIBYTE))
        self.signs: dict[str, dict[str, str]] = {self.path: signs or {}}
        self.names: dict[str, str] = {}
        for path, name, inside in parts:
            self._part(str(directory / path), name, inside)
        self.mounted = ""
        self.serial = "S-1"
        self.ran: list[str] = []
        self.dies_after = sys.maxsize
        self.absent = 0

    def _part(self, path: str, name: str, inside: dict[str, str]) -> None:
        Path(path).touch()
        self.names[path], self.signs[path] = name, inside
        self.signs[self.path] = {"PTTYPE": "gpt"}

    def described(self, disk: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        assert disk == self.path
        children = [
            {"path": path, "partlabel": name, "mountpoint": "/x" if path == self.mounted else None}
            for path, name in self.names.items()
        ]
        mountpoint = "/x" if self.mounted == disk else None
        return {"path": disk, "serial": self.serial, "mountpoint": mountpoint}, children

    def run(self, program: str, *arguments: str, stdin: str | None = None) -> str:
        self.ran.append(program)
        if program == "sfdisk" and "--part-label" in arguments:
            assert arguments[-3:-1] == (self.path, "1")
            self.names[self.partition] = arguments[-1]
        elif program == "sfdisk":
            assert stdin is not None
            assert BEGUN_NAME in stdin
            self.names.clear()
            self._part(self.partition, BEGUN_NAME, {})
        elif program == "mkfs.ext4":
            assert arguments[-1] == self.partition
            self.signs[self.partition] = {"TYPE": "ext4", "LABEL": arguments[arguments.index("-L") + 1]}
        elif program == "e2label":
            self.absent -= 1
            if self.absent >= 0:
                raise DiskError("e2label ended with 1: No such file or directory")
            self.signs[arguments[0]]["LABEL"] = arguments[1]
        if len(self.ran) >= self.dies_after:
            raise KilledError
        return ""

    def make(self, erasable: str = "") -> None:
        nvme_disk.main(self.path, self.partition, LABEL, erasable)

    @property
    def is_made(self) -> bool:
        return self.signs.get(self.partition, {}).get("LABEL") == LABEL


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    def connected(disk: Disk) -> Disk:
        monkeypatch.setattr(nvme_disk, "_described", disk.described)
        monkeypatch.setattr(nvme_disk, "_probed", lambda path: disk.signs.get(path, {}))
        monkeypatch.setattr(nvme_disk, "_run", disk.run)
        monkeypatch.setattr(os, "sync", lambda: None)
        return disk

    return connected


def test_an_empty_disk_gets_its_file_system_and_its_label_last(tmp_path: Path, connect: Any) -> None:
    """CM5-143, CM5-144; a second run changes nothing (CM5-150)."""
    disk = connect(Disk(tmp_path))
    disk.make()
    assert (disk.ran, disk.is_made) == (["sfdisk", "mkfs.ext4", "sfdisk", "e2label"], True)
    assert disk.names == {disk.partition: PARTITION_NAME}
    disk.make()
    assert len(disk.ran) == 4


@pytest.mark.parametrize("commands", [1, 2, 3, 4])
def test_after_a_power_cut_the_next_run_ends_the_work(commands: int, tmp_path: Path, connect: Any) -> None:
    disk = connect(Disk(tmp_path))
    disk.dies_after = commands
    with pytest.raises(KilledError):
        disk.make()
    disk.dies_after = sys.maxsize
    disk.make()
    assert disk.is_made
    assert disk.names == {disk.partition: PARTITION_NAME}
    assert disk.ran.count("sfdisk") == 2


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"signs": {"TYPE": "ext4", "LABEL": "photos"}}, "it holds ext4 in 0 partitions"),
        ({"signs": {"TYPE": "crypto_LUKS"}}, "it holds crypto_LUKS"),
        ({"signs": {"PTTYPE": "gpt"}}, "it holds gpt in 0 partitions"),
        ({"parts": [("nvme0n1p1", "", {"TYPE": "ntfs"})]}, "it holds gpt, ntfs in 1 partitions"),
        # A partition that only looks like ours: another file system is in it.
        ({"parts": [("nvme0n1p1", BEGUN_NAME, {"TYPE": "ext4", "LABEL": "photos"})]}, "it holds gpt, ext4"),
        ({"parts": [("nvme0n1p1", BEGUN_NAME, {}), ("nvme0n1p2", "", {})]}, "in 2 partitions"),
    ],
)
def test_a_disk_that_holds_anything_is_refused(given: Any, found: str, tmp_path: Path, connect: Any) -> None:
    """CM5-147, also with another disk's serial number."""
    disk = connect(Disk(tmp_path, **given))
    for erasable in ("", "S-2"):
        with pytest.raises(DiskError) as refused:
            disk.make(erasable)
        assert found in str(refused.value)
        assert "storage.erase_serial: S-1" in str(refused.value)
    assert disk.ran == []


def test_a_partition_that_is_away_for_a_moment_gets_its_label(tmp_path: Path, connect: Any) -> None:
    disk = connect(Disk(tmp_path))
    disk.absent = 2
    disk.make()
    assert disk.is_made


@pytest.mark.parametrize("inside", [{}, {"TYPE": "ext4", "LABEL": "photos"}], ids=["damaged", "another label"])
@pytest.mark.parametrize("erasable", ["", "S-1"])
def test_what_was_once_made_is_never_made_again(inside: Any, erasable: str, tmp_path: Path, connect: Any) -> None:
    """CM5-147: a power cut can damage the first block of a file system that is whole; erase_serial may still be set."""
    disk = connect(Disk(tmp_path, parts=[("nvme0n1p1", PARTITION_NAME, inside)]))
    with pytest.raises(DiskError, match="holds a gateway's data"):
        disk.make(erasable)
    with pytest.raises(DiskError, match="holds a gateway's data"):
        nvme_disk._refuse(disk.path, disk.partition, erasable, *disk.described(disk.path))
    assert disk.ran == []


def test_data_of_no_known_kind_is_data(tmp_path: Path, connect: Any) -> None:
    disk = connect(Disk(tmp_path))
    Path(disk.path).write_bytes(bytes(2 * MEBIBYTE) + b"secret")
    with pytest.raises(DiskError, match="data of no known kind"):
        disk.make()
    assert disk.ran == []


def test_only_the_named_disk_is_erased(tmp_path: Path, connect: Any) -> None:
    disk = connect(Disk(tmp_path, signs={"TYPE": "ntfs"}))
    disk.make("S-1")
    assert disk.is_made


def test_a_mounted_disk_is_never_erased(tmp_path: Path, connect: Any) -> None:
    disk = connect(Disk(tmp_path, signs={"TYPE": "ntfs"}))
    disk.mounted = disk.path
    with pytest.raises(DiskError, match="is mounted"):
        disk.make("S-1")
    assert disk.ran == []


def test_a_begun_file_system_is_made_anew(tmp_path: Path, connect: Any) -> None:
    parts = [("nvme0n1p1", BEGUN_NAME, {"TYPE": "ext4", "LABEL": UNFINISHED})]
    disk = connect(Disk(tmp_path, parts=parts))
    disk.make()
    assert (disk.ran, disk.is_made) == (["mkfs.ext4", "sfdisk", "e2label"], True)


def test_a_whole_file_system_without_its_label_only_gets_that(tmp_path: Path, connect: Any) -> None:
    disk = connect(Disk(tmp_path, parts=[("nvme0n1p1", PARTITION_NAME, {"TYPE": "ext4", "LABEL": UNFINISHED})]))
    disk.make()
    assert (disk.ran, disk.is_made) == (["e2label"], True)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A real block device with a foreign file system."""
    if os.geteuid() != 0:
        pytest.skip("needs root: block devices")
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(4 * MEBIBYTE))
    subprocess.run(["mkfs.ext4", "-q", "-L", "photos", image], check=True)
    device = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    yield device, image
    subprocess.run(["losetup", "--detach", device], check=True)


def test_a_real_foreign_disk_stays_byte_for_byte(loop: tuple[str, Path]) -> None:
    """The program as it runs on the device: read from standard input."""
    device, image = loop
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    program = (SCRIPTS / "nvme_disk.py").read_text("utf-8")
    command = [sys.executable, "-I", "-", device, f"{device}p1", LABEL, ""]
    done = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{device} is not formatted: it holds ext4 in 0 partitions. Give another disk")
    assert hashlib.sha256(image.read_bytes()).hexdigest() == before


def test_a_labelled_disk_is_left_alone(loop: tuple[str, Path]) -> None:
    device, image = loop
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    nvme_disk.main(device, f"{device}p1", "photos", "")
    assert hashlib.sha256(image.read_bytes()).hexdigest() == before


class Authority:
    """The program `local-ca` with a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.served = directory, directory / "site.pem"
        self.host, self.days, self.renew = "cabin.local", "90", "30"
        self.fake: Path | None = None

    def run(self, verb: str) -> subprocess.CompletedProcess[str]:
        program = SCRIPTS / "templates" / "local-ca.sh"
        arguments = (self.directory, self.served, "Cabin CA", self.host, "local", "3650", self.days, self.renew)
        path = f"{self.fake}:{os.environ['PATH']}" if self.fake else os.environ["PATH"]
        command: list[str | Path] = ["sh", program, verb, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": path})

    def issue(self) -> None:
        done = self.run("issue")
        assert done.returncode == 0, done.stderr

    @property
    def is_right(self) -> bool:
        return self.run("check").returncode == 0

    def read(self, *arguments: str | Path) -> str:
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    return Authority(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an authority that has issued its certificate; to be copied."""
    first = Authority(tmp_path_factory.mktemp("authority"))
    first.issue()
    return first.directory


@pytest.fixture
def issued(authority: Authority, made: Path) -> Authority:
    """An authority that has issued its certificate."""
    shutil.copytree(made, authority.directory, dirs_exist_ok=True)
    return authority


def test_the_authority_is_made_once_and_its_key_is_private(authority: Authority) -> None:
    """CM5-178, CM5-183, CM5-214."""
    assert not authority.is_right
    authority.issue()
    assert authority.is_right
    first = {file.name: file.read_bytes() for file in authority.directory.iterdir()}
    assert set(first) == {"ca.key", "ca.crt", "site.pem"}
    assert (authority.directory / "ca.key").stat().st_mode & 0o777 == 0o600
    assert authority.served.stat().st_mode & 0o777 == 0o600
    assert (authority.directory / "ca.crt").stat().st_mode & 0o777 == 0o644
    authority.issue()
    assert {file.name: file.read_bytes() for file in authority.directory.iterdir()} == first


def test_the_authority_can_only_certify_the_local_domain(issued: Authority) -> None:
    said = issued.read("x509", "-in", issued.directory / "ca.crt", "-noout", "-text")
    assert "Permitted:\n                  DNS:local" in said
    assert "CA:TRUE, pathlen:0" in said
    served = issued.read("x509", "-in", issued.served, "-noout", "-issuer", "-ext", "subjectAltName")
    assert "CN = Cabin CA" in served
    assert "DNS:cabin.local" in served


@pytest.mark.parametrize("change", ["soon over", "another name", "another key", "cut off", "gone"])
def test_a_certificate_that_is_not_right_is_renewed_and_the_authority_stays(change: str, issued: Authority) -> None:
    kept = [(issued.directory / name).read_bytes() for name in ("ca.key", "ca.crt")]
    if change == "soon over":
        issued.renew = "100"
        assert not issued.is_right
        issued.days = "200"
    elif change == "another name":
        issued.host = "barn.local"
    elif change == "another key":
        other = issued.read("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        certificate = issued.served.read_text().partition("-----BEGIN CERTIFICATE")
        issued.served.write_text(other + certificate[1] + certificate[2])
    elif change == "cut off":
        issued.served.write_bytes(issued.served.read_bytes()[:300])
    else:
        issued.served.unlink()
    assert not issued.is_right
    issued.issue()
    assert issued.is_right
    assert [(issued.directory / name).read_bytes() for name in ("ca.key", "ca.crt")] == kept


def test_a_lost_key_is_told_and_not_replaced(issued: Authority) -> None:
    """A new authority would lock out every client, so it is a person's decision."""
    (issued.directory / "ca.key").unlink()
    issued.served.unlink()
    done = issued.run("issue")
    assert done.returncode == 1
    assert "is lost: restore it from the backup" in done.stderr
    assert not (issued.directory / "ca.key").exists()


FEW_CALLS = (2, 5, 9, 15)


@pytest.mark.parametrize(
    "call", [*FEW_CALLS, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, 22) if n not in FEW_CALLS)]
)
def test_killed_anywhere_the_next_run_ends_the_work(call: int, authority: Authority, tmp_path: Path) -> None:
    """Dies at the n-th call of a program that writes; what is half written has no name that counts."""
    authority.directory = tmp_path / "ca"
    authority.directory.mkdir()
    authority.served = authority.directory / "site.pem"
    authority.fake = tmp_path / "fake"
    authority.fake.mkdir()
    counter = tmp_path / "calls"
    for name in ("openssl", "mv", "sync", "chmod", "cat"):
        count = f'echo x >> {counter}\n[ "$(wc -l < {counter})" -ne {call} ] || kill -9 $PPID\n'
        (authority.fake / name).write_text(f'#!/bin/sh\n{count}exec {shutil.which(name)} "$@"\n')
        (authority.fake / name).chmod(0o755)
    died = authority.run("issue").returncode != 0
    authority.fake = None
    authority.issue()
    assert authority.is_right
    assert died
    assert {file.name for file in authority.directory.iterdir()} == {"ca.key", "ca.crt", "site.pem"}
