"""A registration on the real engine: made once, found lost, made again; neither token is ever seen.

Everything finer is tested without the engine, in `tests/unit/cm5_gateway/test_hub.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import ADMIN, Hub, hub
from tests.support.plugin_program import Program
from toolchain.paths import ROOT

pytestmark = pytest.mark.engine

TOKEN = "token-of-the-gateway"
SOURCE = f"""
import json, os, sys

sys.path.insert(0, {str(ROOT)!r})
from components.cm5_gateway.hub import Identity
from components.cm5_gateway.provider import GatewayRegistration

values = json.loads(os.environ["VALUES"])
identity = Identity("gw-02005e005301", values["machine_id"], "02:00:5e:00:53:01", "02:00:5e:00:53:02")
GatewayRegistration("gateway", identity, hub_url=values["hub"], token={TOKEN!r}, admin_token={ADMIN!r})
"""


@pytest.fixture
def portal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub(tmp_path) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
        yield running


def test_a_life(portal: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program = Program.write(tmp_path / "program", SOURCE)
    values = {"hub": portal.url, "machine_id": 7}

    program.up(**values)
    assert portal.registered["gw-02005e005301"]["token"] == TOKEN
    state = program.state()
    assert TOKEN not in state
    assert ADMIN not in state

    program.unchanged(**values)
    assert portal.writes == 1

    portal.registered.clear()
    values["machine_id"] = 8
    program.up(**values)
    assert portal.registered["gw-02005e005301"]["machine_id"] == 8
    assert portal.writes == 2
