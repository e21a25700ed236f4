"""The gateway as a stack of a sandbox: the commands that a person uses, on a machine of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.gateway_device import Device
from tests.support.project import preview_steps

pytestmark = [pytest.mark.engine, pytest.mark.long]

STACK = "gateway"


def test_up_preview_and_doctor_of_a_sandbox_s_stack(bare: Device, tmp_path: Path) -> None:
    """CM5-258, CM5-263, CM5-266: without the channel, for there is no hub."""
    project = bare.stack(tmp_path, STACK, cloud={"enabled": False})
    planned = [step["op"] for step in preview_steps(project, STACK)]
    assert set(planned) == {"create"}
    assert bare.machine.run("sh", "-c", "ls /etc/systemd/network").stdout == "", "a plan changes nothing"
    project.factory("up", "--stack", STACK)
    assert preview_steps(project, STACK) == []
    done = project.factory("doctor", "hosts", "--stack", STACK, "--json", check=False)
    (found,) = json.loads(done.stdout)
    assert [check for check in found["checks"] if not check["ok"]] == []
    assert (done.returncode, found["ok"]) == (0, True)
