"""The roles of a gateway: what waits for what, what a change touches, and what never may be (sections 5.3, 7, 8)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from components.cm5_gateway import CM5GatewayArgs, Facts, Gateway, formats
from components.cm5_gateway.formats import env_file, filled, secret_digest
from components.cm5_gateway.render import roles
from components.cm5_gateway.role import Role
from components.host.claims import conflicts
from tests.support.gateway import SECRETS, classic, gateway_args

GATEWAY = Gateway.of(gateway_args())
COMPOSE_FILE = "/opt/data/docker-compose.yml"


@pytest.fixture(autouse=True)
def cheap_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks of secrets are meant to be expensive; here they only have to differ."""
    monkeypatch.setitem(formats._SCRYPT, "n", 2)


def planned(args: CM5GatewayArgs, facts: Facts | None = None) -> dict[str, Role]:
    return roles(Gateway.of(args, facts))


def waits(found: dict[str, Role], role: str) -> set[str]:
    """Every role that one waits for, also through others."""
    direct = set(found[role].after)
    return direct | {far for near in direct for far in waits(found, near)}


def written(found: dict[str, Role], secrets: dict[str, str] = SECRETS) -> dict[str, Any]:
    """What each role says, with its secrets: two of these are compared."""
    return {
        name: (
            role.desired.document(),
            {path: file.text({key: secrets[key] for key in file.secrets}) for path, file in role.secret_files.items()},
        )
        for name, role in found.items()
    }


def touched(before: dict[str, Role], after: dict[str, Role], secrets: dict[str, str] = SECRETS) -> set[str]:
    one, other = written(before), written(after, secrets)
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def services(found: dict[str, Role]) -> dict[str, Any]:
    role = found["compose"]
    text = role.desired.files[COMPOSE_FILE].content or role.secret_files[COMPOSE_FILE].text(SECRETS)
    loaded: dict[str, Any] = yaml.safe_load(text)["services"]
    return loaded


@pytest.mark.parametrize(
    ("role", "others"),
    [
        # CM5-130: the disk before everything that writes to it.
        ("data", {"nvme"}),
        ("common", {"nvme", "data"}),
        ("docker", {"nvme", "data"}),
        ("tls", {"nvme", "data", "common"}),
        # CM5-131
        ("dhcp", {"network"}),
        # CM5-132, CM5-133, CM5-141
        ("container-traefik", {"common", "tls"}),
        ("container-adguard", {"common"}),
        ("mdns", {"common", "network"}),
        # CM5-134, CM5-137, CM5-139
        ("frontend", {"docker", "common"}),
        ("go", {"common"}),
        # CM5-135
        ("compose", {"docker", "frontend", "firewall", "network", "container-backend", "container-nginx", "tls"}),
        # CM5-138
        ("service-monitor", {"compose"}),
        ("service-push-status", {"compose"}),
        ("log-rotation", {"compose"}),
    ],
)
def test_what_must_come_first_comes_first(role: str, others: set[str]) -> None:
    assert others <= waits(roles(GATEWAY), role)


def test_what_has_nothing_to_do_with_each_other_does_not_wait() -> None:
    """CM5-140: edges and not a chain."""
    found = roles(GATEWAY)
    containers = {name for name in found if name.startswith("container-")}
    assert all(not waits(found, name) & containers for name in containers)
    assert waits(found, "network") == waits(found, "nvme") == set()
    assert "dhcp" not in waits(found, "compose")


@pytest.mark.parametrize("args", [gateway_args(), classic()], ids=["gateway", "classic"])
def test_each_role_is_declared_before_those_that_wait_for_it(args: CM5GatewayArgs) -> None:
    found, seen = planned(args), set[str]()
    for name, role in found.items():
        assert set(role.after) <= seen, name
        seen.add(name)


@pytest.mark.parametrize("args", [gateway_args(), classic()], ids=["gateway", "classic"])
def test_no_two_roles_claim_one_thing(args: CM5GatewayArgs) -> None:
    documents = {name: role.desired.document() for name, role in planned(args).items()}
    clashes = {
        (one, other): found
        for one in documents
        for other in documents
        if one < other and (found := conflicts(documents[one], documents[other]))
    }
    assert clashes == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # CM5-272, CM5-274: a container's version is the compose file's affair alone.
        ({"containers": {"mosquitto": {"image": "eclipse-mosquitto:2.0.21"}}}, {"compose"}),
        ({"nginx": {"image": "nginx:1.27.4"}}, {"compose"}),
        # CM5-262: never the disk, the network or DHCP.
        ({"version": "2.2.0"}, {"compose", "frontend"}),
        (
            {"containers": {"mosquitto": {"files": {"mosquitto.conf": {"content": "listener 1884\n"}}}}},
            {"container-mosquitto", "compose"},
        ),
        ({"nginx": {"proxies": {"/mcp/": 8083}}}, {"container-nginx", "compose"}),
        ({"device_segment": {"dhcp_lease_time": "1h"}}, {"dhcp"}),
        ({"log_rotation": {"keep": 7}}, {"log-rotation"}),
        ({"services": {"monitor": {"listens": [{"port": 9091}]}}}, {"firewall"}),
        ({"local_ca": {"renew_before_days": 60}}, {"tls"}),
        ({"docker": {"log_max_files": 5}}, {"docker"}),
        # Also the part of a secret file that is no secret.
        ({"cloud": {"poll_interval_seconds": 10}}, {"container-backend", "compose"}),
        # CM5-206: one address, every consumer of it together.
        (
            {"connection": {"address": "10.20.0.15"}},
            {"network", "mdns", "container-nginx", "container-traefik", "container-adguard", "compose"},
        ),
    ],
    ids=lambda value: json.dumps(value)[:70] if isinstance(value, dict) else None,
)
def test_a_change_touches_only_its_subsystem(changes: dict[str, Any], expected: set[str]) -> None:
    found = touched(roles(GATEWAY), planned(gateway_args(**changes)))
    assert found == expected


def test_another_public_name_reaches_all_that_use_it() -> None:
    """CM5-132, CM5-177, CM5-265"""
    found = touched(roles(GATEWAY), planned(gateway_args(), Facts(domain="new.example.test")))
    assert found == {"common", "container-traefik", "container-adguard", "compose"}


def test_a_rotated_secret_restarts_the_container_that_reads_it_and_no_other() -> None:
    before = roles(GATEWAY)
    rotated = SECRETS | {"camera_key": "another"}
    assert touched(before, before, rotated) == {"container-backend", "compose"}
    file = before["compose"].secret_files[COMPOSE_FILE]
    old, new = (yaml.safe_load(file.text(values))["services"] for values in (SECRETS, rotated))
    assert [name for name in old if old[name] != new[name]] == ["backend"]


def test_the_mark_of_a_secret_tells_nothing() -> None:
    assert secret_digest("cabin/x", "a") != secret_digest("cabin/y", "a")
    assert secret_digest("cabin/x", "a") == secret_digest("cabin/x", "a")
    assert len(secret_digest("cabin/x", "a" * 100)) == 16


def test_every_secret_file_holds_its_secrets() -> None:
    """The texts exist before anything is sent, and no other file tells a secret (CM5-214)."""
    told = set()
    for role in roles(GATEWAY).values():
        for path, file in role.secret_files.items():
            text = file.text({name: SECRETS[name] for name in file.secrets})
            held = {name for name, value in SECRETS.items() if value in text}
            assert held == (set() if file.public else set(file.secrets)), path
            told |= held
            if not file.public:
                assert role.desired.files[path].mode == "0600"
        plain = str(role.desired.document())
        assert [value for value in SECRETS.values() if value in plain] == []
    assert told == set(SECRETS)


def test_a_secret_that_a_file_cannot_hold_is_refused_and_not_told() -> None:
    for value in ("it's", "two\nlines", "to the end\\"):
        with pytest.raises(ValueError, match="the value of KEY holds a single quote or a line break, or") as refused:
            env_file({"KEY": value})
        assert value not in str(refused.value)


def test_secrets_are_put_into_their_places_only() -> None:
    content = {"a": {"b": 1, "kept": 2}, "c": 3}
    assert filled(content, {"a.b": "one", "d.e": "two"}, {"one": "x", "two": "y"}) == {
        "a": {"b": "x", "kept": 2},
        "c": 3,
        "d": {"e": "y"},
    }
    assert content == {"a": {"b": 1, "kept": 2}, "c": 3}


def test_all_containers_share_the_hosts_network_and_carry_the_products_name() -> None:
    """CM5-185, CM5-186, CM5-188: the frontend and the monitor are none."""
    found = services(roles(GATEWAY))
    assert set(found) == {"adguard", "backend", "mosquitto", "nginx", "node-exporter", "traefik"}
    for name, service in found.items():
        assert (service["network_mode"], service["container_name"]) == ("host", f"cabin-{name}")
        assert "ports" not in service


def test_the_product_has_exactly_its_containers() -> None:
    """CM5-185: twelve, of which the component itself describes three."""
    names = [
        "mosquitto",
        "redis",
        "backend",
        "mcp",
        "control-plane",
        "prometheus",
        "alertmanager",
        "node-exporter",
        "assistant",
    ]
    containers = {name: {"image": f"{name}:{{version}}"} for name in names if name not in gateway_args().containers}
    found = services(planned(gateway_args(containers=containers)))
    assert len(found) == 12
    assert found["redis"]["image"] == "redis:2.1.0"


def test_https_is_bound_to_the_lan_and_plain_http_to_the_segment() -> None:
    """CM5-13, CM5-84, CM5-202; in the classic profile both are everywhere (CM5-12)."""
    found = roles(GATEWAY)
    static = yaml.safe_load(
        str(found["container-traefik"].desired.files["/opt/data/config/traefik/traefik.yml"].content)
    )
    assert static["entryPoints"] == {"websecure": {"address": "10.20.0.14:443"}}
    old = planned(classic())
    static = yaml.safe_load(str(old["container-traefik"].desired.files["/opt/data/config/traefik/traefik.yml"].content))
    assert static["entryPoints"] == {"websecure": {"address": ":443"}}


def test_the_classic_profile_has_none_of_the_gateways_roles() -> None:
    """CM5-06 to CM5-16"""
    found = planned(classic())
    assert set(found) == {
        "firewall",
        "common",
        "docker",
        "container-backend",
        "container-nginx",
        "container-traefik",
        "compose",
        "log-rotation",
    }
    assert "data-is-mounted" not in found["docker"].desired.units["docker.service"].drop_ins


def test_without_bind_mounts_the_data_stays_where_it_is() -> None:
    """CM5-146"""
    found = planned(gateway_args(storage={"bind_mounts": False}))
    assert "data" not in found
    assert found["common"].after == ("nvme",)
    assert found["docker"].desired.units["docker.service"].drop_ins == {}


def test_a_name_has_one_meaning_for_each_side() -> None:
    """CM5-163, CM5-175, CM5-177, CM5-204: devices get the segment's address, the LAN gets its own."""
    found = roles(GATEWAY)
    segment = str(found["dhcp"].desired.files["/etc/dnsmasq.d/cabin.conf"].content)
    assert "host-record=hub.example.test,10.0.1.1" in segment
    lan = yaml.safe_load(
        str(found["container-adguard"].desired.files["/opt/data/config/adguard/AdGuardHome.yaml"].content)
    )
    assert {each["domain"]: each["answer"] for each in lan["filtering"]["rewrites"]} == {
        "hub.example.test": "10.20.0.14",
        "cabin.local": "10.20.0.14",
        "home.example.test": "10.20.0.14",
    }
    assert (
        found["network"].desired.files["/etc/resolv.conf"].content == "nameserver 9.9.9.9\nnameserver 149.112.112.112\n"
    )


@pytest.mark.parametrize("challenge", ["dns-01", "tls-alpn-01"])
def test_a_certificate_is_asked_for_what_can_be_proven(challenge: str) -> None:
    """CM5-179, CM5-182: the hub's name leads elsewhere in the public DNS, so only a DNS record proves it."""
    own = {} if challenge == "dns-01" else {"dns_provider": None, "dns_credentials": None}
    found = planned(gateway_args(traefik={"acme": {"challenge": challenge, "use_staging": True, **own}}))
    files = found["container-traefik"].desired.files
    routes = yaml.safe_load(str(files["/opt/data/config/traefik/dynamic/gateway.yml"].content))
    sans = {"sans": ["hub.example.test"]} if challenge == "dns-01" else {}
    assert routes["http"]["routers"]["public"]["tls"]["domains"] == [{"main": "home.example.test", **sans}]
    acme = yaml.safe_load(str(files["/opt/data/config/traefik/traefik.yml"].content))["certificatesResolvers"][
        "letsencrypt"
    ]["acme"]
    assert "staging" in acme["caServer"]
    assert ("tlsChallenge" in acme) is (challenge == "tls-alpn-01")
    assert "httpChallenge" not in acme


def test_a_channel_that_is_off_needs_no_token() -> None:
    args = gateway_args(cloud={"enabled": False})
    files = planned(args)["container-backend"].desired.files
    assert yaml.safe_load(str(files["/opt/data/config/backend/config.yaml"].content))["cloud"] == {"enabled": False}
    assert "cloud_gateway_token" not in args.secrets


def test_what_is_not_there_stops_the_run_with_cause_and_action() -> None:
    """CM5-254: the failures that can be seen before anything is changed."""
    said = [
        step.run[-1]
        for role in roles(GATEWAY).values()
        for step in role.desired.steps.values()
        if step.run[:3] == ("sh", "-c", 'echo "$1" >&2; exit 1')
    ]
    for part in ("CM5-243", "CM5-244", "CM5-250", "CM5-249", "CM5-149", "CM5-206"):
        assert any(part in each for each in said), part
    assert all(": " in each for each in said)


def test_changes_that_could_lock_out_are_confirmed() -> None:
    """CM5-142"""
    found = roles(GATEWAY)
    for name in ("network", "firewall"):
        confirm = found[name].desired.confirm
        assert confirm is not None
        paths = {f"files:{path}" for path in found[name].desired.files}
        assert paths <= set(confirm.items)
    assert [name for name, role in found.items() if role.desired.confirm] == ["network", "firewall"]


def test_disk_data_and_authority_are_protected() -> None:
    """CM5-261, CM5-275"""
    assert [name for name, role in roles(GATEWAY).items() if role.protect] == ["nvme", "data", "tls"]
