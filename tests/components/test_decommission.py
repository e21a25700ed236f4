"""APP-39: data goes in two declared steps, and the first takes a backup."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.mocks import Graph
from tests.support.site import platform

COMMAND = "command:local:Command"


@pytest.fixture(scope="module")
def leaving(stack: Any) -> Graph:
    graph: Graph = stack(decommission=True)
    return graph


def test_without_the_switch_there_is_no_backup_and_no_way_out(webapp: Graph) -> None:  # TEST-04
    assert webapp.all(COMMAND) == ()
    assert webapp.one("postgresql:index/database:Database").protect
    assert webapp.one("postgresql:index/role:Role", "webapp-owner").protect


def test_protection_falls_only_after_the_backup(leaving: Graph) -> None:
    dump = leaving.one(COMMAND)
    for node in (
        leaving.one("postgresql:index/database:Database"),
        leaving.one("postgresql:index/role:Role", "webapp-owner"),
    ):
        assert not node.protect
        assert dump.urn in node.depends_on
    assert not any(node.protect for node in leaving)


def test_the_backup_runs_as_the_applications_own_editor(leaving: Graph) -> None:
    environment = leaving.one(COMMAND).get("environment")
    assert {key: environment[key] for key in environment if key != "PGPASSWORD"} == {
        "BACKUP_DIRECTORY": "/var/backups/factory",
        "BACKUP_ROLE": "webapp_role",
        "PG_DUMP": "pg_dump",
        "PGCONNECT_TIMEOUT": "10",
        "PGDATABASE": "webapp",
        "PGHOST": "db.example.test",
        "PGPORT": "5432",
        "PGSSLMODE": "verify-full",
        "PGUSER": "webapp_edit",
    }


def test_the_password_is_no_argument(leaving: Graph) -> None:
    dump = leaving.one(COMMAND)
    assert dump.is_secret("environment") or dump.is_secret("environment.PGPASSWORD")
    assert "value-of-" not in dump.get("create")
    assert dump.get("logging") == "none"


def test_where_the_backup_reaches_the_server_is_data(stack: Any) -> None:
    site = platform(
        backup={
            "directory": "/srv/dumps",
            "pg_dump": "/opt/pg/bin/pg_dump",
            "host": "localhost",
            "port": 6543,
            "sslmode": "verify-ca",
            "ca_file": "/etc/ca.pem",
        }
    )
    environment = stack(decommission=True, site=site).one(COMMAND).get("environment")
    assert (environment["PGHOST"], environment["PGPORT"]) == ("localhost", "6543")
    assert (environment["PGSSLMODE"], environment["PGSSLROOTCERT"]) == ("verify-ca", "/etc/ca.pem")
    assert environment["PG_DUMP"] == "/opt/pg/bin/pg_dump"


def test_an_application_without_a_database_leaves_without_a_backup(stack: Any) -> None:
    volume = {"name": "data", "size": "1Gi", "mount_path": "/data"}
    graph = stack(mode="application-only", decommission=True, volumes=[volume], volume_backup="snapshot-7")
    assert graph.all(COMMAND) == ()
    assert not any(node.protect for node in graph)
