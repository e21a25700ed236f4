"""The graph of a gateway: a resource per subsystem, edges and no chain, secrets kept, the smallest update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
import yaml

from components.cm5_gateway import CM5Gateway, CM5GatewayArgs, Gateway, GatewayError, formats
from components.cm5_gateway.preconditions import preconditions
from components.host import FactoryProvider
from tests.support.gateway import SECRETS, classic, gateway_args
from tests.support.mocks import Graph, Node, build, render, reveal

STATE = "factory-host:index:HostState"
FACTS = "factory-host:index:HostFacts"
GATEWAY = "factory:cm5:CM5Gateway"
REGISTRATION = "pulumi-python:dynamic/factory:GatewayRegistration"
PKI = "vault:pkiSecret/secretBackend"
COMMAND = "command:remote:Command"
COMPOSE_FILE = "/opt/data/docker-compose.yml"


@pytest.fixture(autouse=True)
def cheap_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks of secrets are meant to be expensive; here they only have to differ."""
    monkeypatch.setitem(formats._SCRYPT, "n", 2)


def computed(type_: str, _name: str, _inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    outputs = {
        COMMAND: {"stdout": "PEM OF THE AUTHORITY\n"},
        f"{PKI}RootCert:SecretBackendRootCert": {"certificate": "PEM OF VAULT'S AUTHORITY"},
        f"{PKI}Cert:SecretBackendCert": {"privateKey": "KEY OF THE NAME", "certificate": "PEM OF THE NAME"},
    }
    return outputs.get(type_, {})


def graph_of(args: CM5GatewayArgs, *, found: Mapping[str, str] | None = None, **options: Any) -> Graph:
    vault = options.pop("vault", False)
    secrets = options.pop("secrets", {key: value for key, value in SECRETS.items() if key in args.secrets})

    def program() -> dict[str, Any]:
        import pulumi_command  # noqa: PLC0415 - only the authority needs it
        import pulumi_vault  # noqa: PLC0415 - only an authority in Vault needs it

        providers = [FactoryProvider("factory"), pulumi_command.Provider("command")]
        providers += [pulumi_vault.Provider("vault", address="https://vault.example.test")] if vault else []
        opts = pulumi.ResourceOptions(providers=providers)
        return CM5Gateway("cabin", args, secrets=secrets, opts=opts, **options).outputs()

    def outputs(type_: str, name: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"found": found or {}} if type_ == FACTS else computed(type_, name, inputs)

    return build(program, computed=outputs)


@pytest.fixture(scope="module")
def gateway() -> Graph:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(formats._SCRYPT, "n", 2)
        return graph_of(gateway_args(), protect=True)


def states(graph: Graph) -> dict[str, Node]:
    return {node.name.removeprefix("cabin."): node for node in graph.all(STATE)}


def changed(before: Graph, after: Graph) -> set[str]:
    """The roles whose inputs differ."""
    one, other = states(before), states(after)
    found = {name for name in one.keys() & other.keys() if one[name].inputs != other[name].inputs}
    return found | (one.keys() ^ other.keys())


def test_each_subsystem_is_one_resource(gateway: Graph) -> None:
    """CM5-272: at least one for each of the described steps."""
    found = states(gateway)
    assert set(found) == {
        "nvme",
        "data",
        "network",
        "firewall",
        "dhcp",
        "common",
        "go",
        "mdns",
        "docker",
        "tls",
        "container-adguard",
        "container-backend",
        "container-mosquitto",
        "container-nginx",
        "container-node-exporter",
        "container-traefik",
        "frontend",
        "compose",
        "service-monitor",
        "service-push-status",
        "log-rotation",
    }
    owner = gateway.one(GATEWAY, "cabin").urn
    assert {node.parent for node in found.values()} == {owner}
    assert all(node.get("role") == name and node.provider.endswith("::factory") for name, node in found.items())
    assert all(node.get("host.address") == "10.20.0.14" for node in found.values())


@pytest.mark.parametrize(
    ("role", "other"),
    [
        ("data", "nvme"),
        ("common", "data"),
        ("docker", "data"),
        ("dhcp", "network"),
        ("mdns", "network"),
        ("tls", "common"),
        ("container-traefik", "tls"),
        ("frontend", "docker"),
        ("compose", "frontend"),
        ("compose", "container-backend"),
        ("compose", "firewall"),
        ("service-monitor", "compose"),
        ("log-rotation", "nvme"),
    ],
)
def test_what_must_come_first_is_an_edge(role: str, other: str, gateway: Graph) -> None:
    """CM5-130 to CM5-139, CM5-273"""
    found = states(gateway)
    assert gateway.waits_for(found[role], found[other])
    assert not gateway.waits_for(found[other], found[role])


def test_subsystems_without_a_common_need_are_made_side_by_side(gateway: Graph) -> None:
    """CM5-140"""
    found = states(gateway)
    containers = [node for name, node in found.items() if name.startswith("container-")]
    assert not any(gateway.waits_for(one, other) for one in containers for other in containers)
    assert not gateway.waits_for(found["network"], found["nvme"])
    assert not gateway.waits_for(found["compose"], found["dhcp"])


def test_disk_and_authority_are_protected_where_it_is_asked_for(gateway: Graph) -> None:
    """CM5-261, CM5-275"""
    assert {name for name, node in states(gateway).items() if node.protect} == {"nvme", "data", "tls"}
    assert not any(node.protect for node in graph_of(gateway_args()).all(STATE))


def test_secrets_are_secret_and_nothing_else_is(gateway: Graph) -> None:
    """CM5-214"""
    found = states(gateway)
    secret = {
        (name, path)
        for name, node in found.items()
        for path, file in node.inputs["desired"].get("files", {}).items()
        if isinstance(file.get("content"), dict)
    }
    config = "/opt/data/config"
    assert secret == {
        ("container-adguard", f"{config}/adguard/users.yaml"),
        ("container-backend", f"{config}/backend/config.yaml"),
        ("container-backend", f"{config}/backend/secrets.env"),
        ("container-traefik", f"{config}/traefik/secrets.env"),
        ("service-push-status", "/etc/push.token"),
    }
    text = render(gateway) + str(gateway.exports)
    assert [value for value in SECRETS.values() if value in text] == []
    config_file = found["container-backend"].inputs["desired"]["files"][f"{config}/backend/config.yaml"]
    assert "gateway_token: secret-of-cloud" in config_file["content"]["secret"]


def test_a_missing_secret_stops_before_anything_is_registered() -> None:
    with pytest.raises(ValueError, match="gateway cabin: no value is given for camera_key, push_token"):
        graph_of(
            gateway_args(),
            secrets={key: value for key, value in SECRETS.items() if key not in {"camera_key", "push_token"}},
        )


def test_a_secret_that_no_file_can_hold_is_one_sentence_and_not_told() -> None:
    """The engine prints a `RunError` without a traceback; of any other error it prints all, with what it holds."""
    with pytest.raises(pulumi.RunError, match="the value of CAMERA_KEY holds a single quote") as refused:
        graph_of(gateway_args(), secrets={**SECRETS, "camera_key": "it's-a-canary"})
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_gateway_that_cannot_be_stops_before_anything_is_registered() -> None:
    with pytest.raises(GatewayError, match="both claim all:7070/tcp"):
        graph_of(gateway_args(containers={"mosquitto": {"listens": [{"port": 7070}]}}))


def test_the_public_name_of_the_device_is_the_plan_s(gateway: Graph) -> None:
    """CM5-62, CM5-132, CM5-171, CM5-207: found before anything is planned; what does not read it stays as it is."""
    own = graph_of(gateway_args(), found={"wan_domain": "Own.Example.Test", "lan.address": "10.20.0.14/24"})
    assert own.exports["wan_domain"] == "own.example.test"
    assert changed(gateway, own) == {"common", "container-traefik", "container-adguard", "compose"}
    routes = states(own)["container-traefik"].get("desired.files")["/opt/data/config/traefik/dynamic/gateway.yml"]
    assert "Host(`own.example.test`)" in routes["content"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"wan_domain": "no domain"}, "domain.txt says 'no domain', which is no domain name: correct the file"),
        ({"wan_domain": "cabin.local"}, "domain.txt says cabin.local, which is the name of mdns: correct the file"),
        ({"lan.address": "10.20.0.99/24"}, "has 10.20.0.99 and the arguments say 10.20.0.14"),
    ],
)
def test_a_device_that_does_not_fit_is_one_sentence(found: dict[str, str], said: str) -> None:
    """CM5-80, CM5-206, CM5-249"""
    with pytest.raises(pulumi.RunError, match="the home-automation gateway: ") as refused:
        graph_of(gateway_args(), found=found)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"containers": {"mosquitto": {"image": "eclipse-mosquitto:2.0.21"}}}, {"compose"}),
        ({"version": "2.2.0"}, {"compose", "frontend"}),
        ({"device_segment": {"dhcp_lease_time": "1h"}}, {"dhcp"}),
        ({"containers": {"mosquitto": None}}, {"compose", "firewall", "container-mosquitto"}),
    ],
)
def test_a_change_touches_the_smallest_number_of_resources(
    changes: dict[str, Any], expected: set[str], gateway: Graph
) -> None:
    """CM5-262, CM5-264, CM5-274"""
    assert changed(gateway, graph_of(gateway_args(**changes))) == expected


def test_a_rotated_secret_restarts_its_container(gateway: Graph) -> None:
    rotated = graph_of(gateway_args(), secrets=SECRETS | {"camera_key": "another"})
    assert changed(gateway, rotated) == {"container-backend", "compose"}
    assert gateway.exports["compose_hash"] != rotated.exports["compose_hash"]


def test_what_the_gateway_tells(gateway: Graph) -> None:
    """CM5-268, CM5-271, CM5-276"""
    told = gateway.exports
    assert set(told) == {
        "lan_address",
        "wan_domain",
        "gateway_id",
        "local_ca_certificate",
        "listeners",
        "compose_hash",
        "versions",
        "checks",
    }
    assert (told["lan_address"], told["wan_domain"]) == ("10.20.0.14", "home.example.test")
    assert told["gateway_id"] == "gw-02005e005301"
    assert told["local_ca_certificate"] == "PEM OF THE AUTHORITY\n"
    assert {"name": "backend", "address": "all", "port": 7070, "protocol": "tcp", "open_to": []} in told["listeners"]
    assert told["versions"]["backend"] == "registry.example.test/cabin/backend:2.1.0"
    assert {"CM5-224-segment-http", "CM5-237-P4-heartbeat"} <= {each["name"] for each in told["checks"]}


def test_the_authority_is_read_after_it_was_made(gateway: Graph) -> None:
    command = gateway.one(COMMAND)
    assert command.get("create") == "cat /opt/data/authority/ca.crt"
    assert gateway.waits_for(command, states(gateway)["tls"])


def test_the_classic_profile_is_a_smaller_graph() -> None:
    """CM5-06 to CM5-16"""
    graph = graph_of(classic())
    assert set(states(graph)) == {
        "firewall",
        "common",
        "docker",
        "container-backend",
        "container-nginx",
        "container-traefik",
        "compose",
        "log-rotation",
    }
    assert graph.all(COMMAND) == ()
    assert "local_ca_certificate" not in graph.exports
    assert COMPOSE_FILE in states(graph)["compose"].get("desired.files")


def test_type_tokens_are_public_names(gateway: Graph) -> None:
    """They stand in people's state: changing one needs an alias."""
    assert {node.type for node in gateway if not node.type.startswith("pulumi:")} == {GATEWAY, STATE, FACTS, COMMAND}


def test_the_device_is_asked_before_anything_is_planned(gateway: Graph) -> None:
    """CM5-254, CM5-263: every role waits for the facts, which are found out in a preview already."""
    facts = gateway.one(FACTS, "cabin.facts")
    assert facts.parent == gateway.one(GATEWAY, "cabin").urn
    assert facts.get("checks") == {
        name: check.model_dump(mode="json", exclude_defaults=True)
        for name, check in preconditions(Gateway.of(gateway_args())).items()
    }
    assert [name for name, node in states(gateway).items() if not gateway.waits_for(node, facts)] == []


def test_the_gateway_is_registered_last_and_with_its_own_identity() -> None:
    """CM5-193, CM5-195, CM5-197, CM5-269: what the hub knows is what the backend says of itself."""
    args = gateway_args(cloud={"registration": {}})
    secrets = {**SECRETS, "hub_admin_token": "secret-of-admin"}
    graph = graph_of(args, secrets=secrets)
    node = graph.one(REGISTRATION)
    config = states(graph)["container-backend"].get("desired.files")["/opt/data/config/backend/config.yaml"]
    block = yaml.safe_load(reveal(config["content"]))["cloud"]
    assert node.get("token") == block["gateway_token"] == "secret-of-cloud"
    for key in ("hub_url", "gateway_id", "machine_id", "eth0_mac", "eth1_mac"):
        assert node.get(key) == block[key]
    assert node.is_secret("token")
    assert node.is_secret("admin_token")
    assert graph.waits_for(node, states(graph)["compose"])
    assert [each for each in states(graph).values() if graph.waits_for(each, node)] == []
    assert graph_of(gateway_args()).all(REGISTRATION) == ()
    assert graph_of(gateway_args(cloud={"registration": {}, "enabled": False})).all(REGISTRATION) == ()


def test_an_authority_in_vault_leaves_no_key_on_the_device() -> None:
    """CM5-178, CM5-183, CM5-214, CM5-268, CM5-275: made and kept there, limited to its domain, renewed in time."""
    graph = graph_of(gateway_args(local_ca={"keeper": "vault", "renew_before_days": 40}), vault=True, protect=True)
    root = graph.one(f"{PKI}RootCert:SecretBackendRootCert")
    assert (root.get("type"), root.get("permittedDnsDomains"), root.get("commonName")) == (
        "internal",
        ["local"],
        "Cabin Local CA",
    )
    role = graph.one(f"{PKI}Role:SecretBackendRole")
    assert (role.get("allowedDomains"), role.get("allowSubdomains")) == (["cabin.local"], False)
    leaf = graph.one(f"{PKI}Cert:SecretBackendCert")
    assert (leaf.get("autoRenew"), leaf.get("minSecondsRemaining")) == (True, 40 * 86400)
    assert graph.waits_for(leaf, root)
    protected = {node.type for node in graph if node.protect} - {STATE}
    assert protected == {"vault:index/mount:Mount", root.type}
    tls = states(graph)["tls"]
    files = tls.get("desired.files")
    site = files["/opt/data/config/traefik/dynamic/site.pem"]
    assert (site["mode"], site["content"]) == ("0600", {"secret": "KEY OF THE NAME\nPEM OF THE NAME\n"})
    assert files["/opt/data/authority/ca.crt"]["content"] == "PEM OF VAULT'S AUTHORITY\n"
    assert graph.exports["local_ca_certificate"] == "PEM OF VAULT'S AUTHORITY\n"
    assert graph.all(COMMAND) == ()
    assert "steps" not in tls.get("desired")
    assert "units" not in tls.get("desired")
    assert "KEY OF THE NAME" not in render(graph)


@pytest.mark.parametrize("staging", [True, False])
def test_the_staging_authority_is_never_used_in_silence(staging: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """CM5-217"""
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, *_: said.append(message))
    graph_of(gateway_args(traefik={"acme": {"use_staging": staging}}))
    assert ["staging authority" in each for each in said] == ([True] if staging else [])
