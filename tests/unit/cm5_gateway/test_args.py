"""What a gateway's description may not say; every rule of section 3.4 refuses by name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components.cm5_gateway import CM5GatewayArgs, Facts, Gateway, GatewayError
from tests.support.gateway import CLASSIC, GATEWAY, classic, gateway_args, merged

MAC = "02:00:5e:00:53:99"
DEVICE = {"mac": MAC, "address": "10.0.1.20", "name": "pump"}


def refusal(**changes: Any) -> str:
    """What is said about a description."""
    with pytest.raises(ValidationError) as refused:
        gateway_args(**changes)
    return str(refused.value)


@pytest.mark.parametrize("path", ["/opt/a b", "/opt/a\nExecStart=/x", "/opt/%h", "/opt/$HOME", '/opt/"a"', "/opt/é"])
def test_a_directory_that_units_and_shells_would_misread_is_refused(path: str) -> None:
    """CM5-254: it would end a line, a word or a quotation of what is made of it."""
    for key in ("data_dir", "config_dir", "install_dir", "domain_file"):
        assert f"{key}\n" in refusal(**{key: path})
    assert "storage.mount\n" in refusal(storage={"mount": path})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        # CM5-76: a missing or empty hardware address is named.
        ({"lan": {"mac": None}}, "lan.mac\n  Field required"),
        ({"lan": {"mac": ""}}, "lan.mac\n"),
        ({"device_segment": {"mac": None}}, "device_segment.mac\n  Field required"),
        # CM5-77
        ({"lan": {"mac": "02-00-5e-00-53-01"}}, "lan.mac\n"),
        ({"lan": {"mac": "01:00:5e:00:53:01"}}, "is the address of no network interface"),
        ({"lan": {"mac": "00:00:00:00:00:00"}}, "is the address of no network interface"),
        ({"device_segment": {"mac": "02:00:5E:00:53:01"}}, "device_segment.mac and lan.mac are both 02:00:5e:00:53:01"),
        # CM5-78
        ({"device_segment": {"dhcp_range_start": "10.0.1.201"}}, "comes after dhcp_range_end 10.0.1.200"),
        ({"device_segment": {"dhcp_range_end": "10.0.2.5"}}, "the range's end 10.0.2.5 is not in 10.0.1.0/24"),
        ({"device_segment": {"address": "10.0.1.150"}}, "the range 10.0.1.100-10.0.1.200 holds 10.0.1.150"),
        ({"device_segment": {"dhcp_range_end": "10.0.1.255"}}, "holds 10.0.1.255"),
        ({"device_segment": {"dhcp_range_start": "10.0.1.0"}}, "holds 10.0.1.0"),
        ({"device_segment": {"address": "10.0.1.255"}}, "is the network's or the broadcast's"),
        ({"device_segment": {"prefix": 33}}, "device_segment.prefix"),
        # CM5-79
        ({"device_segment": {"reservations": [{"mac": MAC, "address": "10.0.1.20"}]}}, "reservations.0.name\n"),
        ({"device_segment": {"reservations": [DEVICE | {"address": "10.9.1.20"}]}}, "pump has 10.9.1.20, which is not"),
        ({"device_segment": {"reservations": [DEVICE | {"address": "10.0.1.1"}]}}, "the gateway's own address"),
        ({"device_segment": {"reservations": [DEVICE | {"address": "10.0.1.255"}]}}, "which is no host's address"),
        ({"device_segment": {"reservations": [DEVICE, DEVICE | {"mac": "02:00:5e:00:53:98"}]}}, "the name pump twice"),
        ({"device_segment": {"reservations": [DEVICE, DEVICE | {"name": "fan"}]}}, f"the mac {MAC} twice"),
        # CM5-80
        ({"lan": {"address": "10.0.1.77"}}, "the LAN address 10.0.1.77 lies in the segment 10.0.1.0/24"),
        # CM5-81
        ({"device_segment": {"dhcp_lease_time": "12 hours"}}, "dhcp_lease_time"),
        ({"device_segment": {"dhcp_lease_time": "0h"}}, "dhcp_lease_time"),
        # CM5-83
        ({"wan_domain_default": "essential.acme.com"}, "wan_domain_default is a placeholder (essential.acme.com)"),
        ({"traefik": {"acme": {"email": "admin@example.com"}}}, "traefik.acme.email is a placeholder (example.com)"),
        ({"traefik": {"acme": {"email": "no-mail"}}}, "traefik.acme.email\n"),
        # CM5-33, CM5-198, CM5-205
        ({"connection": {"address": "gateway.example.test"}}, "is a name: give lan.address"),
        ({"lan": {"resolvers": ["10.20.0.14"]}}, "lan.resolvers has the gateway's own address 10.20.0.14"),
        ({"lan": {"resolvers": ["10.0.1.1"]}}, "lan.resolvers has the gateway's own address 10.0.1.1"),
        ({"lan": {"address": "127.0.0.1"}}, "is the address of no interface on a network"),
        ({"lan": {"address": "10.20.0.300"}}, "is not an IPv4 address"),
        ({"lan": {"interface": "eth1"}}, "device_segment.interface and lan.interface are both eth1"),
        # CM5-182: the only challenge that needs port 80 cannot be written.
        ({"traefik": {"acme": {"challenge": "http-01"}}}, "traefik.acme.challenge"),
        ({"traefik": {"acme": {"dns_provider": None}}}, "dns-01 needs one"),
        # CM5-192, CM5-197
        ({"cloud": {"hub_url": "http://hub.example.test"}}, "cloud.hub_url"),
        ({"cloud": {"eth0_mac": MAC}}, f"cloud.eth0_mac is {MAC} and lan.mac is 02:00:5e:00:53:01"),
        ({"cloud": {"eth1_mac": MAC}}, f"cloud.eth1_mac is {MAC} and device_segment.mac"),
        ({"device_segment": None, "cloud": {"registration": {}}}, "cloud.registration needs device_segment"),
        ({"cloud": {"container": "mosquitto"}}, "which must be a map in YAML"),
        ({"cloud": {"container": "nobody"}}, "containers.nobody.files.config.yaml"),
        # CM5-208
        ({"frontend": {"image": "registry.example.test/cabin/frontend:2.0.9"}}, "frontend has the tag 2.0.9"),
        ({"frontend": {"container": "nobody"}}, "frontend.container names 'nobody'"),
        # Names, places and files.
        ({"connection": {"user": None}}, "local_ca needs connection.user"),
        ({"mdns": None}, "local_ca certifies the name of mdns"),
        ({"mdns": {"hostname": "home", "domain": "example.test"}}, "mdns and wan_domain_default are both"),
        ({"containers": {"nginx": {"image": "nginx:1"}}}, "containers.nginx has a section of its own"),
        ({"containers": {"config": {"image": "nginx:1"}}}, "containers.config would share its directory"),
        ({"containers": {"x": {"image": "no-tag"}}}, "containers.x.image"),
        ({"nginx": {"proxies": {"/": 7070}}}, "nginx.proxies has '/'"),
        ({"storage": {"device": "/dev/nvme0n1p1"}}, "is a partition: give the whole disk"),
        ({"storage": {"label": "longer-than-sixteen"}}, "storage.label"),
        ({"local_ca": {"certificate_days": 900}}, "local_ca.certificate_days"),
        ({"local_ca": {"certificate_days": 20}}, "renew_before_days 30 < certificate_days 20"),
        ({"services": {"monitor": {"secrets": {"/etc/x": "x"}}}}, "secrets names '/etc/x'"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else None,
)
def test_a_mistake_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(**changes)


def test_an_authority_in_vault_is_read_from_there() -> None:
    """What the device's own needs of the connection, Vault's does not."""
    args = gateway_args(local_ca={"keeper": "vault"}, connection={"user": None})
    assert args.connection is not None
    assert "local_ca.keeper" in refusal(local_ca={"keeper": "laptop"})


def test_all_mistakes_of_a_part_are_told_at_once() -> None:
    said = refusal(wan_domain_default="x.acme.com", lan={"resolvers": ["10.0.1.1"]}, mdns=None)
    assert all(part in said for part in ("placeholder", "lan.resolvers", "local_ca certifies"))


@pytest.mark.parametrize(
    ("content", "secrets", "said"),
    [
        ({"a": 1}, {}, "content of a text file is dict"),
        ("a: 1", {"a": "x"}, "secrets are put into keys of a map"),
    ],
)
def test_a_configuration_file_has_the_form_it_says(content: Any, secrets: dict[str, str], said: str) -> None:
    file = {"mount": "/etc/x", "content": content, "secrets": secrets}
    assert said in refusal(containers={"x": {"image": "x:1", "files": {"x.conf": file}}})


def test_staging_certificates_admit_a_placeholder() -> None:
    args = gateway_args(wan_domain_default="cabin.acme.com", traefik={"acme": {"use_staging": True}})
    assert args.wan_domain_default == "cabin.acme.com"


def test_the_documented_defaults() -> None:
    """Sections 3.1 to 3.3, for what is no value of a site."""
    args = CM5GatewayArgs.model_validate(merged(GATEWAY, {"device_segment": {"reservations": None}}))
    segment = args.device_segment
    assert segment is not None
    assert (segment.address, segment.prefix) == ("10.0.1.1", 24)
    assert (segment.dhcp_range_start, segment.dhcp_range_end) == ("10.0.1.100", "10.0.1.200")
    assert (segment.dhcp_lease_time, segment.upstream_dns, segment.reservations) == ("12h", "9.9.9.9", ())
    assert (args.lan.interface, segment.interface) == ("eth0", "eth1")
    assert args.storage is not None
    assert (args.storage.device, args.storage.mount, args.storage.bind_mounts) == ("/dev/nvme0n1", "/mnt/nvme", True)
    assert args.cloud is not None
    assert (args.cloud.poll_interval_seconds, args.cloud.client_id, args.cloud.enabled) == (5, "default", True)
    assert (args.cloud.scheduled_sync_enabled, args.cloud.scenarios_sync_enabled) == (True, True)
    assert (args.data_dir, args.traefik.resolver, args.adguard and args.adguard.ui_port) == (
        "/opt/data",
        "letsencrypt",
        3000,
    )
    assert args.go is not None
    assert args.go.version == "1.23.4"
    gateway = Gateway.of(args)
    assert gateway.config_dir == "/opt/data/config"
    assert gateway.compose_file == "/opt/data/docker-compose.yml"
    assert gateway.label == "cabin-data"
    assert gateway.install_dir == "/opt/cabin"
    assert gateway.domain_file == "/home/cabin/domain.txt"


def test_site_values_have_no_default() -> None:
    for key in ("product", "version", "lan", "wan_domain_default", "nginx", "traefik"):
        with pytest.raises(ValidationError, match=f"{key}\n  Field required"):
            CM5GatewayArgs.model_validate({name: value for name, value in CLASSIC.items() if name != key})


def test_the_lan_address_is_the_connections_unless_it_is_given() -> None:
    """CM5-33, CM5-102: one value, known before anything runs."""
    assert Gateway.of(gateway_args()).lan_address == "10.20.0.14"
    assert Gateway.of(gateway_args(lan={"address": "10.20.0.15"})).lan_address == "10.20.0.15"
    found = Facts(lan_address="10.20.0.16")
    args = gateway_args(connection={"address": "gateway.example.test"}, lan={"address": "10.20.0.16"})
    assert Gateway.of(args, found).lan_address == "10.20.0.16"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (Facts(lan_address="10.20.0.99"), "has 10.20.0.99 and the arguments say 10.20.0.14"),
        (Facts(lan_address="10.20.0.14", lan_prefix=8), "the LAN 10.0.0.0/8 and the segment 10.0.1.0/24 overlap"),
        (Facts(domain="not a domain"), "'not a domain', which is no domain name"),
        (Facts(domain="cabin.local"), "which is the name of mdns"),
        (Facts(domain="essential.acme.com"), "says essential.acme.com, a placeholder"),
    ],
)
def test_facts_that_do_not_fit_are_refused(facts: Facts, said: str) -> None:
    with pytest.raises(GatewayError) as refused:
        Gateway.of(gateway_args(), facts)
    assert said in str(refused.value)


def test_without_connection_or_address_there_is_no_gateway() -> None:
    with pytest.raises(GatewayError, match="connection is not given"):
        Gateway.of(classic(connection=None))


@pytest.mark.parametrize(
    ("content", "domain"),
    [
        (None, "home.example.test"),
        ("", "home.example.test"),
        (" \n", "home.example.test"),
        ("  Cabin.Example.Test\n", "cabin.example.test"),
    ],
)
def test_the_domain_file_wins(content: str | None, domain: str) -> None:
    """CM5-62, CM5-171, CM5-207."""
    assert Gateway.of(gateway_args(), Facts(domain=content)).wan_domain == domain


def test_the_identity_comes_from_the_hardware_address() -> None:
    """CM5-75: lower case, no separators."""
    args = gateway_args(lan={"mac": "02:00:5E:AB:CD:EF"})
    assert Gateway.of(args).gateway_id == "gw-02005eabcdef"
    assert Gateway.of(gateway_args(cloud={"gateway_id": "gw-own"})).gateway_id == "gw-own"


@pytest.mark.parametrize(
    ("listens", "said"),
    [
        ([{"port": 443}], "traefik and thief both claim 10.20.0.14:443/tcp"),
        ([{"port": 80, "address": "segment"}], "nginx and thief both claim 10.0.1.1:80/tcp"),
        ([{"port": 53, "protocol": "udp"}], "dnsmasq and thief both claim 10.0.1.1:53/udp"),
        ([{"port": 7070, "address": "loopback"}], "backend and thief both claim all:7070/tcp"),
        ([{"port": 9091}], "monitor and thief both claim 127.0.0.1:9091/tcp"),
    ],
)
def test_no_place_is_claimed_twice(listens: list[dict[str, Any]], said: str) -> None:
    """CM5-98"""
    with pytest.raises(GatewayError) as refused:
        Gateway.of(gateway_args(containers={"thief": {"image": "thief:1", "listens": listens}}))
    assert said.split(" both ")[1] in str(refused.value)


def test_one_port_on_two_sides_is_no_conflict() -> None:
    """CM5-203: a name server for each side, and one port with two protocols."""
    places = {
        (each.address, each.protocol): each.name for each in Gateway.of(gateway_args()).listeners if each.port == 53
    }
    assert places == {
        ("10.0.1.1", "tcp"): "dnsmasq",
        ("10.0.1.1", "udp"): "dnsmasq",
        ("10.20.0.14", "tcp"): "adguard",
        ("10.20.0.14", "udp"): "adguard",
    }


def test_the_secrets_are_those_of_its_parts() -> None:
    assert gateway_args().secrets == {
        "adguard_password_hash",
        "camera_key",
        "cloud_gateway_token",
        "ovh_consumer_key",
        "push_token",
    }
    assert gateway_args(cloud={"registration": {}}).secrets >= {"hub_admin_token"}
    assert gateway_args(cloud={"enabled": False}, connection={"sudo": "password"}).secrets >= {"sudo_password"}
    assert classic().secrets == frozenset()
