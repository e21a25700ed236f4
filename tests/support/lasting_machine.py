"""A test machine with a disk: what it has written is there again when it boots after a power cut."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.machines import Keys, Machine
from toolchain.debian_packages import program

# Whoever holds its input keeps the disk, which is memory of a namespace of its own.
_DISK = 'mount -t tmpfs -o mode=755 disk "$1" && echo ready && exec cat'


@dataclass
class LastingMachine(Machine):
    """The machine. Its `stop` is the power cut."""

    disk: subprocess.Popen[str] = field(kw_only=True)
    """The process whose mounts hold what it writes."""

    def _place(self) -> list[str]:
        return [str(program("nsenter")), f"--target={self.disk.pid}", "--mount", "--"]


@contextmanager
def lasting_machine(name: str) -> Iterator[LastingMachine]:
    """Run a machine of that name; the disk goes with this process at the latest."""
    with tempfile.TemporaryDirectory(prefix="factory-machine-") as place:
        folder = Path(place)
        for part in ("keys", "work"):
            (folder / part).mkdir()
        unshare = [str(program("unshare")), "--mount", "--propagation=private"]
        command = [*unshare, "sh", "-c", _DISK, "sh", str(folder / "work")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as disk:
            assert disk.stdout is not None
            assert disk.stdout.readline() == "ready\n"
            machine = LastingMachine(name, folder, Keys.make(folder / "keys"), disk=disk)
            try:
                machine.start()
                yield machine
            finally:
                machine.stop()
