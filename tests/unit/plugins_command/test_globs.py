"""Globs of asset and archive paths."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from toolchain.plugins.command.globs import archive, assets

FILES = ("assets/logos/logo.svg", "src/index.js", "src/secret.js", "src/deep/other.js", "readme.md")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        (["assets/**", "src/**.js", "!**secret.*"], ["assets/logos/logo.svg", "src/deep/other.js", "src/index.js"]),
        (["src/*.js"], ["src/index.js", "src/secret.js"]),
        (["!src/index.js", "src/*.js"], ["src/index.js", "src/secret.js"]),
        (["**.{svg,md}"], ["assets/logos/logo.svg", "readme.md"]),
        (["readme.m?", "./src/[hi]*"], ["readme.md", "src/index.js"]),
        (["src"], []),
        (["*.[!a-l]d"], ["readme.md"]),
    ],
)
def test_rules_are_read_in_order(folder: Path, rules: list[str], names: list[str]) -> None:
    assert list(assets(folder, rules)) == names


def test_an_asset_has_the_hash_of_its_content_and_an_archive_one_of_all(folder: Path) -> None:
    found = assets(folder, ["**"])
    assert found["readme.md"].hash == hashlib.sha256(b"readme.md").hexdigest()
    before = archive(found).hash
    assert archive(assets(folder, ["**"])).hash == before
    (folder / "readme.md").write_text("changed")
    assert archive(assets(folder, ["**"])).hash != before
