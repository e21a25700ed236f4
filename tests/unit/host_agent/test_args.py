"""The desired document as a person writes it: what is accepted, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components.host.agent.planner import KINDS as AGENT_KINDS
from components.host.args import KINDS, HostStateArgs

STEP = {"run": ["true"], "creates": "/x"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "relative path": ({"files": {"etc/a": {"content": ""}}}, "files.etc/a"),
    "dots in a path": ({"files": {"/etc/../a": {"content": ""}}}, "is not a plain path: write it without '.', '..'"),
    "slash at the end": ({"directories": {"/srv/": {}}}, "is not a plain path"),
    "doubled slash": ({"directories": {"/srv//a": {}}}, "is not a plain path"),
    "the root": ({"directories": {"/": {}}}, "is not a plain path"),
    "zero byte in a path": ({"files": {"/a\0b": {"content": ""}}}, "is not a plain path"),
    "mode that is no octal number": ({"files": {"/a": {"content": "", "mode": "0698"}}}, "files./a.mode"),
    "mode as a number": ({"files": {"/a": {"content": "", "mode": 644}}}, "files./a.mode"),
    "misspelt field": ({"files": {"/a": {"contents": ""}}}, "Extra inputs are not permitted"),
    "unknown kind": ({"pets": {}}, "Extra inputs are not permitted"),
    "two contents": ({"files": {"/a": {"content": "", "content_base64": ""}}}, "are both given: remove one"),
    "broken base64": ({"files": {"/a": {"content_base64": "a"}}}, "content_base64 is not base64"),
    "absent with content": ({"files": {"/a": {"content": "", "state": "absent"}}}, "an absent file has no content"),
    "validation of nothing": (
        {"files": {"/a": {"content": "", "validate_with": ["true"]}}},
        "put '%s' where the temporary",
    ),
    "link to nowhere": ({"links": {"/a": {}}}, "a link needs its target"),
    "zero byte in a target": ({"links": {"/a": {"target": "a\0"}}}, "links./a.target"),
    "download without a checksum": ({"downloads": {"/a": {"url": "https://example.test/a"}}}, "needs url and sha256"),
    "download from a file": ({"downloads": {"/a": {"url": "file:///a", "sha256": "0" * 64}}}, "downloads./a.url"),
    "marker in a block": (
        {"blocks": {"b": {"path": "/a", "content": "# END factory b\n"}}},
        "reads as a marker of a block: change it",
    ),
    "deep INI": ({"merges": {"/a": {"format": "ini", "values": {"s": {"k": {"x": 1}}}}}}, "must map keys to texts"),
    "null in a merge": (
        {"merges": {"/a": {"format": "json", "values": {"log": {"level": None}, "list": [{"x": None}]}}}},
        "values.log.level, values.list.0.x are null, which would get lost on its way to the host: list the key path in",
    ),
    "newline in INI": ({"merges": {"/a": {"format": "ini", "values": {"s": {"k": "a\nb=c"}}}}}, "begin another line"),
    "newline in a kernel parameter": ({"sysctl": {"a.b": {"value": "1\nc.d = 2"}}}, "sysctl.a.b.value"),
    "newline in a unit": ({"units": {"a.service": {"unit": {"Service": {"ExecStart": "a\nUser=root"}}}}}, "ExecStart"),
    "newline in a section's name": ({"units": {"a.service": {"unit": {"Service]\n[X": {}}}}}, "units.a.service.unit"),
    "newline in a mount's source": ({"mounts": {"/m": {"source": "LABEL=a\nb"}}}, "mounts./m.source"),
    "newline in a mount's option": (
        {"mounts": {"/m": {"source": "LABEL=a", "options": ["ro\nx"]}}},
        "mounts./m.options",
    ),
    "comma in a mount's option": (
        {"mounts": {"/m": {"source": "LABEL=a", "options": ["ro,exec"]}}},
        "mounts./m.options",
    ),
    "device that may be another one": ({"mounts": {"/m": {"source": "/dev/sda1"}}}, "use LABEL= or UUID= (or bind)"),
    "newline in a user's name": ({"users": {"a\nroot": {}}}, "users.a\nroot"),
    "colon in a full name": ({"users": {"a": {"comment": "a:0:0"}}}, "users.a.comment"),
    "newline in a key": (
        {"authorized_keys": {"a": {"keys": {"k": "ssh-ed25519 AAAA\nssh-rsa B"}}}},
        "authorized_keys.a.keys.k",
    ),
    "newline in a repository": (
        {"repositories": {"r": {"uris": ["a\nb"], "suites": ["s"], "trusted": True}}},
        "uris.0",
    ),
    "repository that nobody signs": (
        {"repositories": {"r": {"uris": ["a"], "suites": ["s"]}}},
        "either signing_key or trusted",
    ),
    "option as a package": ({"packages": {"-y": {}}}, "packages.-y"),
    "option as a version": ({"packages": {"nginx": {"version": "1 -o x"}}}, "packages.nginx.version"),
    "unit without its suffix": ({"units": {"nginx": {}}}, "units.nginx"),
    "path as a unit": ({"units": {"../x.service": {}}}, "units.../x.service"),
    "masked and running": (
        {"units": {"a.service": {"masked": True, "running": True}}},
        "can neither be enabled nor run",
    ),
    "step that would always run": ({"steps": {"s": {"run": ["true"]}}}, "a step without a guard would run each time"),
    "step without a command": ({"steps": {"s": {"run": [], "creates": "/x"}}}, "steps.s.run"),
    "steps in a circle": (
        {"steps": {"a": {**STEP, "after": ["b"]}, "b": {**STEP, "after": ["a"]}}},
        "the steps a, b wait for each other: break the circle in after",
    ),
    "step after one of another stage": (
        {"steps": {"a": {**STEP, "after": ["b"]}, "b": {**STEP, "stage": "finish"}}},
        "which is no step of the stage 'configure'",
    ),
    "restart on nothing": ({"units": {"a.service": {"restart_on": ["files:/a"]}}}, "which this document does not have"),
    "restart on a kind that is none": ({"units": {"a.service": {"restart_on": ["pets:a"]}}}, "restart_on"),
    "restart on what comes later": (
        {"steps": {"s": {**STEP, "stage": "finish"}}, "units": {"a.service": {"restart_on": ["steps:s"]}}},
        "which runs after the services: give it another stage",
    ),
    "one path twice": ({"files": {"/a": {"content": ""}}, "directories": {"/a": {}}}, "is in directories and in files"),
    "block in a whole file": (
        {"files": {"/a": {"content": ""}}, "blocks": {"b": {"path": "/a"}}},
        "which files has whole: put it in there",
    ),
    "confirmation of a package": (
        {"packages": {"nginx": {}}, "confirm": {"items": ["packages:nginx"]}},
        "only files, links, downloads, blocks, merges and units can be taken back",
    ),
    "confirmation of nothing": ({"confirm": {"items": []}}, "confirm.items"),
}


@pytest.mark.parametrize(("document", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HostStateArgs.model_validate(document)
    told = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in caught.value.errors())
    assert words in told


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        HostStateArgs.model_validate({"files": {"a": {}, "/b": {"mode": "9"}}, "steps": {"s": {"run": ["x"]}}})
    assert caught.value.error_count() == 3


def test_the_document_spells_defaults_out_and_leaves_out_what_is_not_there() -> None:
    args = HostStateArgs.model_validate({"files": {"/etc/a 'b'\né": {"content": "x", "mode": "644"}}, "packages": {}})
    assert args.document() == {
        "files": {"/etc/a 'b'\né": {"state": "present", "content": "x", "mode": "0644", "secret": False}}
    }
    again = HostStateArgs.model_validate(args.document())
    assert again == args


def test_program_and_agent_know_the_same_kinds() -> None:
    assert KINDS == AGENT_KINDS
    assert set(HostStateArgs.model_fields) == {*KINDS, "confirm"}


def test_every_field_is_described() -> None:
    """The reference is generated from the models."""
    for model in HostStateArgs.model_json_schema()["$defs"].values():
        for name, field in model.get("properties", {}).items():
            assert field.get("description"), (model["title"], name)
