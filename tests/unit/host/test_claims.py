"""Two roles of one host: what they can both have, and what only one of them can."""

from __future__ import annotations

from typing import Any

import pytest

from components.host import HostStateArgs
from components.host.claims import conflicts


def document(**given: Any) -> dict[str, Any]:
    return HostStateArgs.model_validate(given).document()


FILE = {"files": {"/etc/x": {"content": "a"}}}


@pytest.mark.parametrize(
    ("one", "other", "contested"),
    [
        (FILE, FILE, [("files", "/etc/x")]),
        (FILE, {"links": {"/etc/x": {"target": "y"}}}, [("files", "/etc/x")]),
        (FILE, {"files": {"/etc/y": {"content": "a"}}}, []),
        (FILE, {"blocks": {"ours": {"path": "/etc/x", "content": "b"}}}, [("files", "/etc/x")]),
        ({"blocks": {"a": {"path": "/etc/x"}}}, {"blocks": {"b": {"path": "/etc/x"}}}, []),
        ({"blocks": {"a": {"path": "/etc/x"}}}, {"blocks": {"a": {"path": "/etc/x"}}}, [("blocks", "a")]),
        (
            {"merges": {"/d.json": {"format": "json", "values": {"a": 1, "b": {"c": 1}}}}},
            {"merges": {"/d.json": {"format": "json", "values": {"b": {"d": 1}}}}},
            [],
        ),
        (
            {"merges": {"/d.json": {"format": "json", "values": {"b": {"c": 1}}}}},
            {"merges": {"/d.json": {"format": "json", "values": {"b": 2}}}},
            [("merges", "/d.json")],
        ),
        (
            {"merges": {"/d.json": {"format": "json", "values": {"a": 1}}}},
            {"merges": {"/d.json": {"format": "json", "absent": [["a"]]}}},
            [("merges", "/d.json")],
        ),
        ({"packages": {"curl": {}}}, {"packages": {"curl": {}}}, []),
        ({"packages": {"curl": {}}}, {"packages": {"curl": {"state": "absent"}}}, [("packages", "curl")]),
        (
            {"units": {"x.service": {"enabled": True, "drop_ins": {"a": {"Service": {"Nice": "1"}}}}}},
            {"units": {"x.service": {"enabled": True, "drop_ins": {"b": {"Service": {"Nice": "2"}}}}}},
            [],
        ),
        (
            {"units": {"x.service": {"running": True}}},
            {"units": {"x.service": {"running": False}}},
            [("units", "x.service")],
        ),
        (
            {"units": {"x.service": {"unit": {"Service": {"ExecStart": "/a"}}}}},
            {"units": {"x.service": {"unit": {"Service": {"ExecStart": "/a"}}}}},
            [("units", "x.service")],
        ),
    ],
)
def test_conflicts(one: dict[str, Any], other: dict[str, Any], contested: list[tuple[str, str]]) -> None:
    found = conflicts(document(**one), document(**other))
    assert [(claim.kind, claim.key) for claim in found] == contested
    assert bool(conflicts(document(**other), document(**one))) == bool(contested), "it does not matter who came first"
