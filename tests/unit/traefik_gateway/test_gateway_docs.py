"""The manual explains every finding that the code can make."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MADE = re.compile(r"(?:error|warning|notice|_skip)\(\s*\"(TPX-\d+)\"|\(\"(TPX-\d+)\", f?\"|return \"(TPX-\d+)\"")


def made() -> set[str]:
    sources = sorted((ROOT / "components" / "traefik_gateway").glob("*.py"))
    found = [match for file in sources for match in MADE.findall(file.read_text("utf-8"))]
    return {name for names in found for name in names if name}


def test_every_finding_has_its_row() -> None:
    manual = (ROOT / "docs" / "traefik-gateway.md").read_text("utf-8")
    explained = {name for row in re.findall(r"^\| (TPX[^|]*) \|", manual, re.MULTILINE) for name in row.split(", ")}
    assert len(made()) >= 40, "the search must find what it looks for"
    assert made() - explained == set()
