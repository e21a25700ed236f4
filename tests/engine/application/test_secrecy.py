"""No secret is found where none may be, in any spelling (section 8, item 7)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.engine.application.conftest import APP, KEEPER, KEPT, STACK, Site, plant
from tests.support.canary import Scanner, watched_processes
from tests.support.identities import short_lived_login, workload

pytestmark = pytest.mark.engine

# What holds the secrets by purpose, each of mode 0600 below a directory of mode 0700.
KEPT_SECRETS = frozenset({"postgres", "vault", "etcd", "kubernetes", "sandbox"})
KEPT_FILES = frozenset({"endpoints.json", "credentials.json"})


def passwords(site: Site, stack: str) -> dict[str, str]:
    """The generated passwords of a stack, by the name of their resource."""
    return {
        urn.rpartition("::")[2]: json.loads(resource["outputs"]["value"]["plaintext"])
        for urn, resource in site.project.resources(stack, decrypted=True).items()
        if urn.split("::")[2].endswith("GeneratedPassword")
    }


def test_no_secret_is_left_anywhere(site: Site, keeper: str, tmp_path: Path) -> None:
    """Not in states, copies, logs, plans, temporary files, the checkout, or the list of processes."""
    login = short_lived_login(workload(site.endpoints, APP), APP)
    changed = f"{site.canary[::-1]}-changed"
    plan = tmp_path / "plan.json"
    with watched_processes() as watch:
        plant(site.project, changed)
        planned = site.project.factory("preview", "--save-plan", str(plan), "--diff")
        applied = site.project.factory("up", "--diff")
    assert f"{APP}-config" in planned.stdout
    secrets = {
        "canary": site.canary,
        "changed canary": changed,
        "Vault's root token": site.endpoints.vault.root_token,
        "superuser's password": site.endpoints.postgres.password,
        "short-lived password": login.password,
        **passwords(site, STACK),
        **passwords(site, KEEPER),
    }
    assert {f"{APP}-editor", f"{KEPT}-editor"} <= secrets.keys()
    scanner = Scanner(secrets)
    found = scanner.text("output of the first up", site.first_up) + scanner.text("output of a failed up", keeper)
    for name, run in (("preview", planned), ("up", applied)):
        found += scanner.text(f"output of {name}", run.stdout + run.stderr)
    for name, seen in (("first run", site.processes), ("second run", watch)):
        assert b"pulumi" in seen.text()
        found += scanner.text(f"processes of the {name}", seen.text())
    roots = [path for path in site.project.state.iterdir() if path.is_dir() and path.name not in KEPT_SECRETS]
    assert {"backend", "state-copies", "logs", "pulumi-home"} <= {path.name for path in roots}
    found += scanner.files([*roots, site.project.root, site.temporary, tmp_path], skipped=frozenset({".venv"}))
    for file in site.project.state.iterdir():
        if file.is_file() and file.name not in KEPT_FILES:
            found += scanner.text(file.name, file.read_bytes())
    assert found == []


def test_every_backend_was_listened_to(site: Site, keeper: str) -> None:
    """The search above means something: the logs are there, and the failed `CREATE ROLE` is among them."""
    logs = {file.stem: file.read_bytes() for file in (site.project.state / "logs").iterdir()}
    assert {"postgres", "vault", "vault-audit", "kube-apiserver", "etcd", "supervisor"} <= logs.keys()
    assert f"postgres/creds/{APP}".encode() in logs["vault-audit"]
    assert f"{KEPT}_edit" in keeper
    statement = re.search(rf'STATEMENT:\s+CREATE ROLE "{KEPT}_edit"[^\n]*'.encode(), logs["postgres"])
    assert statement
    assert b"SCRAM-SHA-256$" in statement[0]


def test_what_is_kept_is_closed_to_others(site: Site) -> None:
    assert site.project.state.stat().st_mode & 0o077 == 0
    for name in KEPT_FILES:
        assert (site.project.state / name).stat().st_mode & 0o777 == 0o600
