"""The whole way of a plan: over a real SSH server to an engine, through the labels, to what the notes would be."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest

from components.host.transport_ssh import Login
from components.traefik_gateway import discovery
from components.traefik_gateway.args_notes import ProxmoxNotesArgs
from components.traefik_gateway.proxmox_plan import plan
from components.traefik_gateway.proxmox_work import Work
from tests.support.labels import example
from tests.support.proxmox import Cluster, notes_values
from tests.support.ssh_server import ssh_server, sshd

pytestmark = pytest.mark.skipif(sshd() is None, reason="needs sshd")

ENGINE = "factory-test-engine"


def test_labels_over_ssh_and_a_machine_that_is_away(
    pve: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TPX-255: the one that is away keeps its routes, and the plan says so."""
    pve.guest(106, "homelab")
    pve.guest(107, "away")
    program = tmp_path / ENGINE
    listing = "".join(json.dumps(_as_json(container)) + "\n" for container in example())
    program.write_text(f"#!/bin/sh\ncase $1 in ps) echo a b ;; inspect) cat <<'END'\n{listing}END\n;; esac\n")
    program.chmod(0o755)
    monkeypatch.setattr(discovery, "ENGINES", (str(program),))
    with ssh_server(tmp_path) as server:
        here = {"address": "127.0.0.1", "port": server.port, "user": getpass.getuser(), "host_key": server.host_key}
        away = here | {"port": 1, "connect_timeout": 1}
        values = notes_values(pve, homelab={"vmid": 106, "host": here}, away={"vmid": 107, "host": away})
        secret = values.pop("token_secret")
        told: list[str] = []
        work = Work(ProxmoxNotesArgs.model_validate(values), secret, Login(server.private_key), tell=told.append)
        planned = plan(work.args, work.find_out(), {"away": {"traefik.enable": "true"}})
    assert told == [
        "Starting Traefik labels discovery on homelab (VMID 106)",
        "Starting Traefik labels discovery on away (VMID 107)",
    ]
    assert len(planned.labels["homelab"]) == 13
    assert planned.labels["away"] == {"traefik.enable": "true"}
    assert any(line.startswith("away: cannot reach 127.0.0.1:1") for line in planned.warnings)
    assert planned.problems == {}
    assert list(planned.routes["homelab (106)"]) == ["homarr", "miniflux"]
    assert "http://<address of homelab>:8080" in planned.routes["homelab (106)"]["homarr"]


def _as_json(container: Any) -> dict[str, Any]:
    return {"name": container.name, "labels": dict(container.labels), "state": container.state}
