"""docs/hosts.md as a person follows it, on a real machine: described, previewed, applied, drifted, looked at."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.host.args import HostStateArgs
from tests.support.machine_image import CAREFUL, PASSWORD
from tests.support.machines import Machine
from tests.support.project import Project
from toolchain.paths import ROOT

PAGE = (ROOT / "docs/hosts.md").read_text("utf-8")
TOKEN = "a-token-of-the-page"


def blocks(language: str) -> list[str]:
    """The page's examples in a language."""
    fenced = re.findall(rf"^ *```{language}\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for text in fenced]


def test_what_is_shown_of_a_role_is_a_role() -> None:
    stack, confirmed = map(yaml.safe_load, blocks("yaml"))
    (gateway,) = stack["config"]["factory:hosts"].values()
    assert HostStateArgs.model_validate(gateway["roles"]["web"])
    assert HostStateArgs.model_validate(confirmed).confirm
    (program,) = blocks("python")
    compile(program, "docs/hosts.md", "exec")


@pytest.fixture
def home(machine: Machine, tmp_path: Path) -> Project:
    """The page's stack for this machine, in a checkout of its own."""
    machine.run("systemctl", "unmask", "nginx")  # the image has its package, switched off
    project = Project.copy_to(tmp_path / "checkout", tmp_path / "state")
    (tmp_path / "states").mkdir()
    project.environment = {
        "PULUMI_BACKEND_URL": (tmp_path / "states").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
    }
    stack = yaml.safe_load(blocks("yaml")[0])
    config: dict[str, Any] = stack["config"]
    config["factory:hosts"]["gateway"]["connection"] |= {
        "address": machine.address,
        "user": CAREFUL,
        "host_key": machine.keys.host_key,
        "identity_file": str(machine.keys.client),
        "ssh_config": None,
    }
    config["factory:fingerprints"]["hosts"] = [machine.address]
    project.configure("home", stack)
    return project


@pytest.mark.engine
@pytest.mark.long
def test_the_page_as_written(machine: Machine, home: Project) -> None:
    told = home.factory("config", "validate", "Pulumi.home.yaml", check=False)
    assert "host_secrets.gateway.WEB_TOKEN" in told.stdout + told.stderr
    home.pulumi("home", "stack", "init", "home")
    for name, value in (("sudo_password", PASSWORD), ("WEB_TOKEN", TOKEN)):
        path = f"host_secrets.gateway.{name}"
        home.pulumi("home", "config", "set", "--secret", "--stack", "home", "--path", path, typed=value)
    home.factory("config", "validate", "Pulumi.home.yaml")

    table = home.factory("preview", "--stack", "home", "--diff").stdout.splitlines()[-2:]
    assert [line.split() for line in table] == [
        ["host", "role", "files", "packages", "services", "accounts", "system", "steps", "restarts"],
        [f"{machine.address}", "web", "2", "-", "1", "-", "-", "-", "-"],
    ]
    home.factory("up", "--stack", "home", "--yes")
    assert machine.path("/etc/web/token").read_text() == TOKEN
    done = home.factory("up", "--stack", "home", "--only", "hosts.gateway", "--yes")
    assert "nothing to do on the host" not in done.stdout

    site = machine.path("/etc/nginx/nginx.conf")
    site.write_text(site.read_text().replace("8080", "80"))
    shown = home.factory("preview", "--stack", "home", "--diff").stdout
    assert re.search(r"- http \{ server \{ listen 80; .*\n.*\+ http \{ server \{ listen 8080; ", shown), shown
    assert shown.splitlines()[-1].split()[-2:] == ["restart", "nginx.service"]
    home.factory("up", "--stack", "home", "--yes")

    found = json.loads(home.factory("doctor", "hosts", "--stack", "home", "--json").stdout)
    assert [check["name"] for each in found for check in each["checks"] if check["ok"]] == [
        "unit nginx.service",
        "path /etc/nginx/nginx.conf",
        "path /etc/web/token",
        "page",
    ]
