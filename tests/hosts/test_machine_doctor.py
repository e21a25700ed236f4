"""`./factory doctor hosts` on a real machine: facts, checks, causes; one that does not answer is one clean line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.machines import Machine
from tests.support.project import Project

UNIT = "web.service"
ROLE: dict[str, Any] = {
    "files": {"/etc/web.conf": {"content": "x\n"}},
    "units": {UNIT: {"unit": {"Service": {"ExecStart": "/usr/bin/sleep infinity"}}, "running": True}},
}


def site(machine: Machine, **changed: Any) -> dict[str, Any]:
    connection = {
        "address": machine.address,
        "user": "root",
        "host_key": machine.keys.host_key,
        "identity_file": str(machine.keys.client),
        "ssh_config": None,
    }
    checks = {"ssh": {"port": 22}, "page": {"http": "http://127.0.0.1:8080/", "likely_cause": "the web server"}}
    web = {"connection": connection | changed, "roles": {"web": ROLE}, "checks": checks}
    config = {
        "pulumi:disable-default-providers": ["*"],
        "factory:environment": "prod",
        "factory:fingerprints": {"hosts": ["gateway.example.test"]},
        "factory:hosts": {"gateway": web},
    }
    return {"config": config}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.copy_to(tmp_path / "checkout", tmp_path / "state")


def test_a_machine_is_described_and_every_failure_has_its_cause(machine: Machine, project: Project) -> None:
    project.configure("site", site(machine))
    machine.path("/etc/web.conf").write_text("x\n")
    done = project.factory("doctor", "hosts", "--stack", "site", "--json", check=False)
    (found,) = json.loads(done.stdout)
    assert (done.returncode, found["host"], found["ok"], found["error"]) == (1, "gateway", False, "")
    facts = found["facts"]
    assert (facts["os"]["id"], facts["uid"], facts["systemd"]) == ("debian", 0, True)
    assert abs(facts["skew"]) < 5
    checks = {check["name"]: check for check in found["checks"]}
    assert {name for name, check in checks.items() if check["ok"]} == {"path /etc/web.conf", "ssh"}
    assert checks[f"unit {UNIT}"]["actual"] == "not-found"
    assert "journalctl --unit web.service" in checks[f"unit {UNIT}"]["likely_cause"]
    assert checks["page"]["likely_cause"] == "the web server"
    shown = project.factory("doctor", "hosts", "gateway", "--stack", "site", check=False).stdout
    assert "FAILED  page (http http://127.0.0.1:8080/): expected status 200" in shown
    assert "-> the web server" in shown


def test_a_machine_that_does_not_answer_is_named(machine: Machine, project: Project) -> None:
    project.configure("site", site(machine, port=1))
    done = project.factory("doctor", "hosts", "--stack", "site", check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(f"gateway: FAILED cannot reach {machine.address}:1: Connection refused")
    assert len(done.stdout.splitlines()) == 1


def test_an_unknown_host_is_bad_input(running_machine: Machine, project: Project) -> None:
    project.configure("site", site(running_machine))
    done = project.factory("doctor", "hosts", "gatway", "--stack", "site", check=False)
    assert (done.returncode, "Did you mean `gateway`?" in done.stderr) == (2, True)
