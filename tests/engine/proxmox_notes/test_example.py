"""`examples/proxmox-notes` as its README says, against a local Proxmox API: the worked example of the requirements."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.plugin_program import Program
from tests.support.proxmox import HUMAN, TOKEN_SECRET, Cluster
from toolchain.engine_home import prepare
from toolchain.paths import ROOT

pytestmark = pytest.mark.engine

EXAMPLE = ROOT / "examples" / "proxmox-notes"
EXPECTED = """\
traefik.enable=true

# Router 1 : homarr
traefik.http.routers.homarr.entrypoints=websecure
traefik.http.routers.homarr.rule=Host(`home.example.test`)
traefik.http.routers.homarr.service=homelab-traefik
traefik.http.routers.homarr.tls=true
traefik.http.routers.homarr.tls.certresolver=letsencrypt

# Router 2 : miniflux
traefik.http.routers.miniflux.entrypoints=websecure
traefik.http.routers.miniflux.rule=Host(`home.example.test`) && PathPrefix(`/miniflux`)
traefik.http.routers.miniflux.service=homelab-traefik
traefik.http.routers.miniflux.tls=true
traefik.http.routers.miniflux.tls.certresolver=letsencrypt

# Service : homelab-traefik
traefik.http.services.homelab-traefik.loadbalancer.server.port=8080
traefik.http.services.homelab-traefik.loadbalancer.server.scheme=http
"""
"""TPX-143, TPX-144."""


@pytest.fixture
def example(pve: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The example with the address and fingerprint of the local cluster, and the components as a wheel has them."""
    folder = tmp_path / "examples" / "proxmox-notes"
    shutil.copytree(EXAMPLE, folder)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "factory_homelab").symlink_to(ROOT / "components")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (folder / "state").mkdir()
    program = Program(folder, prepare(sandbox=True, report=lambda _: None))
    program.run("stack", "init", "dev")
    stack = yaml.safe_load((folder / "Pulumi.example.yaml").read_text("utf-8"))
    stack["config"]["proxmox-notes:notes"] |= {"endpoint": pve.endpoint, "fingerprint": pve.fingerprint}
    own = yaml.safe_load((folder / "Pulumi.dev.yaml").read_text("utf-8"))
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump(own | stack), "utf-8")
    program.run("config", "set", "--secret", "tokenSecret", TOKEN_SECRET)
    return program


def test_the_example(pve: Cluster, example: Program) -> None:
    pve.guest(106, "homelab", HUMAN)
    pve.guest(110, "media", HUMAN, kind="lxc")
    example.up()
    block = f"<!-- factory labels begin gateway -->\n```\n{EXPECTED}```\n<!-- factory labels end gateway -->\n"
    assert pve.notes(106) == f"{HUMAN}\n{block}"
    routes = example.outputs()["routes"]
    assert routes["homelab (106)"]["miniflux"].startswith("https://home.example.test/miniflux -> homelab-traefik")
    assert routes["media (110)"]["films"].startswith("https://films.example.test/ -> films")
    example.unchanged()
    example.run("destroy", "--yes", "--skip-preview")
    assert (pve.notes(106), pve.notes(110)) == (HUMAN, HUMAN)
