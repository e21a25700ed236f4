"""Labels are read as Traefik reads them; what is wrong is told with container, label and rule, and never raises."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from components.traefik_gateway import Container, LabelModel, parse, render_labels
from components.traefik_gateway.schema import OPTIONS, Kind, Option, read, write
from tests.support.labels import MIDDLEWARES, ROUTERS, SERVICES, application, container, example

ROUTER = ("http", "routers", "app")
VALUES: Mapping[Kind, str] = {
    Kind.STRING: "some `text`, with = and \\d{2}",
    Kind.BOOL: "true",
    Kind.INT: "42",
    Kind.DURATION: "1m30s",
    Kind.LIST: "one, two",
    Kind.FLAG: "true",
}
ROWS = [option for rows in OPTIONS.values() for option in rows.values()]


def rules(model: LabelModel) -> list[str]:
    return [finding.id for finding in model.findings]


def one(labels: Mapping[str, str]) -> LabelModel:
    return parse([Container("box", labels)])


def key_of(option: Option) -> str:
    path = option.key.replace("[]", "[3]").replace("**", "Some.Name").replace("*", "404")
    name = "[2]" if option.section[1] == "certificates" else ".thing"
    return f"traefik.{'.'.join(option.section)}{name}.{path}"


def test_the_table_has_all_of_the_reference() -> None:
    """A table that lost its rows would pass the round trips."""
    assert len(ROWS) >= 330
    assert len({option.path[0] for option in OPTIONS["http", "middlewares"].values()}) == 26
    assert {section for _, section in OPTIONS} >= {"routers", "services", "middlewares", "serverstransports", "options"}


@pytest.mark.parametrize("option", ROWS, ids=key_of)
def test_every_option_is_read_and_written_again(option: Option) -> None:
    key = key_of(option)
    model = one({key.upper().replace("SOME.NAME", "Some.Name"): VALUES[option.kind]})
    (declared,) = model.containers
    (element,) = declared.elements.values()
    ((path, text),) = element.options.items()
    assert element.option(path) == option
    assert element.get(path) == read(option.kind, text)
    assert render_labels(declared) == {key: text}
    assert parse([Container("box", render_labels(declared))]) == model
    assert {finding.id for finding in model.findings} <= {"TPX-60"}, "at most: read from files only"


@pytest.mark.parametrize("kind", Kind)
def test_a_written_value_is_read_again(kind: Kind) -> None:
    value = read(kind, VALUES[kind])
    assert read(kind, write(value)) == value


def test_the_worked_example_is_counted() -> None:
    model = parse(example())
    assert model.discovered == "Found 26 Traefik labels across 2 containers"
    assert str(model.counts) == "Parsed 26 labels (2 routers, 2 services, 3 middlewares)"
    assert model.findings == ()


def test_names_are_counted_once_over_all_containers() -> None:
    twice = {f"{ROUTERS}a.rule": "Host(`a`)", f"{ROUTERS}a.tls": "true", f"{ROUTERS}A.priority": "1"}
    model = parse([container("one", twice), container("two", {f"{ROUTERS}a.rule": "Host(`a`)"})])
    assert (model.counts.labels, model.counts.routers) == (6, 1)


def test_other_labels_are_ignored_and_not_counted() -> None:
    model = one({"com.example.version": "1", "traefikx.enable": "true", "Traefik.Enable": "true", "traefik": "x"})
    assert model.counts.labels == 1
    assert model.containers[0].enable is True


def test_keys_are_read_in_any_case_and_values_keep_theirs() -> None:
    model = one({"Traefik.HTTP.Routers.App.TLS.certResolver": "LetsEncrypt"})
    assert model.containers[0].elements[ROUTER].options == {"tls.certresolver": "LetsEncrypt"}


def test_header_names_keep_their_case() -> None:
    model = one({f"{MIDDLEWARES}h.Headers.CustomResponseHeaders.X-Frame-Options": "DENY"})
    element = model.containers[0].elements["http", "middlewares", "h"]
    assert element.options == {"headers.customresponseheaders.X-Frame-Options": "DENY"}


def test_a_list_is_split_at_commas_and_trimmed() -> None:
    model = one({f"{ROUTERS}app.entrypoints": "web, websecure ,x", f"{ROUTERS}app.middlewares": ""})
    element = model.containers[0].elements[ROUTER]
    assert element.items("entrypoints") == ("web", "websecure", "x")
    assert element.items("middlewares") == ()


def test_a_plain_list_by_index_is_told_to_be_empty() -> None:
    model = one({f"{ROUTERS}app.entrypoints[0]": "web"})
    assert rules(model) == ["TPX-60"]
    assert "is read as an empty list" in model.findings[0].message


def test_indexes_are_ordered_by_number() -> None:
    labels = {f"{ROUTERS}app.tls.domains[{index}].main": f"d{index}.example.test" for index in (10, 9, 2)}
    element = one(labels).containers[0].elements[ROUTER]
    assert [value for _, value in element.labels()] == ["d2.example.test", "d9.example.test", "d10.example.test"]


@pytest.mark.parametrize("word", ["1", "t", "true", "TRUE", "True", "tRuE"])
def test_enable_takes_go_booleans(word: str) -> None:
    assert one({"traefik.enable": word}).containers[0].enable is True


@pytest.mark.parametrize("word", ["yes", "on", "", "2"])
def test_another_word_does_not_enable(word: str) -> None:
    model = one({"traefik.enable": word})
    assert model.containers[0].enable is False
    assert rules(model) == ["TPX-67"]


def test_outer_blanks_are_trimmed_and_line_breaks_folded() -> None:
    model = one({f"{ROUTERS}app.rule": "  Host(`a`)  \n    ||  Host(`b`)\r\n"})
    assert model.containers[0].elements[ROUTER].text("rule") == "Host(`a`) ||  Host(`b`)"


@pytest.mark.parametrize(
    "key",
    [
        "traefik.http.routers.x",
        "traefik.http.routers..rule",
        "traefik.http.routers.x.",
        "traefik.http.routers.x.tls..a",
    ],
)
def test_an_incomplete_key_is_told_and_left_out(key: str) -> None:
    model = one({key: "value"})
    assert model.containers[0].elements == {}
    (finding,) = model.findings
    assert (finding.id, finding.where, finding.label) == ("TPX-66", "box", key)


@pytest.mark.parametrize("name", ["a@docker", "a b", "a=b", "a`b", 'a"b'])
def test_a_name_with_a_character_that_ends_it_is_refused(name: str) -> None:
    model = one({f"{ROUTERS}{name}.rule": "Host(`a`)"})
    assert model.containers[0].elements == {}
    assert rules(model) == ["TPX-165"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (f"{ROUTERS}a.priority", "high"),
        (f"{ROUTERS}a.priority", "1.5"),
        (f"{ROUTERS}a.priority", "99999999999999999999"),
        (f"{ROUTERS}a.observability.metrics", "maybe"),
        (f"{SERVICES}a.loadbalancer.healthcheck.interval", "ten seconds"),
    ],
)
def test_a_value_of_another_type_is_told(key: str, value: str) -> None:
    model = one({key: value})
    assert rules(model) == ["TPX-66"]
    assert value in model.findings[0].message
    element = next(iter(model.containers[0].elements.values()))
    assert element.get(next(iter(element.options))) is None


@pytest.mark.parametrize("key", [f"{ROUTERS}a.colour", f"{MIDDLEWARES}a.teapot.short", "traefik.grpc.routers.a.rule"])
def test_an_unknown_option_or_kind_is_kept_and_told(key: str) -> None:
    model = one({key: "x"})
    assert rules(model) == ["TPX-60"]
    assert render_labels(model.containers[0]) == {key: "x"}


def test_settings_of_the_docker_provider_are_kept_in_silence() -> None:
    model = one({"traefik.docker.network": "web"})
    assert model.findings == ()
    assert model.containers[0].other == {"traefik.docker.network": "web"}


def test_a_nul_is_refused() -> None:
    assert rules(one({f"{ROUTERS}a.rule": "Host(`a\0`)"})) == ["TPX-129"]


def test_two_keys_that_differ_in_case_are_told_and_the_order_does_not_matter() -> None:
    labels = {f"{ROUTERS}a.rule": "Host(`lower`)", f"{ROUTERS}A.rule": "Host(`upper`)"}
    forth, back = one(labels), one(dict(reversed(labels.items())))
    assert forth == back
    assert rules(forth) == rules(back) == ["TPX-63"]
    assert forth.containers[0].elements["http", "routers", "a"].text("rule") == "Host(`lower`)"


def test_only_running_containers_count() -> None:
    stopped = Container("old", {"traefik.enable": "true"}, state="exited")
    model = parse([stopped, Container("plain", {"x": "y"}, state="exited"), application("app")])
    assert [declared.name for declared in model.containers] == ["app"]
    assert [(finding.id, finding.where) for finding in model.findings] == [("TPX-49", "old")]


def test_names_lose_dockers_slash_and_are_sorted() -> None:
    model = parse([application("zeta"), Container("/alpha", application("alpha").labels)])
    assert [declared.name for declared in model.containers] == ["alpha", "zeta"]


def test_replicas_are_one_container() -> None:
    labels = application("app").labels
    model = parse([Container("app-2", labels, published=(81,)), Container("app-1", labels, published=(80,))])
    (declared,) = model.containers
    assert (declared.name, declared.replicas, declared.published) == ("app-1", ("app-2",), (80, 81))
    assert model.counts.labels == len(labels)


def test_containers_that_only_enable_are_no_replicas() -> None:
    assert len(parse([container("a", {}), container("b", {})]).containers) == 2


def test_a_label_of_a_megabyte_is_read_and_not_repeated_in_a_message() -> None:
    model = one({f"{ROUTERS}a.rule": f"Host(`{'x' * 2**20}`)", f"{ROUTERS}{'y' * 2**20}.bad": "1"})
    assert model.counts.labels == 2
    assert all(len(str(finding)) < 500 for finding in model.findings)


def test_ten_thousand_containers_are_read() -> None:
    model = parse(application(f"app-{number}") for number in range(10_000))
    assert model.counts.routers == 10_000
