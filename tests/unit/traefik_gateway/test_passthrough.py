"""Mode `passthrough`: every router leads, over TLS, to the machine's own Traefik."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from components.traefik_gateway import Container, Level, TransformArgs, Transformed, parse, transform, transform_all
from tests.support.labels import MIDDLEWARES, ROUTERS, SERVICES, application, container, example

DEFAULT = TransformArgs()


def passed(*containers: Container, args: TransformArgs = DEFAULT) -> Transformed:
    return transform(parse(containers), args)


def said(result: Transformed) -> list[str]:
    return [finding.id for finding in result.findings if finding.id != "TPX-174"]


def test_the_worked_example_makes_thirteen_of_26() -> None:
    result = passed(*example())
    assert result.labels == (
        ("traefik.enable", "true"),
        ("traefik.http.routers.homarr.entrypoints", "websecure"),
        ("traefik.http.routers.homarr.rule", "Host(`home.example.test`)"),
        ("traefik.http.routers.homarr.service", "homelab-traefik"),
        ("traefik.http.routers.homarr.tls", "true"),
        ("traefik.http.routers.homarr.tls.certresolver", "letsencrypt"),
        ("traefik.http.routers.miniflux.entrypoints", "websecure"),
        ("traefik.http.routers.miniflux.rule", "Host(`home.example.test`) && PathPrefix(`/miniflux`)"),
        ("traefik.http.routers.miniflux.service", "homelab-traefik"),
        ("traefik.http.routers.miniflux.tls", "true"),
        ("traefik.http.routers.miniflux.tls.certresolver", "letsencrypt"),
        ("traefik.http.services.homelab-traefik.loadbalancer.server.port", "8080"),
        ("traefik.http.services.homelab-traefik.loadbalancer.server.scheme", "http"),
    )
    assert (result.kept, result.distinct, len(result.labels)) == (13, 13, 13)
    assert result.dropped == {"docker": 2, "middleware": 10, "service": 2}
    assert str(parse([Container("gateway", dict(result.labels))]).counts) == (
        "Parsed 13 labels (2 routers, 1 services, 0 middlewares)"
    )


def test_passthrough_single_router() -> None:
    result = passed(application("app"))
    assert len(result.labels) == 5 + 2 + 1
    assert result.router_names == ["app"]


def test_several_routers_of_one_container_are_all_published() -> None:
    box = application("app")
    box = container("app", {**box.labels, f"{ROUTERS}api.rule": "Host(`api.example.test`)"})
    assert passed(box).router_names == ["api", "app"]


def test_options_decide_names_port_and_scheme() -> None:
    args = TransformArgs(
        gateway_service_name="vm-7", traefik_local_port=8443, server_scheme="https", entrypoint="public",
        cert_resolver="own", strip_prefix="", server_ip="10.0.0.7", emit_priority=True,
    )  # fmt: skip
    labels = dict(passed(application("mash-app"), args=args).labels)
    router, server = "traefik.http.routers.mash-app", "traefik.http.services.vm-7.loadbalancer.server"
    assert labels[f"{router}.entrypoints"] == "public"
    assert labels[f"{router}.tls.certresolver"] == "own"
    assert labels[f"{router}.priority"] == "29"
    assert [labels[f"{server}.{option}"] for option in ("ip", "port", "scheme")] == ["10.0.0.7", "8443", "https"]
    assert len(labels) == 6 + 3 + 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("mode", "both"),
        ("gateway_service_name", "Home"),
        ("gateway_service_name", ""),
        ("traefik_local_port", 0),
        ("traefik_local_port", 65536),
        ("server_scheme", "ftp"),
        ("entrypoint", "a,b"),
        ("tag", "x"),
    ],
)
def test_options_are_checked(option: str, value: object) -> None:
    with pytest.raises(ValidationError, match=option):
        TransformArgs.model_validate({option: value})


def test_strict_and_priority_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="strict_seed_filter emits no priority"):
        TransformArgs(strict_seed_filter=True, emit_priority=True)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("mash-app", "app"),
        ("mash-mash-app", "mash-app"),
        ("smash-app", "smash-app"),
        ("mash-", "mash-"),
        ("MASH-App", "app"),
    ],
)
def test_the_prefix_is_removed_once_and_at_the_start(name: str, short: str) -> None:
    assert passed(application(name)).router_names == [short]


def test_missing_entry_point_and_tls_are_added() -> None:
    labels = dict(passed(application("app", entrypoints="", tls="")).labels)
    assert labels[f"{ROUTERS}app.entrypoints"] == "websecure"
    assert labels[f"{ROUTERS}app.tls"] == "true"


def test_a_router_without_a_rule_is_skipped() -> None:
    for rule in (" ", "  "):
        result = passed(container("app", {f"{ROUTERS}app.rule": rule, f"{ROUTERS}app.tls": "true"}))
        assert result.labels == ()
        assert said(result) == ["TPX-150"]
        assert result.dropped == {"router not published": 3}


def test_a_container_without_a_router_is_told() -> None:
    assert said(passed(container("app", {f"{SERVICES}app.loadbalancer.server.port": "80"}))) == ["TPX-150"]


def test_two_names_that_become_one_keep_both_if_their_rules_differ() -> None:
    result = passed(application("mash-app"), application("app"))
    assert result.router_names == ["app", "mash-app"]
    assert said(result) == ["TPX-151"]


def test_two_names_with_one_rule_that_become_one_are_one() -> None:
    result = passed(application("mash-app", "Host(`a`)"), application("app", "Host(`a`)"))
    assert result.router_names == ["app"]
    assert said(result) == ["TPX-151"]
    assert result.dropped["repeated"] == 3


def test_a_kept_name_does_not_take_anothers_short_one() -> None:
    result = passed(application("mash-mash-app"), application("mash-app"), application("app"))
    assert result.router_names == ["app", "mash-app", "mash-mash-app"]
    assert len(dict(result.labels)) == len(result.labels)


def test_one_router_in_two_containers_is_one() -> None:
    first, second = application("app"), application("app", port="81")
    result = passed(Container("a", first.labels), Container("b", second.labels))
    assert result.router_names == ["app"]
    assert said(result) == ["TPX-152"]


def test_one_name_with_two_rules_is_an_error_that_names_both() -> None:
    first, second = application("app", "Host(`a`)"), application("app", "Host(`b`)")
    pair = (Container("box-a", first.labels), Container("box-b", second.labels))
    result = passed(*pair)
    assert {error.id for error in result.errors} == {"TPX-152"}
    assert "box-a, box-b" in result.errors[0].message
    assert passed(*pair, args=TransformArgs(collisions="prefix")).router_names == ["box-a-app", "box-b-app"]


def test_a_prefix_never_makes_one_of_two() -> None:
    prefix = TransformArgs(collisions="prefix")
    first, second = application("app", "Host(`a`)"), application("app", "Host(`b`)")
    dots = passed(Container("box.a", first.labels), Container("box-a", second.labels), args=prefix)
    assert dots.labels == ()
    assert [error.id for error in dots.errors] == ["TPX-152", "TPX-152"]
    third = application("one-app")
    taken = passed(Container("one", first.labels), Container("two", second.labels), third, args=prefix)
    assert taken.router_names == ["one-app"]
    assert "are taken" in taken.errors[0].message
    models = {"vm": parse([application("x"), application("vm-x")]), "b": parse([application("x")])}
    fleet = transform_all(models, {"vm": prefix, "b": TransformArgs(gateway_service_name="other")})
    assert fleet["vm"].router_names == ["vm-x", "x"]
    assert [error.id for error in fleet["vm"].errors] == ["TPX-99"]


def test_one_rule_under_two_names_is_published_twice() -> None:
    result = passed(application("a", "Host(`x`)"), application("b", "Host(`x`)"))
    assert result.router_names == ["a", "b"]
    assert said(result) == ["TPX-153"]


@pytest.mark.parametrize("enable", ["false", None])
def test_a_container_that_is_not_enabled_is_ignored(enable: str | None) -> None:
    labels = {key: value for key, value in application("app").labels.items() if key != "traefik.enable"}
    box = Container("app", labels | ({} if enable is None else {"traefik.enable": enable}))
    result = passed(box)
    assert result.labels == ()
    assert said(result) == ["TPX-155"]
    assert result.dropped == {"container not enabled": len(box.labels)}
    exposed = passed(box, args=TransformArgs(exposed_by_default=True))
    assert bool(exposed.labels) is (enable is None)


@pytest.mark.parametrize("service", ["api@internal", "dashboard@internal", "ping@internal", "prometheus@internal"])
def test_traefiks_own_services_are_not_published(service: str) -> None:
    box = application("app", service=service)
    assert passed(box).labels == ()
    assert said(passed(box)) == ["TPX-156"]
    assert passed(box, args=TransformArgs(allow_internal=True)).router_names == ["app"]


@pytest.mark.parametrize("definition", [{f"{MIDDLEWARES}to-tls.redirectscheme.scheme": "https"}, {}])
def test_a_local_redirect_is_left_out(definition: dict[str, str]) -> None:
    reference = "to-tls" if definition else "https-redirect@file"
    redirect = {f"{ROUTERS}app-http.rule": "Host(`app.example.test`)", f"{ROUTERS}app-http.middlewares": reference}
    box = container("app", {**application("app").labels, **redirect, **definition})
    result = passed(box)
    assert result.router_names == ["app"]
    assert said(result) == ["TPX-157"]
    alone = passed(container("app", {**redirect, **definition}))
    assert alone.router_names == ["app-http"]
    assert said(alone) == ["TPX-157"]


def test_a_router_with_more_than_a_redirect_is_published() -> None:
    redirect = {f"{ROUTERS}app-http.rule": "Host(`app.example.test`)", f"{ROUTERS}app-http.middlewares": "zip"}
    box = container("app", {**application("app").labels, **redirect, f"{MIDDLEWARES}zip.compress": "true"})
    assert passed(box).router_names == ["app", "app-http"]


@pytest.mark.parametrize(
    "rule",
    [
        "Host(`a`) && (Path(`/x`) || !PathPrefix(`/y`)) && Query(`a`, `b=c`)",
        r"HostRegexp(`^[a-z]{2,3}\.example\.test$`) && PathRegexp(`^/a%2Fb/\d+`)",
        'Host("a.example.test")',
        "Host(`bücher.example.test`) && PathPrefix(`/übersicht`)",
        "Host(`a:8080`)",
    ],
)
def test_a_rule_is_copied_exactly(rule: str) -> None:
    assert dict(passed(application("app", rule)).labels)[f"{ROUTERS}app.rule"] == rule


@pytest.mark.parametrize(
    ("rule", "old"),
    [
        ("HostRegexp(`{sub:[a-z]+}.example.test`)", True),
        ("Host(`a`, `b`)", True),
        ("PathPrefix(`/{id}`)", True),
        ("Headers(`X-A`, `b`)", True),
        ("Query(`a=b`)", True),
        ("Host(`a`) || Host(`b`)", False),
        ("PathRegexp(`^/[a-z]{2}$`)", False),
        ("Query(`a`, `b`)", False),
    ],
)
def test_syntax_of_traefik_two_is_told(rule: str, *, old: bool) -> None:
    assert ("TPX-162" in said(passed(application("app", rule)))) is old


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ('Host(`a`) && "', "TPX-128"),
        ("Header(`Authorization`, `Basic dXNlcjpwYXNz`)", "TPX-170"),
        ("Query(`token`, `abc`)", "TPX-170"),
        ("Host(`http://user:pass@x`)", "TPX-170"),
        ("Host(`$2y$05$abc`)", "TPX-170"),
        ("Host(`a`) || traefik.x", "TPX-109"),
    ],
)
def test_a_value_that_notes_must_not_hold_is_refused(rule: str, reason: str) -> None:
    result = passed(application("app", rule))
    assert [error.id for error in result.errors] == [reason]
    assert result.labels == ()


def test_tcp_alone_is_told() -> None:
    result = passed(container("db", {"traefik.tcp.routers.db.rule": "HostSNI(`*`)"}))
    assert [(finding.id, finding.where, finding.level) for finding in result.findings] == [
        ("TPX-168", "db", Level.NOTICE)
    ]
    assert result.dropped == {"router not published": 1, "tcp": 1}


def test_routers_that_answer_tls_only_are_told() -> None:
    assert "TPX-174" in {finding.id for finding in passed(application("app")).findings}
    for quiet in (
        passed(application("app"), args=TransformArgs(server_scheme="https")),
        passed(application("app", tls="")),
        passed(application("app", "Host(`a`)"), application("plain", "Host(`a`)", tls="")),
    ):
        assert "TPX-174" not in {finding.id for finding in quiet.findings}


def test_machines_of_one_gateway_need_names_of_their_own() -> None:
    models = {"VM-1": parse([application("app"), application("one")]), "vm-2": parse([application("app")])}
    refused = transform_all(models, dict.fromkeys(models, DEFAULT))
    for machine, other in (("VM-1", "vm-2"), ("vm-2", "VM-1")):
        errors = refused[machine].errors
        assert [error.id for error in errors] == ["TPX-99", "TPX-98"]
        assert all(other in error.message for error in errors)
    prefixed = transform_all(models, dict.fromkeys(models, TransformArgs(collisions="prefix")))
    assert [one.errors for one in prefixed.values()] == [[], []]
    assert prefixed["VM-1"].router_names == ["one", "vm-1-app"]
    assert prefixed["vm-2"].router_names == ["vm-2-app"]
    assert prefixed["vm-2"].service_names == ["vm-2-homelab-traefik"]
    assert dict(prefixed["VM-1"].labels)[f"{ROUTERS}one.service"] == "vm-1-homelab-traefik"


def test_a_prefix_that_helps_not_is_an_error_still() -> None:
    models = {"a": parse([application("x")]), "b": parse([application("x"), application("a-x")])}
    result = transform_all(models, {"a": TransformArgs(collisions="prefix", gateway_service_name="s1"), "b": DEFAULT})
    assert [error.id for error in result["b"].errors] == ["TPX-99"]


def test_the_result_is_plain_data() -> None:
    data = passed(application("app", " ")).as_data()
    assert data["labels"] == []
    assert list(data) == ["labels", "kept", "distinct", "dropped", "warnings"]
    assert isinstance(data["warnings"], list)
    assert data["warnings"][0]["id"] == "TPX-150"
