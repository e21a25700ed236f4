"""One checkout on the session's sandbox, brought up once: two committed applications, and one more with a database.

The tests of this folder share it, in the order of their files; each leaves the stack as its configuration says, and the
last file takes it away.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.endpoints import Endpoints
from tests.support.canary import ProcessWatch, watched_processes
from tests.support.identities import VaultIdentity, cluster_client, operator, superuser
from tests.support.project import Project

STACK = "sandbox"
APP, OTHER, PLAIN = "webapp", "notes", "url-shortener"
"""An application with everything, a second one with a database, and one with nothing but a workload."""

KEEPER, KEPT, KEPT_KEY = "keeper", "archive", "BOOK_KEY"
"""A stack that protects its data, on the same backends, its application, and the name of that one's secret."""


@dataclass(frozen=True)
class Site:
    """The brought-up project and what it was brought up with."""

    project: Project
    endpoints: Endpoints
    first_up: str
    """What the first `up` printed."""
    canary: str
    """The value of the application's secret."""
    processes: ProcessWatch
    """What was seen in the list of processes while the secret was set and the stack brought up."""
    temporary: Path
    """TMPDIR of all commands."""

    def change(self, applications: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the stack file with these applications' keys changed."""
        document = self.project.configuration(STACK)
        for name, keys in applications.items():
            document["config"]["factory:apps"][name].update(keys)
        self.project.configure(STACK, document)


@pytest.fixture(scope="session")
def site(sandbox: Endpoints, sandbox_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The project, brought up from nothing with a canary as the value of a secret."""
    temporary = tmp_path_factory.mktemp("tmp")
    checkout = tmp_path_factory.mktemp("application") / "checkout"
    project = Project.copy_to(checkout, sandbox_state)
    project.environment["TMPDIR"] = str(temporary)
    document = project.configuration(STACK)
    document["config"]["factory:apps"][OTHER] = {
        "delivery": "pulumi",
        "image": {"tag": "2.1.0"},
        "ci": {"oauth_client_id": f"sandbox-{OTHER}"},
    }
    project.configure(STACK, document)
    log_failed_statements(sandbox)
    canary = f"canary-{secrets.token_hex(8)}/+{secrets.token_hex(4)}"
    with watched_processes() as processes:
        project.pulumi(STACK, "stack", "init", STACK, "--no-select")
        plant(project, canary)
        first_up = project.factory("up").stdout
    return Site(project, sandbox, first_up, canary, processes, temporary)


@pytest.fixture(scope="session")
def keeper(site: Site) -> str:
    """A third stack file, with protected data, brought up; returns what its first, failing `up` printed.

    That `up` fails at `CREATE ROLE` for the editor, whose name is taken.
    """
    config = site.project.configuration(STACK)["config"]
    kept = {key: config[f"factory:{key}"] for key in ("environment", "backends", "sandbox")}
    kept["platform"] = config["factory:platform"] | {"protect_data": True}
    kept["apps"] = {
        KEPT: {
            "delivery": "pulumi",
            "image": {"tag": "0.3.0"},
            "vault": {"config_keys": [KEPT_KEY]},
            "volumes": [{"name": "books", "size": "1Gi", "mount_path": "/books"}],
        }
    }
    defaults = {"pulumi:disable-default-providers": ["*"]}
    site.project.configure(KEEPER, {"config": defaults | {f"factory:{key}": value for key, value in kept.items()}})
    site.project.pulumi(KEEPER, "stack", "init", KEEPER, "--no-select")
    plant(site.project, site.canary, stack=KEEPER, app=KEPT, key=KEPT_KEY)
    with superuser(site.endpoints) as connection:
        connection.execute(f'CREATE ROLE "{KEPT}_edit"')
        failed = site.project.factory("up", "--stack", KEEPER, check=False)
        connection.execute(f'DROP ROLE "{KEPT}_edit"')
    assert failed.returncode == 1, failed.stdout
    site.project.factory("up", "--stack", KEEPER)
    return failed.stdout + failed.stderr


@pytest.fixture
def cluster(sandbox: Endpoints) -> Iterator[httpx.Client]:
    """The administrator of the cluster."""
    with cluster_client(sandbox) as client:
        yield client


@pytest.fixture
def root(sandbox: Endpoints) -> VaultIdentity:
    """The operator of Vault."""
    return operator(sandbox)


def log_failed_statements(endpoints: Endpoints) -> None:
    """Let the database server log the statements that fail, as one with the defaults of PostgreSQL does."""
    with superuser(endpoints) as connection:
        connection.execute("ALTER SYSTEM SET log_min_error_statement = 'error'")
        connection.execute("ALTER SYSTEM SET log_min_messages = 'warning'")
        connection.execute("SELECT pg_reload_conf()")


def log_as_the_sandbox_does(endpoints: Endpoints) -> None:
    """Undo `log_failed_statements`."""
    with superuser(endpoints) as connection:
        connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("SELECT pg_reload_conf()")


def plant(project: Project, value: str, *, stack: str = STACK, app: str = APP, key: str = "SESSION_KEY") -> None:
    """Set an application's secret as a person would: typed, not on the command line."""
    project.pulumi(stack, "config", "set", "--secret", "--path", f"secrets.{app}.{key}", typed=value)


def protected(project: Project, stack: str) -> set[str]:
    """Return the names of the resources that refuse deletion."""
    kept = (urn for urn, resource in project.resources(stack).items() if resource.get("protect"))
    return {urn.rpartition("::")[2] for urn in kept}


def last_update(project: Project, stack: str = STACK) -> dict[str, Any]:
    """Return the newest entry of a stack's history."""
    entries: list[dict[str, Any]] = json.loads(project.pulumi(stack, "stack", "history", "--json").stdout)
    return entries[0]
