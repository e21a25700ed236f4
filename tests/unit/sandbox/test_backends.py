"""The files and arguments of the backends: what they listen on, whom they let in, where they keep data."""

from __future__ import annotations

import asyncio
import base64
import getpass
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import service as service_module
from sandbox.backends import addresses, etcd, kubernetes, pooler, postgres, ssh, vault, volumes
from sandbox.credentials import Credentials
from sandbox.endpoints import Endpoints
from sandbox.errors import SandboxError
from sandbox.layout import Layout
from sandbox.service import Service

PROGRAM = Path("/opt/program")
CREDENTIALS = Credentials(postgres="s3cret-pg", pgbouncer_auth="s3cret-pool")
PORTS = {"postgres": 1, "pooler": 2, "vault": 3, "etcd": 4, "etcd-peer": 5, "kube-apiserver": 6}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.make()
    return layout


def flags(service: Service) -> dict[str, str]:
    pairs = [argument.removeprefix("--").partition("=") for argument in service.argv[1:] if argument.startswith("--")]
    return {name: value for name, _, value in pairs}


def test_an_initdb_that_hangs_is_ended_and_leaves_nothing(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "initdb"
    program.write_text('#!/bin/sh\nmkdir "${1#--pgdata=}"\nexec sleep 300\n')
    program.chmod(0o755)
    monkeypatch.setattr(postgres, "_INITDB_SECONDS", 1)
    monkeypatch.setattr(service_module, "unprivileged_user", lambda: None)
    with pytest.raises(SandboxError, match=r"initdb did not create .* within 1 s"):
        postgres.prepare(layout, tmp_path, 1, CREDENTIALS)
    assert list(layout.postgres.iterdir()) == []


def test_postgres_listens_on_loopback_and_asks_everybody_for_a_password(layout: Layout) -> None:
    (layout.postgres / "data").mkdir()  # as if initdb had run
    service = postgres.prepare(layout, Path("/opt/bin"), 1, CREDENTIALS)
    settings = (layout.postgres / "data" / "postgresql.conf").read_text()
    assert "listen_addresses = '127.0.0.1'" in settings
    assert "unix_socket_directories = ''" in settings
    assert "log_min_error_statement = 'panic'" in settings
    assert (layout.postgres / "data" / "pg_hba.conf").read_text() == "host all all 127.0.0.1/32 scram-sha-256\n"
    assert service.unprivileged
    assert "s3cret" not in " ".join(service.argv) + settings


@pytest.mark.parametrize(
    "content", ["999999999\n", f"{os.getpid()}\n", "", "x\n"], ids=["no process", "a stranger", "empty", "no number"]
)
def test_a_pid_file_of_a_dead_server_is_forgotten_whoever_has_its_number(layout: Layout, content: str) -> None:
    data = layout.postgres / "data"
    data.mkdir()
    (data / "postmaster.pid").write_text(content)
    postgres.prepare(layout, Path("/opt/bin"), 1, CREDENTIALS)
    # A file without a number is PostgreSQL's own business: it replaces it.
    assert (data / "postmaster.pid").exists() == (content in {"", "x\n"})


def test_the_pid_file_of_a_living_server_is_kept(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    data = layout.postgres / "data"
    data.mkdir()
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n")
    monkeypatch.chdir(data)
    postgres.prepare(layout, Path("/opt/bin"), 1, CREDENTIALS)
    assert (data / "postmaster.pid").exists()


def test_the_pooler_rejects_the_look_up_role_before_it_accepts_anybody(layout: Layout) -> None:
    service = pooler.prepare(layout, PROGRAM, 2, postgres.endpoint(1, CREDENTIALS), CREDENTIALS)
    rules = [line.split() for line in (layout.postgres / "pgbouncer_hba.conf").read_text().splitlines()]
    assert [(rule[1], rule[2], rule[4]) for rule in rules] == [
        ("pgbouncer", "all", "reject"),
        ("all", "pgbouncer_auth", "reject"),
        ("all", "postgres", "reject"),
        ("all", "all", "scram-sha-256"),
    ]
    settings = (layout.postgres / "pgbouncer.ini").read_text()
    assert "pool_mode = session" in settings
    assert "listen_addr = 127.0.0.1" in settings
    assert "s3cret" not in settings + " ".join(service.argv)
    users = layout.postgres / "pgbouncer_users.txt"
    assert users.read_text() == '"pgbouncer_auth" "s3cret-pool"\n'
    assert users.stat().st_mode & 0o777 == 0o600


def test_vault_speaks_tls_on_loopback_and_stores_below_the_state_directory(layout: Layout) -> None:
    vault.prepare(layout, PROGRAM, 3)
    configuration = json.loads((layout.vault / "vault.json").read_text())
    assert configuration["listener"]["tcp"]["address"] == "127.0.0.1:3"
    assert "tls_disable" not in configuration["listener"]["tcp"]
    assert configuration["disable_mlock"] is True
    assert configuration["storage"]["file"]["path"].startswith(str(layout.root))


def test_vaults_data_of_an_unfinished_initialisation_is_dropped(layout: Layout) -> None:
    vault.prepare(layout, PROGRAM, 3)
    (layout.vault / "storage" / "core").mkdir()
    vault.prepare(layout, PROGRAM, 3)
    assert list((layout.vault / "storage").iterdir()) == []


def test_vaults_data_in_use_is_never_dropped(layout: Layout) -> None:
    vault.prepare(layout, PROGRAM, 3)
    (layout.vault / "storage" / "core").mkdir()
    Endpoints.path(layout.root).write_text("{}")  # a start has succeeded before
    with pytest.raises(SandboxError, match="restore the file"):
        vault.prepare(layout, PROGRAM, 3)
    assert (layout.vault / "storage" / "core").exists()


def test_the_ssh_server_listens_on_loopback_and_lets_one_key_of_one_user_in(layout: Layout) -> None:
    service = ssh.prepare(layout, PROGRAM, 7)
    settings = dict(line.split(maxsplit=1) for line in (layout.ssh / "sshd_config").read_text().splitlines())
    assert (settings["ListenAddress"], settings["Port"]) == ("127.0.0.1", "7")
    assert (settings["AuthenticationMethods"], settings["AllowUsers"]) == ("publickey", getpass.getuser())
    host = ssh.endpoint(layout, 7)
    client = Path(host.identity_file)
    assert client.stat().st_mode & 0o777 == 0o600
    assert (layout.ssh / "authorized_keys").read_text() == client.with_suffix(".pub").read_text()
    assert (layout.ssh / "host.pub").read_text() == f"{host.host_key}\n"
    assert host.host_key.startswith("ssh-ed25519 ")
    assert Path(host.root).is_dir()
    assert str(layout.ssh / "sshd_config") in service.argv


def test_a_server_that_does_not_greet_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "_GREETING_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not asyncio.run(asyncio.wait_for(ssh.answers(port), 120))


def test_the_keys_of_the_ssh_server_are_made_once(layout: Layout) -> None:
    ssh.prepare(layout, PROGRAM, 7)
    first = ssh.endpoint(layout, 7), Path(ssh.endpoint(layout, 7).identity_file).read_text()
    ssh.prepare(layout, PROGRAM, 7)
    assert (ssh.endpoint(layout, 7), Path(ssh.endpoint(layout, 7).identity_file).read_text()) == first


def test_etcd_asks_clients_and_peers_for_certificates(layout: Layout) -> None:
    service, store = etcd.prepare(layout, PROGRAM, PORTS)
    given = flags(service)
    assert given["listen-client-urls"] == store.url == "https://127.0.0.1:4"
    assert given["listen-peer-urls"] == "https://127.0.0.1:5"
    assert {"client-cert-auth", "peer-client-cert-auth", "trusted-ca-file"} <= given.keys()


def test_the_api_server_knows_no_anonymous_user_and_uses_rbac(layout: Layout) -> None:
    _, store = etcd.prepare(layout, PROGRAM, PORTS)
    given = flags(kubernetes.Cluster(layout, 6).api_server(PROGRAM, store))
    assert given["anonymous-auth"] == "false"
    assert given["authorization-mode"] == "RBAC"
    assert given["bind-address"] == "127.0.0.1"
    assert given["etcd-cafile"] != given["client-ca-file"]
    assert "api-audiences" not in given  # a token for another audience must not open the API


def test_controllers_and_scheduler_have_identities_of_their_own_and_no_port(layout: Layout) -> None:
    cluster = kubernetes.Cluster(layout, 6)
    for service in (cluster.controller_manager(PROGRAM), cluster.scheduler(PROGRAM)):
        given = flags(service)
        assert (given["secure-port"], given["leader-elect"]) == ("0", "false")
        user = yaml.safe_load(Path(given["kubeconfig"]).read_text())["users"][0]
        assert user["name"] == service.name
        assert Path(given["kubeconfig"]).stat().st_mode & 0o777 == 0o600


def test_a_kubeconfig_needs_no_other_file() -> None:
    text = kubernetes.render_kubeconfig("https://127.0.0.1:6", "CA", "admin", "CERT", "KEY")
    document = yaml.safe_load(text)
    assert document["current-context"] == kubernetes.CONTEXT
    context = document["contexts"][0]["context"]
    assert context["user"] == document["users"][0]["name"] == "admin"
    cluster = document["clusters"][0]["cluster"]
    assert cluster["server"] == "https://127.0.0.1:6"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"CA"
    assert base64.b64decode(document["users"][0]["user"]["client-key-data"]) == b"KEY"


def test_the_stages_cover_the_life_of_nodes_and_pods() -> None:
    stages: list[Any] = [stage for stage in yaml.safe_load_all(kubernetes.STAGES.read_text()) if stage]
    assert {stage["kind"] for stage in stages} == {"Stage"}
    assert [stage["metadata"]["name"] for stage in stages] == ["node-ready", "pod-ready", "pod-complete", "pod-delete"]


CLAIM: dict[str, Any] = {
    "metadata": {"name": "data", "namespace": "webapp", "uid": "u-1"},
    "spec": {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "longhorn",
        "resources": {"requests": {"storage": "1Gi"}},
    },
}


def test_a_volume_is_what_its_claim_asks_for_and_reserved_for_it() -> None:
    volume = volumes.volume_for(CLAIM, "Delete")
    assert volume["metadata"]["name"] == "pvc-u-1" == volumes.volume_name(CLAIM)
    assert volumes.made_here(volume)
    spec = volume["spec"]
    assert (spec["capacity"], spec["accessModes"]) == ({"storage": "1Gi"}, ["ReadWriteMany"])
    assert (spec["claimRef"]["namespace"], spec["claimRef"]["name"], spec["claimRef"]["uid"]) == (
        "webapp",
        "data",
        "u-1",
    )
    assert spec["persistentVolumeReclaimPolicy"] == "Delete"


def test_somebody_elses_volume_is_not_touched() -> None:
    assert not volumes.made_here({"metadata": {"name": "x"}})
    assert not volumes.made_here({"metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": "other"}}})


@pytest.mark.parametrize(
    ("plural", "item", "expected"),
    [
        ("ingresses", {"spec": {}}, True),
        ("ingresses", {"spec": {}, "status": {"loadBalancer": {}}}, True),
        ("ingresses", {"spec": {}, "status": addresses.ADDRESS}, False),
        ("services", {"spec": {"type": "LoadBalancer"}}, True),
        ("services", {"spec": {"type": "ClusterIP"}}, False),
    ],
)
def test_only_what_waits_for_an_address_gets_one(plural: str, item: dict[str, Any], expected: bool) -> None:
    assert addresses.waits(item, plural) is expected
