"""What a run changes, in names and as the table at its end."""

from __future__ import annotations

import json

from components.host.args import KINDS
from components.host.summary import GROUPS, Changes, changes, in_words, managed, table, unseen

ACTIONS = [
    {"item": "packages:nginx", "do": "create"},
    {"item": "files:/etc/nginx/nginx.conf", "do": "update"},
    {"item": "directories:/srv/www", "do": "create"},
    {"item": "steps:format", "do": "maybe"},
    {"item": "units:nginx.service", "do": "update"},
    {"item": "units:nginx.service", "do": "start"},
    {"item": "units:dnsmasq.service", "do": "restart"},
    {"item": "units:old.service", "do": "stop"},
]


def test_every_kind_has_a_heading() -> None:
    assert set(GROUPS) == set(KINDS)


def test_actions_are_counted_by_name() -> None:
    found = changes("node.example.test", "web", ACTIONS)
    assert found.items == {
        "files": ("/etc/nginx/nginx.conf", "/srv/www"),
        "packages": ("nginx",),
        "services": ("nginx.service",),
        "steps": ("format",),
    }
    assert found.interrupted == ["restart dnsmasq.service", "stop old.service"]
    assert in_words(found) == ("files 2, packages 1, services 1, steps 1, restart dnsmasq.service, stop old.service")
    assert in_words(changes("node.example.test", "web", [])) == ""


def test_the_table_has_a_line_for_each_role_that_changes() -> None:
    lines = table(
        [
            changes("node.example.test", "web", ACTIONS),
            changes("node.example.test", "quiet", []),
            unseen("new.example.test", "base", {"files": {"/etc/a": {}}, "confirm": {}}),
        ]
    )
    assert [line.split() for line in lines] == [
        ["host", "role", "files", "packages", "services", "accounts", "system", "steps", "restarts"],
        ["new.example.test", "(not", "reached)", "base", "1", "-", "-", "-", "-", "-", "-"],
        [
            "node.example.test",
            "web",
            "2",
            "1",
            "1",
            "-",
            "-",
            "1",
            "restart",
            "dnsmasq.service,",
            "stop",
            "old.service",
        ],
    ]
    assert len({line.index(word) for line, word in zip(lines, ["role", "base", "web"], strict=True)}) == 1
    assert table([changes("node.example.test", "quiet", [])]) == []


def test_changes_survive_being_written_down() -> None:
    found = changes("node.example.test", "web", ACTIONS)
    again = Changes.from_data(json.loads(json.dumps(found.as_data())))
    assert table([again]) == table([found])


def test_the_managed_things_are_named() -> None:
    assert managed({"files": {"/b": {}, "/a": {}}, "links": {"/c": {}}, "packages": {}}) == {
        "files": {"count": 3, "names": ["/a", "/b", "/c"]}
    }
