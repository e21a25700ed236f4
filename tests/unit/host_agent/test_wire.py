"""The real agent process: its program, frames, errors, secrets, large contents, lock and cancel."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from components.host.agent import (
    BOOTSTRAP,
    OUR_BYTECODE,
    FrameParser,
    ProtocolError,
    blob_frames,
    bundle,
    json_frame,
    overlay,
    split,
)
from components.host.args import HostStateArgs
from tests.support.host_wire import KEY, Wire

AGENT = Path(__file__).resolve().parents[3] / "components/host/agent"
ON_HOSTS = sorted(file for file in AGENT.glob("*.py") if file.stem not in {"__init__", "bundle"})
BIG = b"\x00\xff0123456789abcd" * (10 * 1024 * 1024 // 16)


@pytest.fixture
def wire(tmp_path: Path) -> Any:
    with Wire(tmp_path) as opened:
        yield opened


def test_the_program_is_small_and_the_same_each_time() -> None:
    assert len(bundle()) < 60_000
    assert len(bundle(OUR_BYTECODE)) < 160_000
    again = "from components.host.agent import bundle; import sys; sys.stdout.buffer.write(bundle())"
    root = AGENT.parents[2]
    assert subprocess.run([sys.executable, "-c", again], cwd=root, capture_output=True, check=True).stdout == bundle()


def test_the_sources_run_where_the_bytecode_is_another(tmp_path: Path) -> None:
    with Wire(tmp_path, bytecode="of another Python") as other:
        assert other.apply({"files": {"/etc/a": {"content": "a"}}})["applied"] == ["files:/etc/a"]


@pytest.mark.parametrize("file", ON_HOSTS, ids=lambda file: file.stem)
def test_what_runs_on_hosts_is_python_3_9_of_the_standard_library(file: Path) -> None:
    source = ast.parse(file.read_text("utf-8"), feature_version=(3, 9))
    assert not [node for node in ast.walk(source) if isinstance(node, ast.Match | ast.TryStar)]
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            assert all(alias.name.partition(".")[0] in sys.stdlib_module_names for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert str(node.module).partition(".")[0] in sys.stdlib_module_names
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1
    head = [node for node in source.body if isinstance(node, ast.ImportFrom)]
    assert head[0].module == "__future__", "annotations of newer Pythons must stay unread"


def pythons() -> dict[str, str]:
    """Every interpreter of this machine by its version; at least the one that runs the tests."""
    found = {".".join(map(str, sys.version_info[:2])): sys.executable}
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(9, 16):
        for place in (*kept.glob(f"3.{minor}.*/bin/python3.{minor}"), shutil.which(f"python3.{minor}")):
            if place and subprocess.run([place, "-IS", "-c", ""], capture_output=True, check=False).returncode == 0:
                found[f"3.{minor}"] = str(place)
    return found


def test_each_python_of_this_machine_runs_it(tmp_path: Path) -> None:
    document = {
        "files": {"/etc/a": {"content": "a", "validate_with": ["true", "%s"]}},
        "merges": {"/etc/b.ini": {"format": "ini", "values": {"s": {"k": "v"}}}},
        "steps": {"s": {"run": ["touch", "made"], "creates": "/made"}},
    }
    for version, python in pythons().items():
        root = tmp_path / version
        root.mkdir()
        with Wire(root, python=python) as wire:
            applied = wire.apply(document)
            assert applied.get("applied") == ["files:/etc/a", "merges:/etc/b.ini", "steps:s"], (version, applied)
            assert wire.read(document)["drift"] == {}
            assert wire.ask({"kind": "check", "checks": {"f": {"file": "/etc/a"}}})["checks"]["f"]["type"] == "file"


def test_plain_files_load_only_what_plain_files_need(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "a").chmod(0o644)
    document = {"files": {"/a": {"content": "a", "mode": "0644"}}}
    request = {"kind": "apply", "document": document, "resource": "r", "root": str(tmp_path), "lock": {"holder": "t"}}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-IS", "-c", BOOTSTRAP],
        input=bundle(OUR_BYTECODE) + json_frame(request) + json_frame({"kind": "end"}),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b'"applied":[]' in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert {"factory_agent.plan_files", "factory_agent.operations", "fcntl"} <= loaded
    assert not loaded & {"hashlib", "_hashlib", "importlib", "types", "json", "re", "subprocess", "select"}
    others = ("confirm", "download", "drift", "edit_", "facts_system", "plan_edits", "plan_s", "rendering")
    assert not [name for name in loaded if name.startswith(tuple(f"factory_agent.{other}" for other in others))]


def test_plan_apply_read(wire: Wire, tmp_path: Path) -> None:
    document = {"files": {"/etc/a b\n'é": {"content": "é\n", "mode": "0640"}, "/etc/bin": {"content_base64": "AP8Q"}}}
    planned = wire.plan(document)
    assert [action["item"] for action in planned["plan"]["actions"]] == ["files:/etc/a b\n'é", "files:/etc/bin"]
    assert {"os", "arch", "python", "hostname", "disk", "clock", "uid", "systemd"} <= set(planned["facts"])
    assert not (tmp_path / "etc").exists()
    applied = wire.apply(document)
    assert applied["applied"] == ["files:/etc/a b\n'é", "files:/etc/bin"]
    assert applied["owned"] == {"files": {"/etc/a b\n'é": True, "/etc/bin": True}}
    assert (tmp_path / "etc/a b\n'é").read_text() == "é\n"
    assert (tmp_path / "etc/bin").read_bytes() == b"\x00\xff\x10"
    assert wire.read(document, owned=applied["owned"])["drift"] == {}
    deleted = wire.ask({**wire.request("apply", {}), "owned": applied["owned"], "delete": True})
    assert deleted["applied"] == ["files:/etc/bin", "files:/etc/a b\n'é"]
    assert list((tmp_path / "etc").iterdir()) == []


def test_read_shows_what_is_really_there(wire: Wire, tmp_path: Path) -> None:
    document: dict[str, Any] = {
        "directories": {"/srv": {}},
        "files": {
            name: {"content": "x\n"} for name in ("/srv/gone", "/srv/edited", "/srv/mode", "/srv/binary", "/srv/long")
        },
        "links": {"/srv/link": {"target": "a"}},
        "blocks": {"names": {"path": "/etc/hosts", "content": "ours\n"}},
        "merges": {"/etc/d.json": {"format": "json", "values": {"a": {"b": 1}, "c": 2}}},
        "steps": {"s": {"run": ["touch", "made"], "creates": "/srv/made", "directory": "/srv"}},
    }
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("theirs\n")
    applied = wire.apply(document)
    assert applied["event"] == "result"
    (tmp_path / "srv/gone").unlink()
    (tmp_path / "srv/made").unlink()
    (tmp_path / "srv/edited").write_text("by hand\n")
    (tmp_path / "srv/mode").chmod(0o600)
    (tmp_path / "srv/binary").write_bytes(b"\xff\x00")
    (tmp_path / "srv/long").write_text("long" * 100_000)
    (tmp_path / "srv/link").unlink()
    (tmp_path / "srv/link").symlink_to("b")
    (tmp_path / "etc/hosts").write_text((tmp_path / "etc/hosts").read_text().replace("ours", "edited"))
    (tmp_path / "etc/d.json").write_text('{"a": {"b": 5}, "more": 1}')
    drift = wire.read(document, owned=applied["owned"])["drift"]
    assert drift == {
        "files": {
            "/srv/gone": None,
            "/srv/edited": {"content": "by hand\n"},
            "/srv/mode": {"mode": "0600"},
            "/srv/binary": {"content_base64": "/wA="},
            "/srv/long": {"content_sha256": hashlib.sha256(b"long" * 100_000).hexdigest()},
        },
        "links": {"/srv/link": {"target": "b"}},
        "blocks": {"names": {"content": "edited\n"}},
        "merges": {"/etc/d.json": {"values": {"a": {"b": 5}}}},
        "steps": {"s": None},
    }
    real = overlay(HostStateArgs.model_validate(document).document(), drift)
    assert "steps" not in real
    assert sorted(real["files"]) == ["/srv/binary", "/srv/edited", "/srv/long", "/srv/mode"]
    assert real["files"]["/srv/edited"]["content"] == "by hand\n"
    assert "content" not in real["files"]["/srv/binary"]
    assert real["merges"]["/etc/d.json"]["values"] == {"a": {"b": 5}}


def test_a_secret_leaves_the_host_as_a_keyed_hash_only(wire: Wire, tmp_path: Path) -> None:
    secret, changed = "canary-7f3a91-secret", "canary-changed-99e1"
    document = {"files": {"/etc/key": {"content": secret, "secret": True, "mode": "0600"}}}
    wire.apply(document)
    assert (tmp_path / "etc/key").read_text() == secret
    assert (tmp_path / "etc/key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "etc/key").write_text(changed)
    found = wire.read(document)["drift"]["files"]["/etc/key"]
    digest = hashlib.sha256(changed.encode()).hexdigest()
    assert found == {"content_hmac": hmac.new(bytes.fromhex(KEY), digest.encode(), "sha256").hexdigest()}
    planned = wire.plan(document)["plan"]["actions"][0]["changes"]["content"]
    assert [value.partition(":")[0] for value in planned] == ["hmac", "hmac"]
    steps = {
        "files": document["files"],
        "steps": {"s": {"run": ["sh", "-c", "cat >&2; exit 3"], "stdin": secret + "\nmore\n", "creates": "/x"}},
    }
    failed = wire.apply(steps)["error"]
    assert (failed["status"], failed["stderr"]) == (3, ["[secret]", "[secret]"])
    for canary in (secret, changed, digest, hashlib.sha256(secret.encode()).hexdigest()):
        assert canary.encode() not in wire.everything


def test_a_line_of_a_secret_that_looks_like_a_name_hides_no_name(wire: Wire) -> None:
    """Another role of the same run has a file with a line that begins the names of items."""
    wire.plan({"files": {"/etc/key": {"content": "files:\n  - /etc/plain\n", "secret": True, "mode": "0600"}}})
    planned = wire.plan({"files": {"/etc/plain": {"content": "x"}}})["plan"]
    assert [(each["do"], each["item"]) for each in planned["actions"]] == [("create", "files:/etc/plain")]


def test_a_secret_step_tells_no_output(wire: Wire) -> None:
    steps = {"s": {"run": ["sh", "-c", "echo derived-7f >&2; exit 1"], "creates": "/x", "secret": True}}
    assert wire.apply({"steps": steps})["error"]["stderr"] == ["(its output is secret)"]
    assert b"derived-7f" not in wire.everything.replace(b"echo derived-7f", b"")


def test_ten_mebibytes_travel_only_when_they_are_needed(wire: Wire, tmp_path: Path) -> None:
    document = {"files": {"/srv/big": {"content_base64": base64.b64encode(BIG).decode()}, "/srv/z": {"content": "z"}}}
    assert wire.apply(document)["applied"] == ["files:/srv/big", "files:/srv/z"]
    assert (tmp_path / "srv/big").read_bytes() == BIG
    status = Path(f"/proc/{wire.process.pid}/status").read_text()
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    assert peak <= 40 * 1024, f"{peak} KiB"
    again = wire.plan(document)["plan"]
    assert (again["actions"], again["needs"]) == ([], [])


def test_a_blob_that_is_not_what_was_announced_leaves_the_old_file(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv/big").write_text("old")
    document = {"files": {"/srv/big": {"content": "x" * 100_000}}}
    planned = wire.plan(document, lock={"holder": "test"})
    error = wire.ask({"kind": "apply", "plan_id": planned["plan_id"]}, list(blob_frames(b"y" * 100_000)))["error"]
    assert "what arrived has the SHA-256" in error["message"]
    assert (tmp_path / "srv/big").read_text() == "old"
    assert wire.apply(document)["event"] == "result"


def test_blobs_that_nobody_takes_do_not_disturb_the_next_request(wire: Wire) -> None:
    document = {
        "steps": {"bad": {"run": ["false"], "creates": "/x", "stage": "prepare"}},
        "files": {"/srv/big": {"content": "x" * 1_000_000}},
    }
    assert wire.apply(document)["error"]["item"] == "steps:bad"
    assert wire.plan({})["event"] == "result"


def test_the_lock_is_one_and_names_its_holder(wire: Wire, tmp_path: Path) -> None:
    assert wire.plan({}, lock={"holder": "ann@laptop"})["event"] == "result"
    with Wire(tmp_path) as other:
        error = other.plan({}, lock={"holder": "bob", "wait": 0.2})["error"]
        assert error["code"] == "locked"
        assert f"ann@laptop (process {wire.process.pid}" in error["message"]
        assert other.plan({})["event"] == "result", "a preview needs no lock"
    wire.process.kill()
    wire.process.wait()
    assert (tmp_path / "run/factory.lock").exists(), "a killed holder leaves its file behind"
    with Wire(tmp_path) as next_one:
        assert next_one.plan({}, lock={"holder": "bob"})["event"] == "result"
    assert not (tmp_path / "run/factory.lock").exists()


def test_an_apply_needs_the_lock_and_its_own_plan(wire: Wire) -> None:
    planned = wire.plan({"files": {"/a": {"content": "a"}}})
    assert "needs the host's lock" in wire.ask({"kind": "apply", "plan_id": planned["plan_id"]})["error"]["message"]
    assert "not the last one" in wire.ask({"kind": "apply", "plan_id": "other"})["error"]["message"]


def test_what_a_lost_answer_told_is_known_to_the_next_run(wire: Wire, tmp_path: Path) -> None:
    document = {"files": {"/srv/a": {"content": "a"}}}
    assert wire.apply(document)["owned"] == {"files": {"/srv/a": True}}
    wire.process.kill()
    wire.process.wait()
    assert len(list((tmp_path / "var/lib/factory/journal").iterdir())) == 1
    with Wire(tmp_path) as fresh:
        # Nobody says that the file is owned, for nobody got the answer; it is, and nothing was interrupted.
        found = fresh.read(document)
        assert (found["drift"], found["interrupted"]) == ({}, False)
        again = fresh.apply(document)
        assert (again["applied"], again["owned"]) == ([], {"files": {"/srv/a": True}})
    assert not (tmp_path / "var/lib/factory").exists(), "the caller said that everything arrived"


def test_a_killed_run_is_told_as_interrupted(wire: Wire, tmp_path: Path) -> None:
    document = {"steps": {"long": {"run": ["sleep", "60"], "creates": "/x"}}}
    planned = wire.plan(document, lock={"holder": "test"})
    wire.send_bytes(json_frame({"kind": "apply", "plan_id": planned["plan_id"], "root": str(tmp_path)}))
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("var/lib/factory/journal/*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sleeping = children(wire.process.pid)
    wire.process.kill()
    wire.process.wait()
    for child in sleeping:
        os.kill(child, 9)
    with Wire(tmp_path) as fresh:
        assert fresh.read(document)["interrupted"] is True
        ended = fresh.apply({})
        assert ended["event"] == "result"
        assert fresh.read({})["interrupted"] is False


def children(pid: int) -> list[int]:
    deadline = time.monotonic() + 60
    while not (found := Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int(each) for each in found]


def test_cancel_ends_a_step_and_stops(wire: Wire, tmp_path: Path) -> None:
    document = {
        "steps": {"long": {"run": ["sleep", "60"], "creates": "/x"}, "never": {"run": ["true"], "creates": "/y"}}
    }
    planned = wire.plan(document, lock={"holder": "test"})
    began = time.monotonic()
    wire.send_bytes(json_frame({"kind": "apply", "plan_id": planned["plan_id"], "root": str(tmp_path)}))
    time.sleep(0.5)
    wire.send_bytes(json_frame({"kind": "cancel"}))
    error = wire.answer()["error"]
    assert error["code"] == "cancelled"
    assert error["not_applied"] == ["steps:long", "steps:never"]
    assert time.monotonic() - began < 50
    assert wire.plan({})["event"] == "result"


def test_a_step_has_its_time_and_its_output_a_cap(wire: Wire) -> None:
    error = wire.apply({"steps": {"slow": {"run": ["sleep", "60"], "creates": "/x", "timeout": 1}}})["error"]
    assert error["message"] == "the step 'slow' failed: sleep did not end in time"
    loud = "import sys\nfor n in range(300000): print('line', n, file=sys.stderr)\nsys.exit(4)"
    error = wire.apply({"steps": {"loud": {"run": ["python3", "-c", loud], "creates": "/x"}}})["error"]
    assert error["status"] == 4
    assert error["stderr"] == [f"line {number}" for number in range(299_985, 300_000)]
    status = Path(f"/proc/{wire.process.pid}/status").read_text()
    assert int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) <= 40 * 1024


def test_a_daemon_that_keeps_the_streams_does_not_keep_the_step(wire: Wire, tmp_path: Path) -> None:
    script = "sleep 60 & echo $! > pid; touch made"
    began = time.monotonic()
    step = {"run": ["sh", "-c", script], "creates": "/made"}
    assert wire.apply({"steps": {"s": step}})["applied"] == ["steps:s"]
    assert time.monotonic() - began < 50
    os.kill(int((tmp_path / "pid").read_text()), 15)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"kind": "dance"}, "the request 'dance' is none of plan, read, apply, confirm, check"),
        ({"kind": "plan"}, "the request 'plan' lacks 'document'"),
        (
            {"kind": "plan", "document": {"pets": {}}, "resource": "r"},
            "the kind 'pets', which this agent does not know",
        ),
        ({"kind": "confirm"}, "the request 'confirm' lacks 'token'"),
        (
            {"kind": "plan", "document": {}, "resource": "r", "root": "/nonesuch"},
            "the root prefix '/nonesuch' is no directory",
        ),
    ],
)
def test_a_wrong_request_is_told_and_the_next_one_answered(wire: Wire, request_: dict[str, Any], message: str) -> None:
    assert message in wire.ask(request_)["error"]["message"]
    assert wire.plan({})["event"] == "result"


def test_bytes_that_are_no_frame_end_the_agent_with_a_reason(wire: Wire) -> None:
    wire.send_bytes(b"HTTP/1.1 400 Bad Request\r\n")
    assert "is something else writing to the stream" in wire.answer()["error"]["message"]
    assert wire.process.wait(10) == 98


def test_nothing_of_the_agent_is_on_the_disk(wire: Wire, tmp_path: Path) -> None:
    wire.plan({"files": {"/a": {"content": "a"}}})
    opened = [str(link.readlink()) for link in Path(f"/proc/{wire.process.pid}/fd").iterdir()]
    assert not [place for place in opened if place.startswith(str(tmp_path))]
    assert list(tmp_path.iterdir()) == []


def test_frames_come_in_any_pieces() -> None:
    messages = [{"n": number, "t": "é\ud800" * number} for number in range(5)]
    data = b"".join(map(json_frame, messages))
    parser = FrameParser()
    assert [message for byte in data for message in parser.feed(bytes([byte]))] == messages
    with pytest.raises(ProtocolError, match="a frame of 1213486160 bytes"):
        list(FrameParser().feed(b"HTTP/1.1"))
    with pytest.raises(ProtocolError, match="not JSON"):
        list(FrameParser().feed(b"\x00\x00\x00\x01x"))
    with pytest.raises(ProtocolError, match="no JSON object"):
        list(FrameParser().feed(b"\x00\x00\x00\x02[]"))


def test_only_large_contents_are_split_off() -> None:
    document = {"files": {"/s": {"content": "s", "mode": "0644"}, "/l": {"content": "l" * 65536, "mode": "0600"}}}
    sent, blobs = split(document)
    digest = hashlib.sha256(b"l" * 65536).hexdigest()
    assert sent["files"]["/s"] == document["files"]["/s"]
    assert sent["files"]["/l"] == {"mode": "0600", "content_sha256": digest, "content_size": 65536}
    assert blobs == {digest: b"l" * 65536}
    assert json.loads(json.dumps(document)) == document
