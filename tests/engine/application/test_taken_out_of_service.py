"""An application leaves in two declared steps, of which the first takes its backups or lets nothing go (APP-39)."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.engine.application.conftest import KEEPER, KEPT, KEPT_KEY, Site, protected
from tests.support.canary import Scanner
from tests.support.identities import VaultIdentity, connect, short_lived_login, superuser, workload
from toolchain.lookup import locate

pytestmark = pytest.mark.engine


def test_data_goes_only_after_its_backups(
    site: Site, keeper: str, cluster: httpx.Client, root: VaultIdentity, tmp_path: Path
) -> None:
    assert keeper
    postgres = locate("postgres")
    assert postgres is not None
    programs = postgres.path
    with connect(site.endpoints, KEPT, short_lived_login(workload(site.endpoints, KEPT), KEPT)) as connection:
        connection.execute("CREATE TABLE books (title text)")
        connection.execute("INSERT INTO books VALUES ('kept for good')")
    before, backups = protected(site.project, KEEPER), tmp_path / "backups"
    assert len(before) == 5

    decommission(site, {"directory": str(backups), "pg_dump": "/bin/false"})
    failed = site.project.factory("up", "--stack", KEEPER, check=False)
    assert failed.returncode == 1, failed.stdout
    assert f"{KEPT}-backup" in failed.stdout + failed.stderr
    assert protected(site.project, KEEPER) == before
    assert list(backups.iterdir()) == []

    decommission(site, {"directory": str(backups), "pg_dump": str(programs / "pg_dump")})
    done = site.project.factory("up", "--stack", KEEPER)
    assert protected(site.project, KEEPER) == set()
    dump, copy = sorted(backups.iterdir())
    assert re.fullmatch(rf"{KEPT}-config-\d{{8}}T\d{{6}}Z\.json", copy.name)
    assert re.fullmatch(rf"{KEPT}-\d{{8}}T\d{{6}}Z\.dump", dump.name)
    assert {file.stat().st_mode & 0o777 for file in (copy, dump)} == {0o600}
    assert json.loads(copy.read_text("utf-8")) == {KEPT_KEY: site.canary}
    restore = subprocess.run([programs / "pg_restore", "--file=-", dump], capture_output=True, text=True, check=True)
    assert re.search(r"^COPY public\.books .*\nkept for good$", restore.stdout, re.MULTILINE)
    assert root.read(f"kvv2/data/{KEPT}/config")["data"]["data"] == {KEPT_KEY: site.canary}
    shown = Scanner({"canary": site.canary})
    found = shown.text("output", failed.stdout + failed.stderr + done.stdout + done.stderr)
    assert found + shown.text("state", site.project.state_file(KEEPER).read_bytes()) == []

    with connect(site.endpoints, KEPT, short_lived_login(workload(site.endpoints, KEPT), KEPT)) as connection:
        connection.execute("INSERT INTO books VALUES ('written between the steps')")
    document = site.project.configuration(KEEPER)
    document["config"] |= {"factory:apps": {}, "factory:secrets": {}}
    site.project.configure(KEEPER, document)
    site.project.factory("up", "--stack", KEEPER)
    assert {urn for urn in site.project.resources(KEEPER) if KEPT in urn} == set()
    with superuser(site.endpoints) as connection:
        left = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE %(name)s "
            "UNION SELECT datname FROM pg_database WHERE datname LIKE %(name)s",
            {"name": f"{KEPT}%"},
        ).fetchall()
    assert left == []
    assert root.request("GET", f"kvv2/data/{KEPT}/config").status_code == httpx.codes.NOT_FOUND
    assert cluster.get(f"/api/v1/namespaces/{KEPT}").status_code == httpx.codes.NOT_FOUND
    (last,) = set(backups.iterdir()) - {dump, copy}
    assert last.stat().st_mode & 0o777 == 0o600
    rows = subprocess.run([programs / "pg_restore", "--file=-", last], capture_output=True, text=True, check=True)
    assert "kept for good\nwritten between the steps\n" in rows.stdout


def decommission(site: Site, backup: Mapping[str, str]) -> None:
    """Declare the first step, with its backups there."""
    document = site.project.configuration(KEEPER)
    document["config"]["factory:platform"]["backup"] = backup
    document["config"]["factory:apps"][KEPT] |= {"decommission": True, "volume_backup": "snapshot-7"}
    site.project.configure(KEEPER, document)
