"""The file for Traefik's file provider: every option in its place, TCP and UDP, several machines."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from components.traefik_gateway import Container, TransformArgs, parse
from components.traefik_gateway.render_file import Machine, configuration, document, to_yaml
from components.traefik_gateway.schema import OPTIONS, Kind, Option, Origin
from tests.support.labels import MIDDLEWARES, ROUTERS, SERVICES, application, container, example

FILTER = TransformArgs(mode="filter", strict_seed_filter=True)
DATABASE = {
    "traefik.tcp.routers.db.rule": "HostSNI(`db.example.test`)",
    "traefik.tcp.routers.db.entrypoints": "postgres",
    "traefik.tcp.routers.db.tls": "true",
    "traefik.tcp.routers.db.tls.certresolver": "default",
    "traefik.tcp.services.db.loadbalancer.server.port": "5432",
    "traefik.udp.routers.dns.entrypoints": "dns",
    "traefik.udp.services.dns.loadbalancer.server.port": "53",
}
TEXTS = {
    Kind.STRING: "x", Kind.BOOL: "true", Kind.INT: "42", Kind.DURATION: "42s", Kind.LIST: "x, y", Kind.FLAG: "true"
}  # fmt: skip
IN_FILES: dict[Kind, Any] = {
    Kind.STRING: "x", Kind.BOOL: True, Kind.INT: 42, Kind.DURATION: "42s", Kind.LIST: ["x", "y"], Kind.FLAG: {}
}  # fmt: skip
ROWS = [
    option
    for rows in OPTIONS.values()
    for option in rows.values()
    if option.origin in {Origin.ANY, Origin.FILE}
]  # fmt: skip


def made(*containers: Container, args: TransformArgs | None = None) -> dict[str, Any]:
    result = configuration([Machine("vm-1", "10.0.0.1", parse(containers), args or TransformArgs())])
    return dict(yaml.safe_load(to_yaml(result.document)))


def elements(labels: dict[str, str]) -> dict[str, Any]:
    (declared,) = parse([Container("box", labels)]).containers
    return document(declared.elements.values(), "10.0.0.1")


@pytest.mark.parametrize("option", ROWS, ids=lambda option: f"{'.'.join(option.section)}.{option.key}")
def test_every_option_of_files_has_its_place(option: Option) -> None:
    path = option.key.replace("[]", "[0]").replace("**", "Some.Name").replace("*", "404")
    name = "[0]" if option.section[1] == "certificates" else ".thing"
    found: Any = elements({f"traefik.{'.'.join(option.section)}{name}.{path}": TEXTS[option.kind]})
    sections = {"serverstransports": "serversTransports"}
    found = found[option.section[0]][sections.get(option.section[1], option.section[1])]
    found = found[0] if option.section[1] == "certificates" else found["thing"]
    for step in option.path:
        found = found[{"*": "404", "**": "Some.Name"}.get(step, step.removesuffix("[]"))]
        found = found[0] if step.endswith("[]") else found
    assert found == IN_FILES[option.kind]


def test_the_worked_example_as_a_file() -> None:
    router = {
        "entryPoints": ["websecure"],
        "rule": "Host(`home.example.test`)",
        "service": "homelab-traefik",
        "tls": {"certResolver": "letsencrypt"},
    }
    assert made(*example()) == {
        "http": {
            "routers": {
                "homarr": router,
                "miniflux": router | {"rule": "Host(`home.example.test`) && PathPrefix(`/miniflux`)"},
            },
            "services": {"homelab-traefik": {"loadBalancer": {"servers": [{"url": "http://10.0.0.1:8080"}]}}},
        }
    }


def test_in_mode_filter_the_containers_are_the_servers() -> None:
    services = made(*example(), args=FILTER)["http"]["services"]
    assert services["mash-homarr"] == {"loadBalancer": {"servers": [{"url": "http://10.0.0.1:7575"}]}}


def test_streams_lead_to_the_containers_or_to_the_local_traefik() -> None:
    box = container("db", DATABASE)
    filtered = made(box, args=FILTER.model_copy(update={"rename_entrypoints": {"postgres": "pg"}}))
    assert filtered == {
        "tcp": {
            "routers": {
                "db": {
                    "entryPoints": ["pg"],
                    "rule": "HostSNI(`db.example.test`)",
                    "service": "db",
                    "tls": {"certResolver": "default"},
                }
            },
            "services": {"db": {"loadBalancer": {"servers": [{"address": "10.0.0.1:5432"}]}}},
        },
        "udp": {
            "routers": {"dns": {"entryPoints": ["dns"], "service": "dns"}},
            "services": {"dns": {"loadBalancer": {"servers": [{"address": "10.0.0.1:53"}]}}},
        },
    }
    passed = made(box, args=TransformArgs(local_ports={"postgres": 15432, "dns": 1053}))
    assert passed["tcp"]["routers"]["db"] == {
        "entryPoints": ["postgres"],
        "rule": "HostSNI(`db.example.test`)",
        "service": "homelab-traefik-postgres",
        "tls": {"passthrough": True},
    }
    assert passed["udp"]["services"] == {
        "homelab-traefik-dns": {"loadBalancer": {"servers": [{"address": "10.0.0.1:1053"}]}}
    }


def test_streams_without_a_port_of_the_local_traefik_are_told() -> None:
    result = configuration([Machine("vm-1", "10.0.0.1", parse([container("db", DATABASE)]), TransformArgs())])
    assert result.document == {}
    assert [finding.id for finding in result.findings["vm-1"]] == ["TPX-168", "TPX-243", "TPX-243"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"traefik.tcp.routers.db.rule": ""}, "TPX-150"),
        ({"traefik.tcp.services.more.loadbalancer.server.port": "1"}, "TPX-82"),
    ],
)
def test_streams_that_lead_nowhere_are_told(change: dict[str, str], rule: str) -> None:
    model = parse([container("db", DATABASE | change)])
    result = configuration([Machine("vm-1", "10.0.0.1", model, FILTER)])
    assert rule in [finding.id for finding in result.findings["vm-1"]]
    assert "routers" not in result.document["tcp"]


def test_streams_of_two_containers_with_one_name_are_told_apart() -> None:
    other = {key: value.replace("5432", "5433").replace("db.", "other.") for key, value in DATABASE.items()}
    other |= {"traefik.tcp.routers.db.service": "DB@docker", "traefik.tcp.routers.db.middlewares": "near"}
    other |= {"traefik.tcp.middlewares.near.ipallowlist.sourcerange": "10.0.0.0/8"}
    boxes = parse([container("one", DATABASE), container("two", other)])
    refused = configuration([Machine("vm-1", "10.0.0.1", boxes, FILTER)]).findings["vm-1"]
    assert [(one.id, one.where) for one in refused if one.level == "error"] == [
        ("TPX-152", "one"), ("TPX-152", "one"), ("TPX-152", "two"), ("TPX-152", "two")
    ]  # fmt: skip
    args = TransformArgs(mode="filter", collisions="prefix")
    tcp = configuration([Machine("vm-1", "10.0.0.1", boxes, args)]).document["tcp"]
    assert tcp["routers"]["one-db"]["service"] == "one-db"
    assert tcp["routers"]["two-db"]["service"] == "two-db"
    assert tcp["routers"]["two-db"]["middlewares"] == ["near"]
    assert tcp["services"]["two-db"]["loadBalancer"]["servers"] == [{"address": "10.0.0.1:5433"}]


def test_the_rest_of_a_service_comes_along() -> None:
    server = f"{SERVICES}a.loadbalancer."
    found = elements(
        {
            f"{server}server.scheme": "https",
            f"{server}server.weight": "3",
            f"{server}server.preservepath": "true",
            f"{server}server.port": "8443",
            f"{server}sticky.cookie": "true",
            f"{server}sticky.cookie.name": "lb",
            f"{server}healthcheck.headers.X-Probe": "1",
        }
    )
    assert found["http"]["services"]["a"] == {
        "loadBalancer": {
            "servers": [{"url": "https://10.0.0.1:8443", "weight": 3, "preservePath": True}],
            "sticky": {"cookie": {"name": "lb"}},
            "healthCheck": {"headers": {"X-Probe": "1"}},
        }
    }


@pytest.mark.parametrize(
    ("label", "value", "server"),
    [
        ("url", "http://x:1", {"url": "http://x:1"}),
        ("ip", "10.9.9.9", {"url": "http://10.9.9.9:80"}),
        ("port", "81", {"url": "http://10.0.0.1:81"}),
    ],
)
def test_where_a_server_is(label: str, value: str, server: dict[str, str]) -> None:
    found = elements({f"{SERVICES}a.loadbalancer.server.{label}": value})
    assert found["http"]["services"]["a"]["loadBalancer"]["servers"] == [server]


def test_an_address_of_version_six_is_bracketed() -> None:
    (declared,) = parse([application("a")]).containers
    assert "http://[fd00::1]:80" in str(document(declared.elements.values(), "fd00::1"))


def test_what_is_switched_off_is_left_out_with_its_options() -> None:
    found = elements({f"{ROUTERS}a.tls": "false", f"{ROUTERS}a.tls.certresolver": "x", f"{ROUTERS}a.rule": "Host(`a`)"})
    assert found == {"http": {"routers": {"a": {"rule": "Host(`a`)"}}}}


def test_references_are_spelled_as_the_objects_are() -> None:
    labels = {f"{ROUTERS}a.service": "Shop@docker", f"{ROUTERS}a.middlewares": "Zip,M@docker,Auth@file"}
    assert elements(labels) == {
        "http": {"routers": {"a": {"service": "shop", "middlewares": ["zip", "m", "Auth@file"]}}}
    }


def test_indexes_become_places_in_a_list() -> None:
    domains = {f"{ROUTERS}a.tls.domains[{index}].main": f"d{index}" for index in (10, 2)}
    assert elements(domains) == {"http": {"routers": {"a": {"tls": {"domains": [{"main": "d2"}, {"main": "d10"}]}}}}}


def test_malformed_and_unknown_options_are_left_out() -> None:
    assert elements({f"{ROUTERS}a.priority": "x", f"{ROUTERS}a.colour": "x", f"{MIDDLEWARES}m.compress": "true"}) == {
        "http": {"middlewares": {"m": {"compress": {}}}}
    }


def test_machines_share_a_file_without_sharing_names() -> None:
    boxes = parse([application("a"), container("db", DATABASE)])
    ports = {"postgres": 5432, "dns": 53}
    same = [
        Machine(name, f"10.0.0.{place}", boxes, TransformArgs(local_ports=ports)) for place, name in enumerate("xy")
    ]
    refused = configuration(same).findings
    assert {finding.id for finding in refused["x"] if finding.level == "error"} == {"TPX-98", "TPX-99"}
    args = TransformArgs(local_ports=ports, collisions="prefix")
    result = configuration([Machine(one.name, one.address, one.model, args) for one in same])
    assert [finding for said in result.findings.values() for finding in said if finding.level == "error"] == []
    assert sorted(result.document["http"]["routers"]) == ["x-a", "y-a"]
    assert result.document["tcp"]["routers"]["y-db"]["service"] == "y-homelab-traefik-postgres"
    assert sorted(result.document["tcp"]["services"]) == ["x-homelab-traefik-postgres", "y-homelab-traefik-postgres"]


def test_the_file_is_plain_yaml_that_says_where_it_comes_from() -> None:
    text = to_yaml({"http": {"routers": {"ü": {"rule": "Host(`bücher.test`) && " + "Path(`/x`) || " * 20}}}})
    assert text.startswith("# Written by factory")
    assert "bücher.test" in text
    assert len(text.splitlines()) == 5
