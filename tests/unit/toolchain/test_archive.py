"""Archives that are not what they should be."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from toolchain.archive import unpack
from toolchain.errors import ToolError
from toolchain.releases import Packing, Release

RELEASE = Release("1", "https://example.test/tool.zip", "https://example.test/sums", Packing.ZIP)
ENCRYPTED, METHOD, CONTENT = 6, 8, 34
"""Where a zip's first file has its flags, its way of packing, and, after a name of four letters, its content."""


@pytest.mark.parametrize(
    ("place", "byte", "said"),
    [(CONTENT, 0xFF, "decompressing"), (ENCRYPTED, 0x01, "encrypted"), (METHOD, 0x63, "compression method")],
)
def test_what_cannot_be_unpacked_is_told_in_words(tmp_path: Path, place: int, byte: int, said: str) -> None:
    archive = tmp_path / "archive"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("tool", "a program " * 100)
    content = bytearray(archive.read_bytes())
    places = [place] if place == CONTENT else [place, content.index(b"PK\1\2") + place + 2]
    for each in places:
        content[each] = byte
    archive.write_bytes(content)
    with pytest.raises(ToolError, match=f"not a readable zip: .*{said}"):
        unpack(archive, RELEASE, tmp_path / "target")


def test_nothing_is_written_of_an_archive_with_an_unsafe_member(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("tool", "a program")
        file.writestr("../escaped", "x")
    with pytest.raises(ToolError, match="unsafe member"):
        unpack(archive, RELEASE, tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]
