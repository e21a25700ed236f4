"""APP-39: data goes in two declared steps, and the first takes a backup."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.app_stack import AppError
from components.app_stack.backup import CONFIG_SCRIPT
from tests.support.mocks import Graph
from tests.support.site import platform

COMMAND = "command:local:Command"
VOLUME = {"name": "data", "size": "1Gi", "mount_path": "/data"}


@pytest.fixture(scope="module")
def leaving(stack: Any) -> Graph:
    graph: Graph = stack(decommission=True, volumes=[VOLUME], volume_backup="snapshot-7")
    return graph


def test_without_the_switch_there_is_no_backup_and_no_way_out(webapp: Graph) -> None:  # TEST-04
    assert webapp.all(COMMAND) == ()
    assert webapp.one("postgresql:index/database:Database").protect
    assert webapp.one("postgresql:index/role:Role", "webapp-owner").protect


def test_protection_falls_only_after_the_backups(stack: Any, leaving: Graph) -> None:
    dump, copy = leaving.one(COMMAND, "webapp-backup"), leaving.one(COMMAND, "webapp-config-backup")
    kept = {node.urn for node in stack(volumes=[VOLUME]) if node.protect}
    held = [node for node in leaving if node.urn in kept]
    assert sorted(node.name for node in held) == [
        *("webapp", "webapp-config", "webapp-data", "webapp-database", "webapp-owner")
    ]
    for node in held:
        assert not node.protect
        assert leaving.waits_for(node, dump), node.name
    for name in ("webapp", "webapp-config", "webapp-data"):
        (node,) = (node for node in held if node.name == name)
        assert leaving.waits_for(node, copy), name
    assert leaving.waits_for(copy, dump)
    assert not any(node.protect for node in leaving)


def test_the_configuration_goes_by_standard_input_and_stays_secret(leaving: Graph) -> None:
    copy = leaving.one(COMMAND, "webapp-config-backup")
    assert copy.get("environment") == {"BACKUP_DIRECTORY": "/var/backups/factory", "BACKUP_NAME": "webapp"}
    assert copy.is_secret("stdin")
    assert json.loads(copy.get("stdin")) == {"API_KEY": "value of API_KEY"}
    assert (copy.get("create"), copy.get("logging")) == (CONFIG_SCRIPT, "none")


def test_the_backup_runs_as_the_applications_own_editor(leaving: Graph) -> None:
    environment = leaving.one(COMMAND, "webapp-backup").get("environment")
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
    dump = leaving.one(COMMAND, "webapp-backup")
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
    environment = stack(decommission=True, site=site).one(COMMAND, "webapp-backup").get("environment")
    assert (environment["PGHOST"], environment["PGPORT"]) == ("localhost", "6543")
    assert (environment["PGSSLMODE"], environment["PGSSLROOTCERT"]) == ("verify-ca", "/etc/ca.pem")
    assert environment["PG_DUMP"] == "/opt/pg/bin/pg_dump"


def test_an_application_leaves_with_a_backup_of_what_it_has(stack: Any) -> None:
    """The backup of its volumes is the operator's; one without database and secrets needs no other."""
    leaving = {"mode": "application-only", "decommission": True, "volumes": [VOLUME], "volume_backup": "snapshot-7"}
    graph = stack(**leaving)
    assert not any(node.protect for node in graph)
    copy = graph.one(COMMAND)
    for node in (graph.one("kubernetes:core/v1:Namespace"), graph.one("vault:kv/secretV2:SecretV2")):
        assert graph.waits_for(node, copy)
    graph = stack(**leaving, vault={}, site=platform(backup=None))
    assert graph.all(COMMAND) == ()
    assert not any(node.protect for node in graph)


def test_a_platform_without_a_place_for_backups_lets_nothing_go(stack: Any) -> None:
    for mode, what in (("full", "the database"), ("application-only", "the configuration")):
        with pytest.raises(AppError, match=rf"decommission backs {what} up first \(APP-39\): set platform.backup"):
            stack(mode=mode, decommission=True, site=platform(backup=None))


def test_a_copy_of_the_configuration_is_complete_and_closed_to_others(tmp_path: Path) -> None:
    def copy(document: str, directory: Path) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "BACKUP_DIRECTORY": str(directory), "BACKUP_NAME": "webapp"}
        command = ["/bin/sh", "-c", CONFIG_SCRIPT]
        return subprocess.run(command, env=environment, input=document, capture_output=True, text=True, check=False)

    document = '{"API_KEY": "a $(b) \\\\ \'c\' é"}'
    taken = copy(document, tmp_path / "backups")
    (file,) = (tmp_path / "backups").iterdir()
    assert (taken.returncode, taken.stdout, taken.stderr) == (0, str(file), "")
    assert re.fullmatch(r"webapp-config-\d{8}T\d{6}Z\.json", file.name)
    assert file.read_text("utf-8") == document
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    nothing = tmp_path / "nothing"
    assert copy("", nothing).returncode != 0
    assert list(nothing.iterdir()) == []
