"""What must always hold (section 7) and what nobody may do (section 8): one test for each, on whatever is rendered."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from components.cm5_gateway import CM5GatewayArgs, Facts, Gateway, GatewayError, formats
from components.cm5_gateway.checks import as_data, checklist, wan_checklist
from components.cm5_gateway.preconditions import preconditions
from components.cm5_gateway.render import roles
from tests.support.gateway import GATEWAY, SECRETS, gateway_args, merged

LAN, SEGMENT = "10.20.0.14", "10.0.1.1"
NGINX = "/opt/data/config/nginx/nginx.conf"
DNSMASQ = "/etc/dnsmasq.d/cabin.conf"
FIREWALL = "/etc/cabin/firewall.nft"
STATIC = "/opt/data/config/traefik/traefik.yml"
ADGUARD = "/opt/data/config/adguard/AdGuardHome.yaml"


@pytest.fixture(autouse=True)
def cheap_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks of secrets are meant to be expensive; here they only have to differ."""
    monkeypatch.setitem(formats._SCRYPT, "n", 2)


def texts(args: CM5GatewayArgs | None = None, facts: Facts | None = None) -> dict[str, str]:
    """Everything that is written to the device, by place; secrets are in their files."""
    found: dict[str, str] = {}
    for name, role in roles(Gateway.of(args or gateway_args(), facts)).items():
        document = role.desired.document()
        for kind, items in document.items():
            found |= {f"{name} {kind} {key}": json.dumps(item) for key, item in items.items() if kind != "files"}
        found |= {path: file.content or "" for path, file in role.desired.files.items()}
        for path, file in role.secret_files.items():
            found[path] = file.text({secret: SECRETS[secret] for secret in file.secrets})
    return found


def test_cm5_202_no_https_for_devices_and_no_content_for_plain_http_on_the_lan() -> None:
    found = texts()
    assert yaml.safe_load(found[STATIC])["entryPoints"] == {"websecure": {"address": f"{LAN}:443"}}
    servers = found[NGINX].split("server {")[1:]
    assert [re.findall(r"listen (\S+)", server) for server in servers] == [[f"{LAN}:80"], [f"{SEGMENT}:80"]]
    refused, served = servers
    assert "return 444;" in refused
    assert "location" not in refused
    assert "location" in served


def test_cm5_203_each_side_has_its_own_name_server() -> None:
    found = texts()
    assert yaml.safe_load(found[ADGUARD])["dns"]["bind_hosts"] == [LAN]
    assert {"interface=eth1", "except-interface=lo", "bind-dynamic"} <= set(found[DNSMASQ].splitlines())
    named = [each.where for each in Gateway.of(gateway_args()).listeners if each.port == 53]
    assert sorted(named) == [f"{SEGMENT}:53/tcp", f"{SEGMENT}:53/udp", f"{LAN}:53/tcp", f"{LAN}:53/udp"]


def test_cm5_204_one_name_three_meanings() -> None:
    found = texts()
    assert f"host-record=hub.example.test,{SEGMENT}" in found[DNSMASQ]
    rewrites = {each["domain"]: each["answer"] for each in yaml.safe_load(found[ADGUARD])["filtering"]["rewrites"]}
    assert rewrites["hub.example.test"] == LAN
    assert found["/etc/resolv.conf"] == "nameserver 9.9.9.9\nnameserver 149.112.112.112\n"


@pytest.mark.parametrize("how", ["the connection", "the description"])
def test_cm5_205_every_consumer_has_the_same_address(how: str) -> None:
    """Nothing keeps the old one: files, units, checks and preconditions."""
    other = "10.77.66.55"
    changed = {"connection": {"address": other}} if how == "the connection" else {"lan": {"address": other}}
    args = gateway_args(**changed)
    gateway = Gateway.of(args)
    found = texts(args)
    for place in (
        STATIC,
        NGINX,
        ADGUARD,
        "mdns units avahi-publish-cabin.service",
        "network steps lan-has-its-address",
    ):
        assert other in found[place], place
    asked = json.dumps(as_data({**checklist(gateway), **wan_checklist(gateway), **preconditions(gateway)}))
    assert other in asked
    assert LAN not in asked + json.dumps(found)


def test_cm5_206_another_live_address_stops_before_anything() -> None:
    with pytest.raises(GatewayError, match=r"the LAN interface has 10\.20\.0\.99 and the arguments say 10\.20\.0\.14"):
        Gateway.of(gateway_args(), Facts(lan_address="10.20.0.99"))
    check = preconditions(Gateway.of(gateway_args()))["lan.address"]
    assert check.command is not None
    assert check.command[-3:] == ("eth0", LAN, "10.0.1.0/24")


def test_cm5_207_the_devices_file_wins_everywhere() -> None:
    found = texts(facts=Facts(domain="own.example.test"))
    for place in ("/opt/data/config/traefik/dynamic/gateway.yml", ADGUARD):
        assert "own.example.test" in found[place]
        assert "home.example.test" not in found[place]


def test_cm5_208_a_mixed_set_is_refused_unless_it_is_meant() -> None:
    mixed = {"frontend": {"image": "registry.example.test/cabin/frontend:2.0.9"}}
    with pytest.raises(ValidationError, match=r"frontend has the tag 2\.0\.9 and backend has \{version\}"):
        gateway_args(**mixed)
    meant = merged(GATEWAY, mixed)
    meant["frontend"]["container"] = None
    assert CM5GatewayArgs.model_validate(meant).frontend is not None


def test_cm5_209_the_segment_has_no_way_out_and_none_in() -> None:
    found = texts()
    lines = found[DNSMASQ].splitlines()
    assert "dhcp-option=option:router" in lines
    assert [line for line in lines if line.startswith("interface=")] == ["interface=eth1"]
    segment = found["/etc/systemd/network/20-eth1.network"]
    assert not re.search(r"Gateway|DNS=|DHCP=(yes|ipv4)", segment)
    rules = found[FIREWALL]
    assert 'iifname "eth1" drop' in rules
    assert 'oifname "eth1" drop' in rules
    # Devices reach what is opened to them, and the last word is a refusal.
    chain = rules.split("chain segment {")[1].split("}\n\n")[0]
    assert re.findall(r"tcp dport \{ ([^}]*) \}", chain) == ["53, 80, 1883"]
    assert chain.split("\n  }")[0].rstrip().endswith("drop")


def test_cm5_210_the_lan_uses_https() -> None:
    assert f"listen {LAN}:80 default_server;\n        return 444;" in texts()[NGINX]
    assert "CM5-226-lan-http-closed" in checklist(Gateway.of(gateway_args()))


@pytest.mark.parametrize("url", ["http://hub.example.test", "hub.example.test", "https://hub.example.test/?x=1", ""])
def test_cm5_211_the_channel_is_https_with_a_token(url: str) -> None:
    with pytest.raises(ValidationError, match=r"cloud\.hub_url"):
        gateway_args(cloud={"hub_url": url})
    block = yaml.safe_load(texts()["/opt/data/config/backend/config.yaml"])["cloud"]
    assert block["hub_url"].startswith("https://")
    assert block["gateway_token"] == SECRETS["cloud_gateway_token"]


def test_cm5_212_a_heartbeat_without_a_token_must_be_refused() -> None:
    check = wan_checklist(Gateway.of(gateway_args()))["CM5-237-P4-heartbeat"]
    assert check.command is not None
    assert check.command[4] == "401"
    assert not any("Authorization" in word for word in check.command)
    assert "CM5-241" in check.likely_cause


def test_cm5_214_secrets_stand_in_private_files_alone() -> None:
    found = roles(Gateway.of(gateway_args()))
    private = {path for role in found.values() for path, file in role.secret_files.items() if not file.public}
    told = {path for path, text in texts().items() if any(value in text for value in SECRETS.values())}
    assert told == private
    modes = {role.desired.files[path].mode for role in found.values() for path in role.secret_files if path in private}
    assert modes == {"0600"}
    assert "umask 077" in formats.script("templates/local-ca.sh")
    asked = json.dumps(as_data(preconditions(Gateway.of(gateway_args()))))
    assert not any(value in asked for value in SECRETS.values())


def test_cm5_215_what_nobody_needs_is_closed_on_both_sides() -> None:
    rules = texts()[FIREWALL]
    # 7070 listens everywhere for nobody; 1883 for devices; 9101 and 9091 on loopback need no rule.
    assert "tcp dport { 1883, 7070 } drop" in rules
    assert "9101" not in rules
    opened = gateway_args(containers={"backend": {"listens": [{"port": 7070, "open_to": ["lan"]}]}})
    assert "tcp dport { 1883 } drop" in texts(opened)[FIREWALL]
    both: dict[str, Any] = {"listens": [{"port": 7070, "open_to": ["lan", "segment"]}]}
    assert "53, 80, 1883, 7070" in texts(gateway_args(containers={"backend": both}))[FIREWALL]


def test_cm5_216_the_pages_of_the_name_server_need_a_login() -> None:
    found = texts()
    assert yaml.safe_load(found["/opt/data/config/adguard/users.yaml"]) == {
        "users": [{"name": "admin", "password": SECRETS["adguard_password_hash"]}]
    }
    assert "adguard_password_hash" in gateway_args().secrets
    assert checklist(Gateway.of(gateway_args()))["CM5-216-login"].status == 401
