"""Our table of the engine's options against the engine itself."""

from __future__ import annotations

import re
import subprocess

import pytest

import toolchain
from cli.forwarded import VALUED

pytestmark = pytest.mark.engine

_OPTION = re.compile(r"^\s+(?:(-\w), )?(--[a-z-]+)(?: ([a-zA-Z0-9:]+)(?=\s))?", re.MULTILINE)
_KINDS = {"string", "strings", "stringArray", "int", "int32", "file:"}


@pytest.mark.parametrize("command", ["up", "preview", "destroy"])
def test_an_option_that_takes_a_word_is_known_to_take_one(command: str) -> None:
    engine = toolchain.ensure(["pulumi"], print)["pulumi"]
    told = subprocess.run([engine, command, "--help"], check=True, capture_output=True, text=True).stdout
    found = [(kind in _KINDS, name) for *names, kind in _OPTION.findall(told) for name in names if name]
    valued, others = ({name for takes, name in found if takes is wanted} for wanted in (True, False))
    assert {"--target", "-t", "--message", "--parallel", "--color"} <= valued
    assert {"--diff", "--json", "--refresh", "-d"} <= others
    assert [name for name in valued if not VALUED.fullmatch(name)] == []
    assert [name for name in others if VALUED.fullmatch(name)] == []
