"""Makes the file system of the gateway's data on a disk that holds nothing. Runs on the device, read from stdin.

Arguments: disk, its partition, label, and the serial number of a disk that may be erased (or an empty text); with a
fifth one, ``judge``, it only says whether it would refuse. Standard library only, Python 3.9 or newer.

A disk that holds anything else is refused before a byte of it is written. Killed anywhere, it goes on with what it
began: the partition has another name until the file system is whole, and the label is given last. Once it has its own
name it is never formatted again, also when no file system can be found in it: a power cut may have damaged only the
first block of one that holds everything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["BEGUN_NAME", "PARTITION_NAME", "UNFINISHED", "DiskError", "judge", "main"]

PARTITION_NAME = "factory-gateway-data"
BEGUN_NAME = "factory-gateway-begun"
UNFINISHED = "unfinished"
_PROBED = 1024 * 1024
_NOTHING_FOUND = 2
_PATIENCE = 5.0
_FIELDS = "PATH,SERIAL,TYPE,MOUNTPOINT"


class DiskError(Exception):
    """The disk cannot be used; the message says why and what to do."""


def main(disk: str, partition: str, label: str, erasable: str) -> None:
    """Make the file system if it is missing. Raises DiskError for a disk that is not to be touched."""
    whole, parts = _described(disk)
    if _has(label, whole, parts):
        return
    begun, whole_already = _is_begun(partition, parts), _lacks_its_label(partition, parts)
    _refuse(disk, partition, erasable, whole, parts)
    if not whole_already:
        if not begun:
            _partition(disk, partition)
        _format(disk, partition)
    _label(partition, label)


def judge(disk: str, partition: str, label: str, erasable: str) -> None:
    """Look only. Raises DiskError for a disk that :func:`main` would refuse."""
    if not Path(disk).is_block_device():
        raise DiskError(f"there is no disk {disk}")
    whole, parts = _described(disk)
    if not _has(label, whole, parts):
        _refuse(disk, partition, erasable, whole, parts)


def _has(label: str, whole: dict[str, Any], parts: list[dict[str, Any]]) -> bool:
    return any(_probed(each["path"]).get("LABEL") == label for each in (whole, *parts))


def _refuse(disk: str, partition: str, erasable: str, whole: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    """Refuse a disk that is in use, or that holds anything but what was begun here, unless it may be erased."""
    if mounted := [each["path"] for each in (whole, *parts) if each.get("mountpoint")]:
        raise DiskError(f"{disk} is not formatted: {', '.join(mounted)} is mounted. Give another disk")
    if _is_begun(partition, parts) or _lacks_its_label(partition, parts):
        return
    if ours := [each["path"] for each in parts if each.get("partlabel") == PARTITION_NAME]:
        raise DiskError(
            f"{disk} is not formatted: {ours[0]} holds a gateway's data, damaged or under another label. Repair it "
            f"(`e2fsck -b 32768 {ours[0]}`), label it with `e2label`, or give another disk; only if nothing of it is "
            f"wanted, empty it with `wipefs --all {ours[0]} {disk}`"
        )
    if (found := _content(disk, partition, parts)) is None:
        return
    serial = (whole.get("serial") or "").strip()
    if not erasable or serial != erasable:
        raise DiskError(
            f"{disk} is not formatted: {found}. Give another disk, empty this one, or allow it to be erased with "
            f"storage.erase_serial: {serial or '(but it has no serial number)'}"
        )


def _is_begun(partition: str, parts: list[dict[str, Any]]) -> bool:
    """Whether the disk has our partition alone, under its first name, without a whole file system in it."""
    if [(each["path"], each.get("partlabel")) for each in parts] != [(partition, BEGUN_NAME)]:
        return False
    inside = _probed(partition)
    return "TYPE" not in inside or inside.get("LABEL") == UNFINISHED


def _lacks_its_label(partition: str, parts: list[dict[str, Any]]) -> bool:
    """Whether the disk has our partition alone, with a whole file system which only lacks its label."""
    if [(each["path"], each.get("partlabel")) for each in parts] != [(partition, PARTITION_NAME)]:
        return False
    return _probed(partition).get("LABEL") == UNFINISHED


def _content(disk: str, partition: str, parts: list[dict[str, Any]]) -> str | None:
    """Say what a disk holds; None for nothing at all."""
    signs = _probed(disk)
    kinds = [signs.get("TYPE") or signs.get("PTTYPE")] + [_probed(each["path"]).get("TYPE") for each in parts]
    if parts or signs:
        known = ", ".join(kind for kind in kinds if kind) or "unknown data"
        return f"it holds {known} in {len(parts)} partitions"
    return None if _is_blank(disk) else f"it holds data of no known kind, and {partition} is not there"


def _is_blank(device: str) -> bool:
    """Whether the beginning and the end of a device are zeros."""
    with Path(device).open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        for place in (0, max(0, size - _PROBED)):
            stream.seek(place)
            if stream.read(_PROBED).strip(b"\0"):
                return False
    return True


def _partition(disk: str, partition: str) -> None:
    """Write a table with one partition over the whole disk; what was there is wiped."""
    table = f"label: gpt\ntype=linux, name={BEGUN_NAME}\n"
    _run("sfdisk", "--wipe", "always", "--wipe-partitions", "always", "--quiet", disk, stdin=table)
    end = time.monotonic() + _PATIENCE
    while not Path(partition).exists():
        if time.monotonic() > end:
            raise DiskError(f"{partition} does not appear: look at `dmesg`")
        time.sleep(0.1)


def _format(disk: str, partition: str) -> None:
    """Make the file system; when it is whole, the partition gets the name which keeps it from being made again."""
    _run("mkfs.ext4", "-q", "-F", "-L", UNFINISHED, partition)
    os.sync()
    _run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--part-label", disk, "1", PARTITION_NAME)
    os.sync()


def _label(partition: str, label: str) -> None:
    """Give the label. What watches disks takes the partition away for a moment after its table was written."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            _run("e2label", partition, label)
        except DiskError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            os.sync()
            return


def _described(disk: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the disk, and all that is on it however deep: path, serial number, mount point and partition's name."""
    listed = json.loads(_run("lsblk", "--json", "--list", "--output", _FIELDS, disk))["blockdevices"]
    whole, *parts = listed
    return whole, [{**each, "partlabel": _probed(each["path"]).get("PART_ENTRY_NAME")} for each in parts]


def _probed(device: str) -> dict[str, str]:
    """Look at a device itself, past every cache: its TYPE, LABEL, PTTYPE, ... by name."""
    command = ["blkid", "--probe", "--output", "export", device]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, _NOTHING_FOUND):
        raise DiskError(f"blkid cannot tell what {device} holds: {done.stderr.strip() or 'it found several things'}")
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _run(*command: str, stdin: str | None = None) -> str:
    """Run a program; its last words become the error's."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise DiskError(f"{command[0]} ended with {done.returncode}: {' '.join(said)}")
    return done.stdout


if __name__ == "__main__":
    try:
        if sys.argv[5:] == ["judge"]:
            judge(*sys.argv[1:5])
        else:
            main(*sys.argv[1:])
    except DiskError as error:
        sys.exit(str(error))
