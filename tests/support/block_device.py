"""A disk of a test: a loop device over a file, with the partitions that somebody writes on it.

In a container no udev makes device files, and some kernels read no tables of partitions: both is done here, as udev
does it when a program has written to the disk and closes it. The device goes with the process that has it open, so a
killed test leaves none.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import select
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from toolchain.debian_packages import program

SIZE = 64 * 1024 * 1024
_PERIOD = 0.1
_CLOSED_AFTER_WRITING = 0x8
_EVENT_BYTES = 4096


@dataclass
class Disk:
    """A disk of `SIZE` bytes."""

    path: str
    """Its device file, here and on the machine that it is plugged into."""
    image: Path
    _folder: Path | None = field(init=False, default=None)
    _watching: threading.Thread | None = field(init=False, default=None)
    _done: threading.Event = field(init=False, default_factory=threading.Event)

    @classmethod
    @contextmanager
    def made(cls, image: Path) -> Iterator[Disk]:
        """Make an empty one."""
        with image.open("wb") as file:
            file.truncate(SIZE)
        path = _run("losetup", "--find", "--show", "--partscan", str(image)).strip()
        held = os.open(path, os.O_RDONLY)
        try:
            # From now on it lasts as long as somebody has it open.
            _run("losetup", "--detach", path)
            yield cls(path, image)
        finally:
            _run("partx", "--delete", path, check=False)
            os.close(held)

    @property
    def digest(self) -> str:
        """A mark of all its bytes."""
        with Path(self.path).open("rb") as device:
            return hashlib.file_digest(device, "sha256").hexdigest()

    def clear(self) -> None:
        """Empty it."""
        _run("partx", "--delete", self.path, check=False)
        with Path(self.path).open("wb") as device:
            device.write(bytes(SIZE))
            os.fsync(device.fileno())

    def read_table(self) -> list[str]:
        """Have the kernel know the partitions, as at its start; returns the device files that there are here."""
        _run("partx", "--update", self.path, check=False)
        return [self.path, *map(str, Path("/dev").glob(f"{Path(self.path).name}p*"))]

    def plug(self, folder: Path) -> None:
        """Show it in a machine's folder of devices, now and whenever its partitions may have changed."""
        self._folder = folder
        self._done.clear()
        self._show()
        events = _closings(folder / Path(self.path).name)
        self._watching = threading.Thread(target=self._watch, args=[events], daemon=True)
        self._watching.start()

    def unplug(self) -> None:
        """Show it no more."""
        if self._watching is not None:
            self._done.set()
            self._watching.join()
            self._watching = None

    def _watch(self, events: int) -> None:
        while not self._done.is_set():
            if select.select([events], [], [], _PERIOD)[0]:
                os.read(events, _EVENT_BYTES)
                self.read_table()
                self._show()
        os.close(events)

    def _show(self) -> None:
        assert self._folder is not None
        whole = Path("/sys/class/block", Path(self.path).name)
        for device in [whole, *whole.glob(f"{whole.name}p*")]:
            shown, number = self._folder / device.name, os.makedev(*map(int, (device / "dev").read_text().split(":")))
            if not shown.exists() or shown.stat().st_rdev != number:
                shown.unlink(missing_ok=True)
                os.mknod(shown, stat.S_IFBLK | 0o600, number)


def _closings(path: Path) -> int:
    """Return a file that can be read whenever somebody has closed that one after writing."""
    libc = ctypes.CDLL(None, use_errno=True)
    events = libc.inotify_init1(os.O_CLOEXEC)
    if events < 0 or libc.inotify_add_watch(events, os.fsencode(path), _CLOSED_AFTER_WRITING) < 0:
        raise OSError(ctypes.get_errno(), f"{path} cannot be watched")
    return int(events)


def _run(name: str, *arguments: str, check: bool = True) -> str:
    done = subprocess.run([str(program(name)), *arguments], check=False, capture_output=True, text=True, timeout=30)
    if check and done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr}")
    return done.stdout
