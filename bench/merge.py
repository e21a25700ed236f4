"""Merging a replica directory: against a plain copy of as many bytes, what people do without a tool, and sparse.

Each peer is a process of its own, starts with its input out of the cache, and ends with its output on the disk. What it
wrote is compared with the model afterwards, which is not timed. Those that a goal compares take turns; the others,
some of which take minutes, run once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.harness import QUICK_RUNS, RUNS, Row, rounds
from bench.layers import BLOCK, Replica
from components.longhorn.recovery.single_file import write

OURS, BARE = "factory", "factory --no-verify"
PLAIN, QEMU = "cp of as many bytes", "qemu-img convert of as many bytes"
COMPARED = "cp of as many bytes, cmp with what the disk holds"
"""A copy as sure of itself as a merge is."""
_ENOUGH_SECONDS = 180.0
"""After this long, a goal's rows are measured no further once they have `_FEWEST` runs."""
_FEWEST = 3
_GIB = 1 << 30
_MIB = 1 << 20
_OLD_METHOD = """
import sys
from pathlib import Path
head, parent, output = map(Path, sys.argv[1:])
zeros = bytes(4096)
with head.open("rb") as new, parent.open("rb") as old, output.open("wb") as out:
    out.truncate(head.stat().st_size)
    for offset in range(0, head.stat().st_size, 4096):
        block, below = new.read(4096), old.read(4096)
        found = block if block != zeros else below
        if found != zeros:
            out.seek(offset)
            out.write(found)
"""

# A small process between: what a process inherits from a large one counts as its own memory.
_LAUNCHER = """
import resource, subprocess, sys, time
start = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_oublock * 512, used.ru_maxrss * 1024)
"""


Commands = Sequence[Sequence[str | Path]]
"""What a peer runs, one after the other."""


def run(*, quick: bool, note: Callable[[str], None]) -> Iterator[Row]:
    """Run all cases; they need about three times the data on the disk."""
    runs = QUICK_RUNS if quick else RUNS
    volume, data = (256 * _MIB, 192 * _MIB) if quick else (4 * _GIB, 3 * _GIB)
    with tempfile.TemporaryDirectory(prefix="factory-bench-") as name:
        folder = Path(name)
        tool = folder / "longhorn-recover.pyz"
        write(tool)
        yield from _layers(folder, tool, (volume, data), runs, note)
        yield from _sparse(folder, tool, 64 * _MIB if quick else 2 * _GIB, runs, note)


def _layers(folder: Path, tool: Path, sizes: tuple[int, int], runs: int, note: Callable[[str], None]) -> Iterator[Row]:
    volume, data = sizes
    note(f"a volume of {volume // _MIB} MiB in 7 layers with {data // _MIB} MiB of extents")
    model = Replica(volume, data, 7)
    source, output, flat = model.store(folder / "pvc-layers-00000001"), folder / "output", folder / "flat"
    right = model.sha256()
    with flat.open("wb") as file:
        for _ in range(model.owned() // _MIB):
            file.write(os.urandom(_MIB))
    chain = sorted(source.glob("volume-snap-*.img")) + sorted(source.glob("volume-head-*.img"))
    merge: list[str | Path] = [sys.executable, "-I", tool, "merge", source, output]
    forget = ["dd", "if=/dev/null", f"of={output}", "oflag=nocache", "conv=notrunc,fdatasync", "count=0"]
    copy: list[str | Path] = ["cp", flat, output]
    goal: dict[str, Commands] = {
        OURS: [merge],
        BARE: [[*merge, "--no-verify"]],
        PLAIN: [copy],
        COMPARED: [copy, forget, ["cmp", flat, output]],
    }
    others: dict[str, Commands] = {
        "old method": [[sys.executable, "-c", _OLD_METHOD, chain[-1], chain[-2], output]],
        "dd chain": [["dd", f"if={layer}", f"of={output}", "bs=4k", "conv=sparse,notrunc"] for layer in chain],
    }
    if shutil.which("qemu-img"):
        others[QEMU] = [["qemu-img", "convert", "-f", "raw", "-O", "raw", flat, output]]
    else:
        note("no qemu-img here (Debian: qemu-utils): its row is left out")
    rows = {peer: Row("7 layers", peer) for peer in [*goal, *others]}

    def measure(peer: str, commands: Commands) -> None:
        rows[peer] = _measure(rows[peer], commands, output, [source, flat])
        if rows[peer].result is None and peer not in {PLAIN, COMPARED, QEMU}:
            rows[peer] = replace(rows[peer], result="right" if _sha256(output, volume) == right else "wrong content")
        _remove(output)

    for _ in rounds(runs, _ENOUGH_SECONDS, fewest=_FEWEST):
        for peer, commands in goal.items():
            measure(peer, commands)
    for peer, commands in others.items():
        measure(peer, commands)
    ours, bare, plain, compared = (rows[peer].median for peer in (OURS, BARE, PLAIN, COMPARED))
    note(f"against cp and cmp: {compared / ours:.2f}; without reading back, against cp: {plain / bare:.2f}; goal: 0.8")
    yield from rows.values()


def _sparse(folder: Path, tool: Path, data: int, runs: int, note: Callable[[str], None]) -> Iterator[Row]:
    """Merge the same data in a volume of 4 GiB and in one of 1 TiB."""
    note(f"{data // _MIB} MiB of data in volumes of 4 GiB and 1 TiB")
    output, rows, sources = folder / "output", [], []
    for name, volume in (("4 GiB", 4 * _GIB), ("1 TiB", 1024 * _GIB)):
        sources.append(_spread(folder / f"pvc-{name.replace(' ', '').lower()}-00000001", volume, data))
        rows.append(Row(f"{data // _MIB} MiB of data in {name}", OURS))
    for _ in rounds(runs, _ENOUGH_SECONDS, fewest=_FEWEST):
        for index, source in enumerate(sources):
            command: list[str | Path] = [sys.executable, "-I", tool, "merge", source, output]
            rows[index] = _measure(rows[index], [command], output, [source])
            _remove(output)
    note(f"1 TiB against 4 GiB: {rows[1].median / rows[0].median:.2f} x the time; the goal is 1.2")
    yield from rows


def _spread(folder: Path, volume: int, data: int) -> Path:
    """Store runs of a mebibyte at even distances: a model of blocks would need as much memory as the volume has."""
    small = Replica(data, BLOCK, 1)
    small.store(folder)
    head = folder / "volume-head-000.img"
    with head.open("wb") as file:
        file.truncate(volume)
        for number in range(data // _MIB):
            file.seek(number * (volume // data) * _MIB)
            file.write(os.urandom(_MIB))
        file.flush()
        os.fsync(file.fileno())
    meta = (folder / "volume.meta").read_text("utf-8")
    (folder / "volume.meta").write_text(meta.replace(f'"Size": {data}', f'"Size": {volume}'), "utf-8")
    return folder


def _measure(row: Row, steps: Commands, output: Path, inputs: Sequence[Path]) -> Row:
    """Run the steps once, add what they took, and return the row with the most memory that one of them had."""
    for place in inputs:
        _forget(place)
    total, memory = [0.0, 0.0, 0.0], 0
    for step in steps:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _LAUNCHER, *step], capture_output=True, text=True, check=True
        )
        *used, most = map(float, done.stdout.split())
        total = [before + more for before, more in zip(total, used, strict=True)]
        memory = max(memory, int(most))
    start = time.monotonic()
    with output.open("rb") as file:
        os.fsync(file.fileno())
    row.seconds.append(round(total[0] + time.monotonic() - start, 3))
    row.cpu_seconds.append(round(total[1], 3))
    row.written_bytes.append(int(total[2]))
    return replace(row, memory_bytes=max(memory, row.memory_bytes or 0))


def _forget(place: Path) -> None:
    """Take files out of the page cache; they must be on the disk for that."""
    for path in [place] if place.is_file() else place.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _sha256(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_MIB):
            digest.update(piece)
        digest.update(bytes(max(size - file.tell(), 0)))
    return digest.hexdigest()


def _remove(output: Path) -> None:
    for path in output.parent.glob("output*"):
        path.unlink()
