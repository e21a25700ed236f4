"""Production on real backends: exactly the plan that was agreed to is applied, with the credentials of today.

The tests share one site and go on from one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.endpoints import Endpoints
from tests.engine.lifecycle.terminal import Terminal, terminal
from tests.support.identities import VaultIdentity, cluster_client, operator
from tests.support.project import Project
from toolchain.engine_home import prepare

pytestmark = pytest.mark.engine

STACK, APP = "site", "ledger"
LOGINS = {"sys/auth/site-kubernetes": {"type": "kubernetes"}, "sys/auth/site-jwt": {"type": "jwt"}}
SERVICE = f"/api/v1/namespaces/{APP}/services/{APP}"
QUESTION = "Type the stack's name to go on: "
SECRET = "a session key of the tests"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{APP}/deployments/{APP}"


@dataclass
class Site:
    """A production stack, and the token with which it speaks to Vault."""

    project: Project
    endpoints: Endpoints
    vault: VaultIdentity
    """The operator."""
    token: str = ""

    def rotate(self) -> None:
        """Give the stack another token, and end the one that it had."""
        before, made = self.token, self.vault.request("POST", "auth/token/create", {"policies": ["root"]})
        self.token = str(made.raise_for_status().json()["auth"]["client_token"])
        self.set_secret("credentials.vault_token", self.token)
        if before:
            self.vault.request("POST", "auth/token/revoke", {"token": before}).raise_for_status()

    def set_secret(self, key: str, value: str) -> None:
        self.project.pulumi(STACK, "config", "set", "--secret", "--path", key, typed=value)

    def set_tag(self, tag: str) -> None:
        """Change one key of the application."""
        document = self.project.configuration(STACK)
        document["config"]["factory:apps"][APP]["image"]["tag"] = tag
        self.project.configure(STACK, document)

    def object(self, path: str) -> dict[str, Any]:
        """Return an object of the cluster."""
        with cluster_client(self.endpoints) as cluster:
            found: dict[str, Any] = cluster.get(path).raise_for_status().json()
        return found

    @property
    def running(self) -> str:
        """The tag that the cluster has."""
        container = self.object(DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]
        return str(container["image"].rpartition(":")[2])

    @property
    def resources(self) -> set[str]:
        return set(self.project.resources(STACK))


@pytest.fixture(scope="module")
def site(sandbox: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A production stack on the sandbox's backends, and plugins where its operator has the official ones."""
    folder = tmp_path_factory.mktemp("production")
    local = prepare(sandbox=True, report=print).environment["PULUMI_HOME"]
    (folder / "pulumi").mkdir()
    (folder / "pulumi/plugins").symlink_to(Path(local, "plugins"))
    (folder / "states").mkdir()
    project = Project.copy_to(folder / "checkout", folder / "data")
    project.environment = {
        "PULUMI_BACKEND_URL": (folder / "states").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
        "PULUMI_HOME": str(folder / "pulumi"),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_STACK": STACK,
    }
    (folder / "kubeconfig").write_text(sandbox.kubernetes.kubeconfig)
    (folder / "vault.pem").write_text(sandbox.vault.ca_cert_pem)
    project.configure(STACK, {"config": configuration(sandbox, folder)})
    project.pulumi(STACK, "stack", "init", STACK, "--no-select")
    made = Site(project, sandbox, operator(sandbox))
    for path, body in LOGINS.items():
        made.vault.request("POST", path, body).raise_for_status()
    made.rotate()
    made.set_secret("credentials.postgres_password", sandbox.postgres.password)
    made.set_secret(f"secrets.{APP}.SESSION_KEY", SECRET)
    yield made
    for path in LOGINS:
        made.vault.request("DELETE", path).raise_for_status()


def configuration(endpoints: Endpoints, folder: Path) -> dict[str, Any]:
    """Describe the site."""
    server = {key: getattr(endpoints.postgres, key) for key in ("host", "port", "sslmode")}
    pooler = endpoints.pooler or endpoints.postgres
    return {
        "pulumi:disable-default-providers": ["*"],
        "factory:environment": "prod",
        "factory:fingerprints": {"hosts": ["vault.example.test"]},
        "factory:kubernetes": {"kubeconfig": str(folder / "kubeconfig"), "context": endpoints.kubernetes.context},
        "factory:vault": {"address": endpoints.vault.address, "ca_cert_file": str(folder / "vault.pem")},
        "factory:postgres": {**server, "username": endpoints.postgres.username},
        "factory:platform": {
            "organization": "example",
            "forge_url": "https://forge.example.test",
            "registry": "registry.example.test",
            "storage_class": "standard",
            "vault": {
                "address": endpoints.vault.address,
                "ca_pem": endpoints.vault.ca_cert_pem,
                "mounts": {name: f"site-{name}" for name in ("kv2", "kv1", "database", "transit", "kubernetes", "jwt")},
            },
            "postgres": {**server, "pooler": {"host": pooler.host, "port": pooler.port, "cidr": "127.0.0.1/32"}},
            "exposure": {},
        },
        "factory:vault_foundation": {"kv1": False},
        "factory:apps": {
            APP: {
                "delivery": "pulumi",
                "image": {"tag": "1.0.0"},
                "ci": {"oauth_client_id": "ledger"},
                "vault": {"config_keys": ["SESSION_KEY"]},
            }
        },
    }


def agree(screen: Terminal) -> int:
    """Type what is asked for, and return the exit status."""
    screen.wait_for(QUESTION)
    screen.type(STACK)
    return screen.status()


def test_a_new_application_is_made_as_planned(site: Site) -> None:
    """Secrets, values that are not known before they are made, and a password that is drawn while the plan runs."""
    with terminal(site.project, "up") as screen:
        screen.wait_for(QUESTION)
        assert site.resources == set()
        assert "ledger-editor create" in re.sub(r"\x1b\[[0-9;]*m", "", screen.screen)
        assert agree(screen) == 0, screen.screen
    assert SECRET not in screen.screen
    assert any("GeneratedPassword" in urn for urn in site.resources)
    assert site.running == "1.0.0"
    assert not (site.project.state / "runs" / STACK / "plan").exists()
    site.project.factory("preview", "--expect-no-changes")


def test_a_plan_that_no_longer_fits_is_refused(site: Site) -> None:
    site.set_tag("1.1.0")
    with terminal(site.project, "up") as screen:
        screen.wait_for(QUESTION)
        site.set_tag("1.2.0")
        assert agree(screen) == 1
    assert "violates plan" in screen.screen
    assert site.running == "1.0.0"


def test_a_changed_key_is_applied_with_the_credentials_of_today(site: Site) -> None:
    """The state still has the token that was revoked."""
    site.rotate()
    site.project.factory("up", "--yes")
    assert site.running == "1.2.0"


@pytest.mark.long
def test_what_is_adopted_enters_the_state_with_the_plan_alone(site: Site, tmp_path: Path) -> None:
    service = next(urn for urn in site.resources if urn.endswith("core/v1:Service::ledger"))
    site.project.pulumi(STACK, "state", "delete", service, "--yes", "--stack", STACK)
    file = tmp_path / "adopt.json"
    site.project.factory("adopt", f"apps.{APP}", "--file", str(file))
    with terminal(site.project, "up", "--adopt", str(file)) as screen:
        screen.wait_for(QUESTION)
        screen.type("no")
        assert screen.status() == 1
    assert "nothing was changed" in screen.screen
    assert service not in site.resources
    before = site.object(SERVICE)["metadata"]
    site.project.factory("up", "--adopt", str(file), "--yes")
    assert service in site.resources
    assert site.object(SERVICE)["metadata"] == before


def test_what_is_destroyed_is_reached_with_the_credentials_of_today(site: Site) -> None:
    """Bringing them up to date protects nothing again that was released."""
    site.project.pulumi(STACK, "state", "unprotect", "--all", "--yes", "--stack", STACK)
    site.rotate()
    site.project.factory("destroy", "--yes")
    assert site.resources == set()
