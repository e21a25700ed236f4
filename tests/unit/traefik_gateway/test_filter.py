"""Mode `filter`: a closed list is kept, everything else is counted by its reason."""

from __future__ import annotations

import pytest

from components.traefik_gateway import Container, Mode, TransformArgs, Transformed, parse, transform
from tests.support.labels import MIDDLEWARES, ROUTERS, SERVICES, application, container, example

FILTER = TransformArgs(mode=Mode.FILTER)
STRICT = TransformArgs(mode=Mode.FILTER, strict_seed_filter=True)
PORT = "loadbalancer.server.port"


def filtered(*containers: Container, args: TransformArgs = FILTER) -> Transformed:
    return transform(parse(containers), args)


def said(result: Transformed) -> set[str]:
    return {finding.id for finding in result.findings}


def keys(result: Transformed) -> list[str]:
    return [key for key, _ in result.labels]


def test_the_worked_example_keeps_twelve_of_26() -> None:
    result = filtered(*example(), args=STRICT)
    assert (result.kept, result.distinct) == (12, 11)
    assert result.dropped == {"docker": 2, "middleware": 10, "router option": 2}
    assert result.labels == (
        ("traefik.enable", "true"),
        ("traefik.http.routers.mash-homarr.entrypoints", "web-secure"),
        ("traefik.http.routers.mash-homarr.rule", "Host(`home.example.test`)"),
        ("traefik.http.routers.mash-homarr.tls", "true"),
        ("traefik.http.routers.mash-homarr.tls.certresolver", "default"),
        ("traefik.http.routers.mash-miniflux.entrypoints", "web-secure"),
        ("traefik.http.routers.mash-miniflux.rule", "Host(`home.example.test`) && PathPrefix(`/miniflux`)"),
        ("traefik.http.routers.mash-miniflux.tls", "true"),
        ("traefik.http.routers.mash-miniflux.tls.certresolver", "default"),
        ("traefik.http.services.mash-homarr.loadbalancer.server.port", "7575"),
        ("traefik.http.services.mash-miniflux.loadbalancer.server.port", "8080"),
    )


def test_the_safe_default_adds_the_services() -> None:
    strict = filtered(*example(), args=STRICT)
    result = filtered(*example(), args=TransformArgs(mode=Mode.FILTER, emit_priority=False))
    assert set(result.labels) - set(strict.labels) == {
        ("traefik.http.routers.mash-homarr.service", "mash-homarr"),
        ("traefik.http.routers.mash-miniflux.service", "mash-miniflux"),
    }
    assert len(result.labels) == 13
    assert keys(result)[3] == "traefik.http.routers.mash-homarr.service", "after the rule"
    assert (result.kept, result.distinct) == (12, 11), "what is added is not kept"


def test_priorities_are_the_lengths_of_the_rules_unless_they_are_given() -> None:
    result = filtered(*example(), application("own", priority="7"))
    given = {key.split(".")[3]: value for key, value in result.labels if key.endswith(".priority")}
    assert given == {"mash-homarr": "25", "mash-miniflux": "52", "own": "7"}


def test_values_pass_unchanged() -> None:
    rule = r"HostRegexp(`^a+\.example\.test$`) && !Path(`/x%2Fy`) && (Query(`a`, `b=c`) || Method(`GET`))"
    result = filtered(application("app", rule, tls_options="modern@file"), args=STRICT)
    assert dict(result.labels)["traefik.http.routers.app.rule"] == rule
    assert dict(result.labels)["traefik.http.routers.app.tls.options"] == "modern@file"


def test_tls_matches_whole_segments_and_indexes() -> None:
    box = application("app", tls_domains="x")
    box = container("app", {**box.labels, f"{ROUTERS}app.tlsfoo": "1", f"{ROUTERS}app.tls.domains[0].main": "a.test"})
    kept = keys(filtered(box, args=STRICT))
    assert f"{ROUTERS}app.tls.domains[0].main" in kept
    assert f"{ROUTERS}app.tlsfoo" not in kept


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("traefik.docker.lbswarm", "true", "docker"),
        (f"{MIDDLEWARES}m.compress", "true", "middleware"),
        (f"{ROUTERS}app.middlewares", "m", "middleware"),
        (f"{ROUTERS}app.priority", "5", "router option"),
        (f"{ROUTERS}app.service", "app", "router option"),
        (f"{SERVICES}app.loadbalancer.server.scheme", "https", "service"),
        (f"{SERVICES}app.loadbalancer.healthcheck.path", "/", "service"),
        (f"{SERVICES}app.loadbalancer.sticky.cookie.name", "c", "service"),
        ("traefik.tcp.routers.t.rule", "HostSNI(`*`)", "tcp"),
        ("traefik.udp.routers.u.entrypoints", "dns", "udp"),
        ("traefik.http.serverstransports.t.servername", "x", "other"),
    ],
)
def test_everything_else_is_dropped_and_counted(key: str, value: str, reason: str) -> None:
    box = application("app")
    more = {f"{MIDDLEWARES}m.compress": "true", key: value}
    result = filtered(container("app", {**box.labels, **more}), args=STRICT)
    assert key not in keys(result)
    assert result.dropped[reason] == (2 if reason == "middleware" and "routers" in key else 1)
    assert result.kept + sum(result.dropped.values()) == len({**box.labels, **more})


def test_filtering_again_changes_nothing() -> None:
    for args in (FILTER, STRICT):
        once = filtered(*example(), args=args)
        again = filtered(Container("all", dict(once.labels)), args=args)
        assert again.labels == once.labels


@pytest.mark.parametrize(
    ("middlewares", "lost"),
    [
        ({"auth.basicauth.users": "u:$2y$x"}, True),
        ({"auth.digestauth.usersfile": "/f"}, True),
        ({"auth.forwardauth.address": "http://a"}, True),
        ({"auth.ipallowlist.sourcerange": "10.0.0.0/8"}, True),
        ({"auth.plugin.bouncer.enabled": "true"}, True),
        ({"auth.chain.middlewares": "inner", "inner.basicauth.users": "u:x"}, True),
        ({}, True),
        ({"auth.compress": "true"}, False),
        ({"auth.chain.middlewares": "inner,auth", "inner.headers.framedeny": "true"}, False),
    ],
)
def test_a_router_that_loses_its_guard_is_not_published(middlewares: dict[str, str], *, lost: bool) -> None:
    box = application("app", middlewares="auth")
    box = container("app", {**box.labels, **{f"{MIDDLEWARES}{key}": value for key, value in middlewares.items()}})
    assert (filtered(box).labels == ()) is lost
    assert ("TPX-81" in said(filtered(box))) is lost
    allowed = filtered(box, args=TransformArgs(mode=Mode.FILTER, allow_dropped_auth=True))
    assert allowed.router_names == ["app"]
    assert ("TPX-81" in said(allowed)) is lost
    assert "$2y$" not in str(allowed.labels)


def test_a_guard_in_one_of_two_containers_guards_both() -> None:
    """Only one of them would be published, and it must not be the open one."""
    open_, guarded = application("app"), application("app", middlewares="auth")
    result = filtered(Container("a", open_.labels), Container("b", guarded.labels))
    assert result.labels == ()
    assert [finding.where for finding in result.findings if finding.id == "TPX-81"] == ["a", "b"]


def test_a_prefix_for_services_never_makes_one_of_two() -> None:
    other = {f"{SERVICES}app.{PORT}": "81", f"{SERVICES}app-app.{PORT}": "82"}
    boxes = [application("app"), container("b", other)]
    result = filtered(*boxes, args=TransformArgs(mode=Mode.FILTER, collisions="prefix"))
    assert [error.id for error in result.errors] == ["TPX-154"]
    assert "it is taken too" in result.errors[0].message


def test_a_router_without_one_service_is_not_left_to_chance() -> None:
    two = container("two", {**application("two").labels, f"{SERVICES}more.{PORT}": "90"})
    file = application("file", service="elsewhere@file")
    result = filtered(two, file, application("app"))
    assert result.router_names == ["app"]
    assert [finding.where for finding in result.findings if finding.id == "TPX-82"] == ["file", "two"]


def test_a_router_may_lead_to_another_containers_service() -> None:
    box = container("router", {f"{ROUTERS}r.rule": "Host(`r`)", f"{ROUTERS}r.service": "App@docker"})
    result = filtered(box, application("app"), application("more"))
    assert dict(result.labels)[f"{ROUTERS}r.service"] == "app"


def test_strict_mode_tells_that_chance_decides() -> None:
    assert "TPX-82" in said(filtered(*example(), args=STRICT))
    assert "TPX-82" not in said(filtered(application("app"), args=STRICT))


def test_one_service_name_with_two_ports_is_an_error() -> None:
    clash = {f"{SERVICES}app.{PORT}": "81", f"{ROUTERS}b.rule": "Host(`b`)", f"{ROUTERS}b.service": "app"}
    result = filtered(application("app"), container("other", clash))
    (error,) = result.errors
    assert error.id == "TPX-154"
    assert "app port 80, other port 81" in error.message
    prefix = TransformArgs(mode=Mode.FILTER, collisions="prefix")
    assert filtered(application("app"), container("other", clash), args=prefix).service_names == [
        "app-app",
        "other-app",
    ]


def test_a_port_must_be_published() -> None:
    box = application("app")
    unknown, open_, shut = (Container("app", box.labels, published=ports) for ports in (None, (80,), (8080,)))
    assert "TPX-83" in said(filtered(unknown))
    assert "TPX-83" in said(filtered(shut))
    assert "TPX-83" not in said(filtered(open_))


@pytest.mark.parametrize("port", ["0", "65536", "http", "²"])
def test_what_is_no_port_is_no_service(port: str) -> None:
    result = filtered(application("app", port=port))
    assert result.labels == ()
    assert {"TPX-72", "TPX-82"} <= said(result)


def test_names_of_the_gateway_are_known_or_mapped() -> None:
    box = application("app", entrypoints="web-secure, web", tls_certresolver="default")
    assert "TPX-84" in said(filtered(box))
    args = TransformArgs(
        mode=Mode.FILTER,
        rename_entrypoints={"web-secure": "websecure"},
        rename_resolvers={"default": "letsencrypt"},
    )
    result = filtered(box, args=args)
    assert "TPX-84" not in said(result)
    assert dict(result.labels)[f"{ROUTERS}app.entrypoints"] == "websecure,web", "the plugin would not trim the blank"
    assert dict(result.labels)[f"{ROUTERS}app.tls.certresolver"] == "letsencrypt"


def test_no_router_means_no_label() -> None:
    result = filtered(container("app", {f"{SERVICES}app.{PORT}": "80"}))
    assert (result.labels, result.kept, result.distinct) == ((), 0, 0)
