"""The agent's JSON is that of `json`."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.host.agent.json_text import dumps, loads

ROOT = Path(__file__).resolve().parents[3]
SIGNS = st.characters() | st.sampled_from('\x00\x1f\x7f\\"/\u2028\ud800\udcff')
TEXTS = st.text(SIGNS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(VALUES, st.booleans())
def test_it_writes_and_reads_what_json_does(value: Any, ascii_only: bool) -> None:
    text = dumps(value, ascii_only=ascii_only)
    assert text == json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only)
    assert loads(text) == value
    assert loads(f" \r\n{json.dumps(value, indent=1)}\t ") == value


@pytest.mark.parametrize("text", ["", " ", "{", "[1,]", "{} {}", "nul", "{'a': 1}", '"\n"', "\x00", "{}x"])
def test_what_is_not_one_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 that is what `json` promises
        loads(text)


def test_it_reads_what_json_writes_beyond_json() -> None:
    assert math.isnan(loads("NaN"))
    assert loads("[Infinity, -Infinity]") == [math.inf, -math.inf]
    with pytest.raises(TypeError, match="set cannot be written"):
        dumps({1})


def test_a_python_without_the_fast_half_takes_the_module() -> None:
    program = (
        "import sys; sys.modules['_json'] = None\n"
        "from components.host.agent.json_text import dumps, loads\n"
        'print(dumps(loads(\' {"a": [1, "\\u00e4"]} \'), ascii_only=True))'
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == '{"a":[1,"\\u00e4"]}\n'
