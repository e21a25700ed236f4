"""Where an image goes: never into a replica, never onto a device in use or with content, and whole onto a stream."""

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.longhorn.recovery import BadInputError, MergeOptions, RefusedError, Status, merge
from tests.recovery.model.layers import BLOCK, content, make_replica
from tests.recovery.model.witness import witness

NAME = "pvc-0a1b2c3d-00000001"
ROOT, HEAD = "A.B0" * 128, "...." * 64 + "..c." * 64
RIGHT = content("".join(new if new != "." else old for old, new in zip(ROOT, HEAD, strict=True)))
pytestmark = pytest.mark.usefixtures("nobody_else")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    folder = make_replica(tmp_path / "replicas" / NAME, ROOT, HEAD)
    before = witness(folder)
    yield folder
    assert witness(folder) == before


@pytest.mark.parametrize("place", [NAME, "", "new", "new/deep"])
def test_never_below_the_replicas(place: str, source: Path) -> None:
    """INV-001."""
    folder = source.parent / place
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.raises(RefusedError) as caught:
        merge(source, folder / "image")
    assert caught.value.code == "output-in-replica"
    assert not (folder / "image").exists()


def test_never_into_any_replica_and_not_through_a_link(source: Path, tmp_path: Path) -> None:
    other = make_replica(tmp_path / "elsewhere" / "copy", "A")
    link = tmp_path / "link"
    link.symlink_to(source)
    for folder in (other, link):
        with pytest.raises(RefusedError) as caught:
            merge(source, folder / "image")
        assert caught.value.code == "output-in-replica"


def test_what_is_no_file_is_not_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for name in ("folder", "pipe", "link"):
        with pytest.raises(BadInputError) as caught:
            merge(source, tmp_path / name)
        assert caught.value.code == "not-a-file"
    with pytest.raises(BadInputError) as caught:
        merge(source, tmp_path / "nowhere" / "image")
    assert caught.value.code == "no-folder"
    with pytest.raises(BadInputError) as caught:
        merge(source, tmp_path / "image", MergeOptions(to_device=True))
    assert caught.value.code == "not-a-device"


def test_an_existing_image_is_not_replaced_unasked(source: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"precious")
    with pytest.raises(RefusedError) as caught:
        merge(source, image)
    assert caught.value.code == "output-exists"
    assert image.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image", "replicas"]
    merge(source, image, MergeOptions(overwrite=True))
    assert image.read_bytes() == RIGHT


def test_an_image_that_was_changed_later_is_not_taken_for_complete(source: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    merge(source, image)
    assert merge(source, image).reused
    with image.open("r+b") as file:
        file.write(b"?")
    with pytest.raises(RefusedError) as caught:
        merge(source, image)
    assert caught.value.code == "output-exists"
    image.with_name("image.manifest.json").write_text("{}")
    with pytest.raises(Exception, match="no manifest"):
        merge(source, image)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A loop device where this user may make one, else a file that passes for a device."""
    backing = tmp_path / "backing"
    backing.write_bytes(bytes(len(RIGHT)))
    losetup = shutil.which("losetup", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
    made = losetup and subprocess.run([losetup, "-f", "--show", backing], capture_output=True, text=True, check=False)
    if made and losetup and made.returncode == 0:
        yield Path(made.stdout.strip())
        subprocess.run([losetup, "-d", made.stdout.strip()], check=True)
    else:
        monkeypatch.setattr(stat, "S_ISBLK", lambda _mode: True)
        yield backing


def test_a_device_is_written_whole(source: Path, device: Path, tmp_path: Path) -> None:
    """What it held where the volume has holes must be gone: zeros there too."""
    device.write_bytes(b"?" * len(RIGHT))
    with pytest.raises(RefusedError) as caught:
        merge(source, device, MergeOptions(to_device=True))
    assert caught.value.code == "device-not-empty"
    assert device.read_bytes() == b"?" * len(RIGHT)
    manifest = tmp_path / "manifest"
    result = merge(source, device, MergeOptions(to_device=True, overwrite=True, manifest=manifest))
    assert device.read_bytes() == RIGHT
    assert (result.status, result.verified) == (Status.RECOVERED, True)
    assert result.content.sha256 in manifest.read_text()


def test_a_device_is_written_only_when_it_is_named_one(source: Path, device: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        merge(source, device)
    assert caught.value.code == "is-a-device"
    assert device.read_bytes() == bytes(len(RIGHT))


def test_a_device_of_another_size_is_refused(fast_path: Path, device: Path) -> None:
    other = make_replica(fast_path / NAME, "AB" * 10)
    with pytest.raises(RefusedError) as caught:
        merge(other, device, MergeOptions(to_device=True))
    assert caught.value.code == "device-size"
    assert device.read_bytes() == bytes(len(RIGHT))


def test_a_device_in_use_is_refused(source: Path, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses an exclusive opening of a mounted device."""
    real = os.open

    def busy(path: object, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_EXCL and Path(str(path)) == device:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return real(str(path), flags, mode)

    monkeypatch.setattr(os, "open", busy)
    with pytest.raises(RefusedError) as caught:
        merge(source, device, MergeOptions(to_device=True))
    assert caught.value.code == "device-in-use"


def test_the_output_is_sparse(source: Path, tmp_path: Path) -> None:
    """MRG-021: holes and written zeros alike are holes in the image."""
    image = tmp_path / "image"
    merge(source, image)
    data = sum(any(RIGHT[at : at + BLOCK]) for at in range(0, len(RIGHT), BLOCK)) * BLOCK
    assert data <= image.stat().st_blocks * 512 <= data + 4 * BLOCK


def test_an_image_of_other_terms_is_no_result(source: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    merge(source, image)
    for options in (MergeOptions(zero_unreadable=True), MergeOptions(stream_sha256=True)):
        with pytest.raises(RefusedError) as caught:
            merge(source, image, options)
        assert caught.value.code == "output-exists"
