"""What holds for every set of containers and for every text of notes."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.traefik_gateway import (
    Container,
    Mode,
    NotesError,
    TransformArgs,
    extract,
    merge,
    parse,
    render,
    render_block,
    render_labels,
    strip,
    transform,
    update,
)
from components.traefik_gateway.findings import errors
from components.traefik_gateway.notes import read_labels
from components.traefik_gateway.plugin import Guest, predict_guest
from components.traefik_gateway.render_file import Machine, configuration, document, to_yaml
from components.traefik_gateway.schema import OPTIONS, Kind

EXAMPLES = settings(max_examples=1000 if os.environ.get("FACTORY_LONG") == "1" else 40)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NAMES = st.text(alphabet="abxyzé-_019AB", min_size=1, max_size=8).map(lambda name: f"mash-{name}")
RULES = st.builds(
    lambda host, path, more: f"Host(`{host}.example.test`){path}{more}",
    st.sampled_from("abcdef"),
    st.sampled_from(["", " && PathPrefix(`/x`)", " || !Path(`/y%2F`)", " && Query(`a`, `b=c`)"]),
    st.sampled_from(["", "  ", "\n"]),
)
VALUES = {
    Kind.STRING: WORDS,
    Kind.BOOL: st.sampled_from(["true", "false", "1", "T", "no"]),
    Kind.INT: st.one_of(st.integers().map(str), WORDS),
    Kind.DURATION: st.sampled_from(["1s", "2m30s", "42", "soon"]),
    Kind.LIST: st.lists(WORDS, max_size=3).map(", ".join),
    Kind.FLAG: st.sampled_from(["true", "false", ""]),
}


@st.composite
def labels(draw: st.DrawFn) -> dict[str, str]:
    """Labels of all kinds, most of them sound."""
    found = draw(st.dictionaries(st.one_of(WORDS, WORDS.map(lambda word: f"traefik.{word}")), WORDS, max_size=3))
    found |= draw(st.sampled_from([{"traefik.enable": "true"}] * 4 + [{"Traefik.Enable": "false"}, {}]))
    for name in draw(st.lists(NAMES, max_size=3)):
        found[f"traefik.http.routers.{name}.rule"] = draw(RULES)
        found[f"traefik.http.services.{name}.loadbalancer.server.port"] = draw(st.sampled_from(["80", "8080"]))
    for _ in range(draw(st.integers(0, 4))):
        section = draw(st.sampled_from(sorted(OPTIONS)))
        option = OPTIONS[section][draw(st.sampled_from(sorted(OPTIONS[section])))]
        path = option.key.replace("[]", "[0]").replace("**", draw(NAMES)).replace("*", draw(NAMES))
        name = "[0]" if section[1] == "certificates" else f".{draw(NAMES)}"
        found[f"traefik.{'.'.join(section)}{name}.{path}"] = draw(VALUES[option.kind])
    return found


@st.composite
def machines(draw: st.DrawFn) -> list[Container]:
    names = draw(st.lists(st.text(alphabet="abc-", min_size=1, max_size=6), unique=True, max_size=5))
    states = st.sampled_from(["running"] * 5 + ["exited"])
    return [Container(name, draw(labels()), draw(states)) for name in names]


ARGS = st.builds(
    TransformArgs,
    mode=st.sampled_from(Mode),
    exposed_by_default=st.booleans(),
    allow_dropped_auth=st.booleans(),
    allow_internal=st.booleans(),
    collisions=st.sampled_from(["refuse", "prefix"]),
)
NOTES = st.lists(
    st.one_of(WORDS, st.sampled_from(["- [x] done: 100 %", "a:b", "%3A", "# head", "```", "<!-- x -->", "", " "])),
    max_size=8,
).flatmap(lambda lines: st.sampled_from(["\n", "\r\n", "\r"]).map(lambda end: end.join(lines)))
SOME = [("traefik.enable", "true"), ("traefik.http.routers.a.rule", "Host(`a`) && Path(`/%2F:=`)")]


@EXAMPLES
@given(machines())
def test_what_was_read_is_read_again(containers: list[Container]) -> None:
    model = parse(containers)
    boxes = [Container(declared.name, render_labels(declared)) for declared in model.containers]
    boxes += [Container(name, render_labels(one)) for one in model.containers for name in one.replicas]
    assert parse(boxes).containers == tuple(one for one in model.containers if render_labels(one))


@EXAMPLES
@given(machines(), ARGS, st.randoms(use_true_random=False))
def test_no_order_matters(containers: list[Container], args: TransformArgs, dice: Random) -> None:
    first = transform(parse(containers), args)
    shuffled = [
        Container(one.name, dict(sorted(one.labels.items(), key=lambda _: dice.random())), one.state)
        for one in sorted(containers, key=lambda _: dice.random())
    ]
    second = transform(parse(shuffled), args)
    assert (second.labels, second.kept, second.distinct, second.dropped) == (
        first.labels, first.kept, first.distinct, first.dropped,
    )  # fmt: skip
    assert sorted(map(str, second.findings)) == sorted(map(str, first.findings))
    assert render(second.labels) == render(first.labels)


@EXAMPLES
@given(machines(), ARGS)
def test_what_is_made_can_be_written_and_read(containers: list[Container], args: TransformArgs) -> None:
    result = transform(parse(containers), args)
    assert len(dict(result.labels)) == len(result.labels), "no key twice"
    assert tuple(read_labels(render(result.labels))) == result.labels
    assert tuple(extract(update("notes", result.labels, "x", limit=10**6).text, "x")) == result.labels
    assert all(key.startswith(("traefik.enable", "traefik.http.")) for key, _ in result.labels)


@EXAMPLES
@given(machines(), ARGS)
def test_the_counts_add_up(containers: list[Container], args: TransformArgs) -> None:
    model = parse(containers)
    result = transform(model, args)
    routers, services = len(result.router_names), len(result.service_names)
    if args.mode is Mode.PASSTHROUGH:
        assert len(result.labels) == (5 * routers + 2 * services + 1 if routers else 0)
        assert services == (1 if routers else 0)
    elif routers:
        assert result.kept + sum(result.dropped.values()) == model.counts.labels
        assert result.distinct <= min(result.kept, len(result.labels))


@EXAMPLES
@given(machines(), ARGS.filter(lambda args: args.mode is Mode.FILTER))
def test_filtering_twice_is_filtering_once(containers: list[Container], args: TransformArgs) -> None:
    once = transform(parse(containers), args)
    if not errors(once.findings):
        again = transform(parse([Container("all", dict(once.labels))]), args)
        assert again.labels == once.labels


@EXAMPLES
@given(NOTES)
def test_every_text_survives_a_block(text: str) -> None:
    body = render_block(SOME)
    merged = merge(text, body, "vm-7")
    assert strip(merged, "vm-7") == text
    assert merge(merged, body, "vm-7") == merged
    assert extract(merged, "vm-7") == SOME
    longer = [*SOME, ("traefik.http.routers.b.rule", "x")]
    replaced = merge(merged, render_block(longer), "vm-7")
    assert extract(replaced, "vm-7") == longer
    assert strip(replaced, "vm-7") == text


@EXAMPLES
@given(NOTES, NOTES)
def test_text_around_the_block_stays(before: str, after: str) -> None:
    merged = f"{before}\n{merge('', render_block(SOME), 'vm-7')}\n{after}"
    replaced = update(merged, SOME[:1], "vm-7", limit=10**6).text
    assert replaced.startswith(f"{before}\n<!--")
    assert replaced.endswith(f"-->\n{after}")


@EXAMPLES
@given(
    st.lists(
        st.sampled_from(["<!-- factory labels begin x -->", "<!-- factory labels end x -->", "word", ""]), max_size=8
    )
)
def test_no_order_of_markers_loses_a_word(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        merged = merge(text, render_block(SOME), "x")
    except NotesError:
        return
    assert extract(merged, "x") == SOME
    assert strip(merged, "x") == strip(text, "x")


_MANY_DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (f"traefik.http.routers.app.tls.domains[{_MANY_DIGITS}].main", "a.test"),
        (f"traefik.http.routers.app.unknown[{_MANY_DIGITS}]", "x"),
        ("traefik.http.routers.app.tls.domains[\u0661].main", "a.test"),
        ("traefik.http.services.app.loadbalancer.server.port", _MANY_DIGITS),
        ("traefik.http.routers.app.priority", _MANY_DIGITS),
    ],
    ids=["index", "unknown index", "other digits", "port", "priority"],
)
def test_a_number_that_is_none_stops_nothing(key: str, value: str) -> None:
    """TPX-66, TPX-196: one label of one container would end the plan of all guests; Python reads no such number."""
    labels = {"traefik.enable": "true", "traefik.http.routers.app.rule": "Host(`app.test`)", key: value}
    model = parse([Container("app", labels)])
    for mode in Mode:
        assert configuration([Machine("web", "10.20.0.6", model, TransformArgs(mode=mode))]).document is not None
    (declared,) = model.containers
    assert to_yaml(document(declared.elements.values(), "10.20.0.6"))
    notes = "".join(f"{name}={text}\n" for name, text in labels.items())
    routers, _services = predict_guest(Guest("web", 106, "pve1", notes, ("10.20.0.6",)))
    assert [(router.name, router.priority) for router in routers] == [("app", 1)]
