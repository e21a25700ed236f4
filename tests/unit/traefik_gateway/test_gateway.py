"""The gateway's files: what Traefik and Docker are given, what the described set-up got wrong, and who may do what."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from components.host.args import HostStateArgs, Stage
from components.traefik_gateway.args_gateway import TraefikGatewayArgs
from components.traefik_gateway.checks import gateway_checks, machine_checks, route_checks
from components.traefik_gateway.machine import machine_of
from components.traefik_gateway.proxmox_access import READER, WRITER, access_commands, access_state
from components.traefik_gateway.render_gateway import (
    REDACTED,
    compose_project,
    desired_state,
    firewall_hints,
    static_configuration,
    static_path,
    written,
)
from tests.support.acme_authority import Authority
from tests.support.proxmox import Cluster

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFsP7ln2d0yMP6LrsCmLVKqg9I6ZDZzsS9tEqJ9LDrFF"
PLUGIN = {"endpoint": "https://pve.example.test:8006", "token_id": "traefik@pve!reader"}
CERTIFICATE = Authority("127.0.0.1", "127.0.0.1").pem
RELEASE = {"url": "https://dl.example.test/traefik.tar.gz", "sha256": "a" * 64}


def gateway(**changed: Any) -> TraefikGatewayArgs:
    base = {
        "host": {"address": "203.0.113.10", "host_key": HOST_KEY},
        "acme": {"email": "admin@example.test"},
        "plugin": PLUGIN,
    }
    return TraefikGatewayArgs.model_validate(base | changed)


def test_the_static_configuration() -> None:
    """TPX-176 to TPX-180, TPX-184, TPX-185: one source, plugin and provider each in its place."""
    document = static_configuration(gateway(), "token-secret")
    assert document["entryPoints"] == {
        "web": {
            "address": ":80",
            "http": {"redirections": {"entryPoint": {"to": "websecure", "scheme": "https"}}},
        },
        "websecure": {"address": ":443", "http": {"tls": {"certResolver": "letsencrypt"}}},
    }
    assert document["certificatesResolvers"] == {
        "letsencrypt": {
            "acme": {
                "email": "admin@example.test",
                "storage": "/etc/traefik/acme.json",
                "httpChallenge": {"entryPoint": "web"},
            }
        }
    }
    assert document["providers"]["file"] == {"directory": "/etc/traefik/dynamic", "watch": True}
    assert document["experimental"]["plugins"]["proxmox"] == {
        "moduleName": "github.com/NX211/traefik-proxmox-provider",
        "version": "v0.8.1",
    }
    assert document["providers"]["plugin"]["proxmox"] == {
        "pollInterval": "30s",
        "apiEndpoint": "https://pve.example.test:8006",
        "apiTokenId": "traefik@pve!reader",
        "apiToken": "token-secret",
        "apiLogging": "info",
        "apiValidateSSL": "true",
    }


def test_nothing_that_was_not_asked_for() -> None:
    """TPX-188, TPX-189: no dashboard, no Docker socket; without the plugin, files alone."""
    document = static_configuration(gateway(plugin=None))
    assert not {"api", "experimental"} & document.keys()
    assert set(document["providers"]) == {"file"}
    (service,) = compose_project(gateway())["services"].values()
    assert not any("docker.sock" in volume for volume in service["volumes"])
    assert service["ports"] == ["80:80", "443:443"]


def test_what_was_asked_for() -> None:
    args = gateway(
        dashboard_port=8080,
        docker_provider=True,
        entry_points={"ssh": 2222},
        acme={"email": "a@example.test", "server": "https://acme.example.test/directory"},
        plugin=PLUGIN | {"endpoint": "https://pve.example.test:8006/api2/json", "poll_seconds": 60},
    )
    document = static_configuration(args)
    assert document["entryPoints"]["ssh"] == {"address": ":2222"}
    assert document["entryPoints"]["traefik"] == {"address": ":8080"}
    assert document["providers"]["docker"] == {"exposedByDefault": False}
    assert document["providers"]["plugin"]["proxmox"]["apiEndpoint"] == "https://pve.example.test:8006"
    assert document["providers"]["plugin"]["proxmox"]["pollInterval"] == "60s"
    (service,) = compose_project(args)["services"].values()
    assert "127.0.0.1:8080:8080" in service["ports"], "the dashboard is for this machine only"
    assert "/var/run/docker.sock:/var/run/docker.sock:ro" in service["volumes"]


def test_the_compose_project() -> None:
    """TPX-181, TPX-182, TPX-187, TPX-209."""
    (service,) = compose_project(gateway())["services"].values()
    assert (service["container_name"], service["restart"]) == ("traefik-gateway", "unless-stopped")
    assert service["image"] == "traefik:v3.7.13"
    assert "command" not in service, "flags would be ignored beside the file"
    assert "environment" not in service


@pytest.mark.parametrize("runtime", ["compose", "systemd"])
def test_the_machine(runtime: str) -> None:
    """TPX-186, TPX-209: the token stands in one file for root alone, and the certificates' file is made once."""
    args = gateway(runtime=runtime, **({"release": RELEASE} if runtime == "systemd" else {}))
    state = desired_state(args)
    assert isinstance(state, HostStateArgs)
    static = state.files[static_path(args)]
    assert (static.mode, static.secret, static.content) == ("0600", True, None)
    storage = state.steps["acme-storage"]
    assert (storage.creates, storage.stage) == ("/opt/traefik-gateway/acme.json", Stage.CONFIGURE)
    assert "--mode=0600" in storage.run
    unit = state.units["traefik-gateway.service"]
    assert (unit.enabled, unit.running) == (True, True)
    assert f"files:{static_path(args)}" in unit.restart_on
    assert "token" not in yaml.safe_dump(state.document())


def test_a_service_runs_as_its_own_user() -> None:
    state = desired_state(gateway(runtime="systemd", release=RELEASE, dashboard_port=9000))
    service = (state.units["traefik-gateway.service"].unit or {})["Service"]
    assert (service["User"], service["AmbientCapabilities"]) == ("traefik-gateway", "CAP_NET_BIND_SERVICE")
    assert state.steps["unpack"].on_change == ("downloads:/opt/traefik-gateway/traefik.tar.gz",)
    document = static_configuration(gateway(runtime="systemd", release=RELEASE, dashboard_port=9000))
    assert document["entryPoints"]["traefik"] == {"address": "127.0.0.1:9000"}
    assert document["providers"]["file"]["directory"] == "/opt/traefik-gateway/dynamic"


def test_a_changed_route_file_restarts_nothing() -> None:
    """TPX-179: Traefik watches that folder."""
    state = desired_state(gateway(dynamic={"middlewares": {"http": {"middlewares": {"a": {"compress": {}}}}}}))
    path = "/opt/traefik-gateway/dynamic/middlewares.yml"
    assert yaml.safe_load(state.files[path].content or "") == {"http": {"middlewares": {"a": {"compress": {}}}}}
    assert f"files:{path}" not in state.units["traefik-gateway.service"].restart_on


@pytest.mark.parametrize("runtime", ["compose", "systemd"])
def test_the_authority_of_the_cluster_is_trusted_and_nothing_is_left_unverified(pve: Cluster, runtime: str) -> None:
    """TPX-36: where the described set-up switched verification off."""
    more = {"release": RELEASE} if runtime == "systemd" else {}
    args = gateway(runtime=runtime, plugin=PLUGIN | {"ca_pem": pve.ca_pem}, **more)
    state = desired_state(args)
    (path,) = (path for path in state.files if path.endswith("proxmox-ca.pem"))
    assert state.files[path].content == pve.ca_pem
    assert static_configuration(args)["providers"]["plugin"]["proxmox"]["apiValidateSSL"] == "true"
    if runtime == "compose":
        (service,) = compose_project(args)["services"].values()
        assert "./proxmox-ca.pem:/etc/ssl/certs/proxmox-ca.pem:ro" in service["volumes"]
    else:
        unit = state.units["traefik-gateway.service"].unit or {}
        assert str(unit["Service"]["Environment"]).endswith("/opt/traefik-gateway/ca")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"image": "traefik:latest"}, "names no version"),
        ({"image": "traefik"}, "names no version"),
        ({"plugin": PLUGIN | {"version": "v0.2.0"}}, "does not read key=value notes"),
        ({"plugin": PLUGIN | {"version": "latest"}}, "version"),
        ({"plugin": PLUGIN | {"poll_seconds": 1}}, "poll_seconds"),
        ({"runtime": "systemd"}, "release belongs to runtime systemd"),
        ({"release": RELEASE}, "release belongs to runtime systemd"),
        ({"runtime": "systemd", "release": RELEASE, "docker_provider": True}, "docker_provider needs runtime compose"),
        ({"dashboard_port": 443}, "port 443 is given twice"),
        ({"entry_points": {"websecure": 8443}}, "which this component makes itself"),
        ({"acme": {"email": "nobody"}}, "email"),
        ({"acme": {"email": "a@example.test", "server": "http://ca.example.test/acme"}}, "server"),
        ({"acme": {"email": "a@example.test", "ca_pem": CERTIFICATE}}, "give server, or remove it"),
    ],
)
def test_bad_arguments(changed: dict[str, Any], said: str) -> None:
    """TPX-187: beside them, the same gateway without the mistake is accepted by every test above."""
    with pytest.raises(ValidationError, match=said):
        gateway(**changed)


@pytest.mark.parametrize(("runtime", "home"), [("compose", "/etc/traefik"), ("systemd", "/opt/traefik-gateway")])
def test_an_authority_of_the_house(runtime: str, home: str) -> None:
    """TPX-178: Traefik asks it over HTTPS only, and trusts it for this alone."""
    acme = {"email": "a@example.test", "server": "https://ca.example.test/acme/directory", "ca_pem": CERTIFICATE}
    args = gateway(acme=acme, runtime=runtime, **({"release": RELEASE} if runtime == "systemd" else {}))
    given = static_configuration(args)["certificatesResolvers"]["letsencrypt"]["acme"]
    assert (given["caServer"], given["caCertificates"]) == (acme["server"], [f"{home}/acme-ca.pem"])
    state = desired_state(args)
    assert state.files["/opt/traefik-gateway/acme-ca.pem"].content == CERTIFICATE
    assert "files:/opt/traefik-gateway/acme-ca.pem" in state.units["traefik-gateway.service"].restart_on
    if runtime == "compose":
        (service,) = compose_project(args)["services"].values()
        assert "./acme-ca.pem:/etc/traefik/acme-ca.pem:ro" in service["volumes"]


@pytest.mark.parametrize("path", ["/opt/a b", "/opt/a\nExecStart=/x", "/opt/%h", "/opt/$HOME"])
def test_a_directory_that_a_unit_would_misread_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="directory"):
        gateway(directory=path)


def test_a_digest_is_a_version() -> None:
    assert gateway(image=f"traefik@sha256:{'a' * 64}").image.startswith("traefik@")


def test_what_the_firewall_must_let_through() -> None:
    hints = firewall_hints(gateway(entry_points={"ssh": 2222}), {"10.20.0.6": 8080})
    assert [(hint["direction"], hint["peer"], hint["port"]) for hint in hints] == [
        ("in", "anywhere", 80),
        ("in", "anywhere", 443),
        ("in", "anywhere", 2222),
        ("out", "pve.example.test", 8006),
        ("out", "10.20.0.6", 8080),
        ("out", "anywhere", 443),
    ]


@pytest.mark.parametrize(
    ("endpoint", "peer", "port"),
    [
        ("https://[2001:db8::6]", "2001:db8::6", 443),
        ("https://[2001:db8::6]:8006", "2001:db8::6", 8006),
        ("https://pve.example.test", "pve.example.test", 443),
    ],
)
def test_the_firewall_knows_an_api_by_any_address(endpoint: str, peer: str, port: int) -> None:
    hints = firewall_hints(gateway(plugin=PLUGIN | {"endpoint": endpoint}), {})
    assert [(hint["peer"], hint["port"]) for hint in hints if hint["why"] == "the Proxmox API"] == [(peer, port)]


def test_the_checks_of_section_14() -> None:
    args = gateway()
    assert [check.id for check in gateway_checks(args)] == [
        "TPX-181", "TPX-186", "TPX-218", "TPX-212", "TPX-214", "TPX-216",
    ]  # fmt: skip
    assert [check.id for check in gateway_checks(gateway(plugin=None))] == ["TPX-181", "TPX-186", "TPX-218"]
    routes = {
        "web (106)": {"app": "https://a.example.test/x, https://b.example.test/ -> web (http://h:80), priority 1"}
    }
    assert [check.command[-1] for check in route_checks(routes)] == [
        "https://a.example.test/x",
        "https://b.example.test/",
    ]


def test_what_a_person_asks_is_what_doctor_asks() -> None:
    asked = machine_of(gateway(runtime="systemd", release=RELEASE)).checks
    by_hand = {check.id: check for check in gateway_checks(gateway(runtime="systemd", release=RELEASE))}
    assert {name[:7] for name in asked} == by_hand.keys() - {"TPX-216"}
    assert asked["TPX-181-traefik"].unit == "traefik-gateway.service"
    assert (by_hand["TPX-181"].command[:2], by_hand["TPX-181"].expected) == (("systemctl", "is-active"), "active")
    assert (asked["TPX-218-redirection"].http, asked["TPX-218-redirection"].status) == ("http://127.0.0.1:80/", 301)
    assert (by_hand["TPX-218"].command[-1], by_hand["TPX-218"].expected) == ("http://127.0.0.1:80/", "301")
    assert machine_checks(gateway())["TPX-181-traefik"].contains == "running"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("INF Loading plugins...\nINF Plugins loaded. plugins=[proxmox]", 0),
        ("ERR Unable to obtain ACME certificate error=x", 0),
        ("", 0),
        ("INF Loading plugins...\nERR Plugins are disabled because an error has occurred. error=no route", 1),
        ("proxmox: error: 401 no ticket", 1),
    ],
)
def test_the_log_of_the_plugin_is_judged(said: str, status: int) -> None:
    """TPX-212: an error of something else is not the plugin's."""
    command = machine_checks(gateway())["TPX-212-plugin"].command or ()
    place = command.index("docker")
    done = subprocess.run([*command[:place], "printf", "%s\\n", said], check=False, capture_output=True)
    assert done.returncode == status
    done = subprocess.run([*command[:place], "false"], check=False, capture_output=True)
    assert done.returncode == 2, "a log that cannot be read says nothing"


def test_the_api_is_reached_by_whom_trusts_it(pve: Cluster, tmp_path: Path) -> None:
    """TPX-214: with the authority of the cluster, not without."""
    plugin = PLUGIN | {"endpoint": pve.endpoint, "ca_pem": pve.ca_pem}
    command = machine_checks(gateway(plugin=plugin))["TPX-214-api"].command or ()
    (other := tmp_path / "other.pem").write_text(CERTIFICATE)
    done = subprocess.run([*command[:-1], str(pve.certificate)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "401\n")
    done = subprocess.run([*command[:-1], str(other)], check=False, capture_output=True, text=True)
    assert (done.returncode != 0, "CERTIFICATE_VERIFY_FAILED" in done.stderr) == (True, True)


def test_the_shown_configuration_holds_no_secret() -> None:
    assert REDACTED in written(static_configuration(gateway()))


def test_writer_and_reader_have_the_least_they_need() -> None:
    """TPX-198 to TPX-201: access is granted to the token too, or one with separated privileges could do nothing."""
    commands = access_commands(WRITER, "factory@pve!notes", ["/vms/106"])
    assert commands[0] == ["pveum", "role", "add", "FactoryNotes", "--privs", "VM.Audit,VM.Config.Options"]
    assert [
        "pveum",
        "acl",
        "modify",
        "/vms/106",
        "--tokens",
        "factory@pve!notes",
        "--roles",
        "FactoryNotes",
    ] in commands
    assert ["pveum", "acl", "modify", "/vms/106", "--users", "factory@pve", "--roles", "FactoryNotes"] in commands
    assert access_commands(READER, "traefik@pve!reader")[0][-1] == "VM.Audit,Sys.Audit"


def test_access_can_be_made_by_the_node_itself() -> None:
    state = access_state(WRITER, "factory@pve!notes", "/etc/pve/priv/factory-notes.json")
    token = state.steps["token"]
    assert token.secret
    assert token.unless == ("/usr/bin/pvesh", "get", "/access/users/factory@pve/token/notes")
    assert token.run[-7:] == ("user", "token", "add", "factory@pve", "notes", "--privsep", "1")
    assert all(step.unless or step.once_for for step in state.steps.values()), "a second run changes nothing"
