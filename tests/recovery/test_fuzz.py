"""Metadata that a broken disk changed, and layers cut off: a verdict, never a traceback, never an image."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.longhorn.recovery import DamagedError, RecoveryError, RefusedError, Status, merge
from components.longhorn.recovery.directory import ALIGNMENT
from components.longhorn.recovery.scan import scan
from tests.recovery.model.damages import BLOCKS, HEAD, MIDDLE, ROOT, good, promised
from tests.recovery.model.layers import BLOCK, make_replica

FILES, LONG_FILES = 2_000, 50_000
TRUNCATIONS, LONG_TRUNCATIONS = 60, 2_000
METAS = ("volume.meta", f"{HEAD}.meta", f"{MIDDLE}.meta", f"{ROOT}.meta", "revision.counter")
pytestmark = pytest.mark.usefixtures("nobody_else")

VALUES: list[object] = [
    None, True, False, 0, -1, 1, 4096, 1 << 31, 1 << 63, 1 << 80, 0.5, float("inf"), "", " ", "true", "0", [], {}, [[]],
    "volume-head-002.img", "volume-snap-s0.img", "volume-snap-s9.img", "../x.img", "/etc/passwd", "a" * 5000, "\0",
    "\ud800", "volume-snap-\u212a.img", "volume-head-\u0662\u0663\u0664.img", "volume-snap-s1.img\n",
]  # fmt: skip


def test_mutated_metadata(fast_path: Path, dice: random.Random, long_run: bool) -> None:
    folder = fast_path / "pvc-0a1b2c3d-00000001"
    pad = "." * 502
    make_replica(folder, "ABCD000..." + pad, "..ef.g0..." + pad, ".h...i...." + pad)
    (folder / "revision.counter").write_bytes(b"12".ljust(BLOCK, b"\0"))
    kept = {name: (folder / name).read_bytes() for name in METAS}
    merge(folder, fast_path / "good")
    right = (fast_path / "good").read_bytes()
    verdicts: dict[Status, int] = {}
    for number in range(LONG_FILES if long_run else FILES):
        name = dice.choice(METAS)
        (folder / name).write_bytes(mutated(kept[name], dice))
        status = attempt(folder, fast_path / "image", right)
        verdicts[status] = verdicts.get(status, 0) + 1
        if number % 50 == 0:
            report = scan([fast_path])
            json.dumps(report.as_dict())
            (candidate,) = report.rankings[0].candidates
            assert status is promised(candidate.replica.verdict)
        (folder / name).write_bytes(kept[name])
    # The mutations are of all kinds: some spoil everything, some a value that does not matter.
    assert verdicts[Status.DAMAGED] > FILES // 4
    assert {Status.RECOVERED, Status.REFUSED, Status.WARNINGS} <= verdicts.keys()


def attempt(folder: Path, image: Path, right: bytes) -> Status:
    """Merge, and insist that an image is there only for a success, and is right unless a warning says what is not."""
    try:
        result = merge(folder, image)
    except (DamagedError, RefusedError) as error:
        status = error.status
    else:
        told = {finding.code for finding in result.findings}
        assert image.read_bytes() == right or "parent-differs" in told
        image.unlink()
        image.with_name("image.manifest.json").unlink()
        status = result.status
    assert not image.exists()
    return status


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Change the content: bytes, ends, keys or values."""
    ways: list[Callable[[bytes, random.Random], bytes]] = [_flip, _cut, _insert, _value, _value, _key, _double, _zeros]
    return dice.choice(ways)(content, dice)


def _flip(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def _insert(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + dice.randbytes(dice.randint(1, 20)) + content[at:]


def _value(content: bytes, dice: random.Random) -> bytes:
    try:
        document = json.loads(content)
        document[dice.choice(sorted(document))] = dice.choice(VALUES)
    except (ValueError, TypeError):
        return json.dumps(dice.choice(VALUES)).encode()
    return json.dumps(document).encode()


def _key(content: bytes, dice: random.Random) -> bytes:
    try:
        document = json.loads(content)
        del document[dice.choice(sorted(document))]
    except (ValueError, TypeError):
        return b""
    return json.dumps(document).encode()


def _double(content: bytes, _dice: random.Random) -> bytes:
    return content * 2


def _zeros(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + bytes(len(content) - at)


@pytest.mark.parametrize("layer", [ROOT, MIDDLE, HEAD])
def test_truncated_layers(layer: str, fast_path: Path, dice: random.Random, long_run: bool) -> None:
    for number in range(LONG_TRUNCATIONS if long_run else TRUNCATIONS):
        folder = good(fast_path / str(number))
        length = dice.choice([dice.randrange(BLOCKS * BLOCK), dice.randrange(BLOCKS) * BLOCK])
        if length % ALIGNMENT == 0 and length:
            length += BLOCK
        os.truncate(folder / layer, length)
        with pytest.raises(RecoveryError) as caught:
            merge(folder, fast_path / "image")
        assert caught.value.status in {Status.DAMAGED, Status.REFUSED}
        assert not (fast_path / "image").exists()
        shutil.rmtree(folder)
