"""The documented lab's values stand in `Pulumi.lab.yaml` alone: every other site must be able to use the rest."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from stacks.settings.guards import strings
from stacks.settings.yaml_file import read

ROOT = Path(__file__).resolve().parents[2]
AREAS = ("components", "policies", "cli", "toolchain", "sandbox", "stacks")
TOO_COMMON = {"lab", "tools", "default"}
"""Values of the lab that are ordinary words: a stack's name, a namespace, a context."""


def lab_values() -> frozenset[str]:
    """What marks the lab: its fingerprints, every address and name below its domains, its nodes and organisations."""
    values = read(ROOT / "Pulumi.lab.yaml").values
    marks = {text for _, text in strings(values["fingerprints"], ())}
    domains = {exposure["domain"] for exposure in values["platform"]["exposure"].values()}
    marks |= domains | {values["platform"]["organization"], values["platform"]["postgres"]["host"]}
    texts = [text for _, text in strings(values, ())]
    below = re.compile(rf"[\w.-]+\.(?:{'|'.join(re.escape(domain) for domain in domains)})\b")
    marks |= {name for text in texts for name in below.findall(text)}
    marks |= set(_node_names(values["platform"]))
    return frozenset(mark.removeprefix("~") for mark in marks) - TOO_COMMON


def marks_in(text: str, marks: frozenset[str]) -> list[str]:
    """The marks a text holds as whole words, whatever their case."""
    lower = text.lower()
    return sorted(m for m in marks if re.search(rf"(?<![\w-]){re.escape(m.lower())}(?![\w-])", lower))


def _node_names(section: object) -> Iterator[str]:
    if isinstance(section, Mapping):
        for key, value in section.items():
            if key == "kubernetes.io/hostname":
                yield value
            else:
                yield from _node_names(value)


def _files(area: str) -> list[Path]:
    suffixes = {".py", ".yaml", ".yml", ".json", ".toml", ".j2", ".sh", ".sql", ".txt", ".md", ".go"}
    return [
        file
        for file in sorted((ROOT / area).rglob("*"))
        if file.is_file() and (file.suffix in suffixes or not file.suffix)
    ]


def test_the_marks_are_the_documented_ones() -> None:
    """A list that lost its values would find nothing and pass."""
    marks = lab_values()
    assert {"192.168.1.202", "pi1", "arcodange.lab", "arcodange.fr", "arcodange-org", "arcodange-tf"} <= marks
    assert {"gitea.arcodange.lab", "vault.arcodange.lab", "arcodange", "/.arcodange/cluster-keys.json"} <= marks


def test_a_planted_value_is_found() -> None:
    marks = lab_values()
    assert marks_in('HOST = "192.168.1.202"', marks) == ["192.168.1.202"]
    assert marks_in("https://Gitea.arcodange.lab/x", marks) == ["arcodange", "arcodange.lab", "gitea.arcodange.lab"]
    assert marks_in("pi10 192.168.1.20 my-arcodanges", marks) == []


@pytest.mark.parametrize("area", AREAS)
def test_no_value_of_the_lab_in(area: str) -> None:
    marks = lab_values()
    found = {
        str(file.relative_to(ROOT)): held
        for file in _files(area)
        if (held := marks_in(file.read_text(encoding="utf-8", errors="replace"), marks))
    }
    assert found == {}
