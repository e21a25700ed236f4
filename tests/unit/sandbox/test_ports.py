"""Ports are chosen once, kept, never shared, and a conflict names its holder."""

from __future__ import annotations

import json
import os
import random
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import ports
from sandbox.errors import SandboxError

PORTS = st.integers(min_value=ports.FIRST_PORT, max_value=ports.LAST_PORT - 1)


@given(st.dictionaries(st.sampled_from(ports.PORT_NAMES), PORTS), st.integers())
def test_kept_ports_stay_and_new_ones_are_different_and_free(kept: dict[str, int], seed: int) -> None:
    kept = {name: port for name, port in kept.items() if list(kept.values()).count(port) == 1}
    chosen = ports.choose(kept, free=lambda port: port % 3 == 0, source=random.Random(seed))
    assert tuple(sorted(chosen)) == tuple(sorted(ports.PORT_NAMES))
    assert chosen.items() >= kept.items()
    assert len(set(chosen.values())) == len(chosen)
    assert all(chosen[name] % 3 == 0 for name in chosen.keys() - kept.keys())


def test_no_free_port_is_said() -> None:
    with pytest.raises(SandboxError, match="no free port between"):
        ports.choose({}, free=lambda _: False, source=random.Random(0))


def test_the_choice_is_kept_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = ports.load_or_choose(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == first
    assert ports.load_or_choose(path) == first


def test_a_port_that_a_newer_version_needs_is_added(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text('{"vault": 20001, "gone": 20002}')
    chosen = ports.load_or_choose(path)
    assert chosen["vault"] == 20001
    assert set(chosen) == set(ports.PORT_NAMES)


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"vault": "x"}', '{"vault": 0}', '{"vault": 70000}', '{"vault": 20001, "etcd": 20001}']
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ports.json"
    path.write_text(content)
    with pytest.raises(SandboxError, match=r"ports\.json.*delete it"):
        ports.load_or_choose(path)


def test_a_port_in_use_is_named_with_who_holds_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.holder(port) is not None
        assert (ports.holder(port) or (0, ""))[0] == os.getpid()
        with pytest.raises(SandboxError, match=rf"port {port} \(etcd\) is in use by process {os.getpid()}"):
            ports.check_free({"etcd": port}, tmp_path / "ports.json")
    assert ports.is_free(port)
    ports.check_free({"etcd": port}, tmp_path / "ports.json")
    assert ports.holder(port) is None
