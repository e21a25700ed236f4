"""What the gateway's plugin makes of notes, by version, and every trap that is told of beforehand."""

from __future__ import annotations

import pytest

from components.traefik_gateway import TransformArgs, parse, transform, update
from components.traefik_gateway.lint import Prediction, predict
from components.traefik_gateway.plugin import Guest, parse_version, predict_guest, public_urls, read_notes
from tests.support.labels import ROUTERS, SERVICES, example

V050, V060, V070, V075, V080, V081, V082 = ((0, 5, 0), (0, 6, 0), (0, 7, 0), (0, 7, 5), (0, 8, 0), (0, 8, 1), (0, 8, 2))


def guest(*lines: str, name: str = "web", vmid: int = 101, addresses: tuple[str, ...] = ("10.0.0.1",)) -> Guest:
    return Guest(name, vmid, "pve-a", "\n".join(lines), addresses)


def enabled(*lines: str) -> Guest:
    return guest("traefik.enable=true", *lines)


SOUND = (
    f"{ROUTERS}a.rule=Host(`a.example.test`)",
    f"{ROUTERS}a.entrypoints=websecure",
    f"{ROUTERS}a.service=a",
    f"{ROUTERS}a.tls.certresolver=le",
    f"{SERVICES}a.loadbalancer.server.port=8080",
)


def rules(prediction: Prediction) -> list[str]:
    return [finding.id for finding in prediction.findings]


def pairs(text: str, version: tuple[int, ...]) -> list[tuple[str, str]]:
    return [(reading.key, reading.value) for reading in read_notes(text, version)]


# How a line is read (TPX-262 to TPX-264)


@pytest.mark.parametrize(
    ("line", "version", "expected"),
    [
        ('"traefik.enable": "true"', V050, [("traefik.enable", "true")]),
        ("traefik.enable=true", V050, []),
        ("traefik.enable=true", V060, [("traefik.enable", "true")]),
        ("traefik.a=Host(`x:1`)", V060, [("traefik.a=Host(`x", "1`)")]),
        ("traefik.a=Host(`x:1`)", V070, [("traefik.a=Host(`x", "1`)")]),
        ("traefik.a=Host(`x:1`)=y", V075, [("traefik.a", "Host(`x:1`)=y")]),
        ('"traefik.enable": "true"', V075, []),
        (' "traefik.a" = "b" ', V075, [("traefik.a", "b")]),
        ("# traefik.a=b", V075, []),
        ("# traefik.a=b", V080, [("traefik.a", "b")]),
        ("traefik.a=b traefik.c=d", V075, [("traefik.a", "b traefik.c=d")]),
        ("traefik.a=b traefik.c=d", V081, [("traefik.a", "b"), ("traefik.c", "d")]),
        ("Traefik.a=b", V081, []),
        ("traefik.HTTP.Routers=B", V081, [("traefik.HTTP.Routers", "B")]),
        ("traefik.HTTP.Routers=B", V082, [("traefik.http.routers", "B")]),
        ("plain: text", V050, []),
    ],
)
def test_a_line_is_read_as_this_version_reads_it(
    line: str, version: tuple[int, ...], expected: list[tuple[str, str]]
) -> None:
    assert pairs(line, version) == expected


@pytest.mark.parametrize("text", ["v0.8.1", "0.8.1"])
def test_a_version_is_read(text: str) -> None:
    assert parse_version(text) == V081


@pytest.mark.parametrize("text", ["", "latest", "v0.8", "0.8.1-rc1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no version of the plugin"):
        parse_version(text)


# What becomes of the labels (TPX-265, TPX-266)


def test_the_worked_example_becomes_two_routers_and_one_service() -> None:
    labels = transform(parse(example()), TransformArgs()).labels
    one = guest(update("Home lab VM: since 2020\n", labels, "vm-7").text)
    prediction = predict([one], block_id="vm-7")
    assert [(router.name, router.services, router.priority, router.urls) for router in prediction.routers] == [
        ("homarr", ("homelab-traefik",), 1, ("https://home.example.test/",)),
        ("miniflux", ("homelab-traefik",), 1, ("https://home.example.test/miniflux",)),
    ]
    assert [(service.name, service.url) for service in prediction.services] == [
        ("homelab-traefik", "http://10.0.0.1:8080")
    ]
    assert prediction.findings == ()


def test_a_guest_that_says_nothing_adds_nothing() -> None:
    for notes in ("", "traefik.enable=false", "traefik.enable=1", "notes"):
        assert predict_guest(guest(notes)) == ([], [])
    assert predict_guest(Guest("web", 1, "pve-a", "traefik.enable=true", running=False)) == ([], [])


def test_enabled_alone_makes_a_default_router() -> None:
    (router,), (service,) = predict_guest(enabled())
    assert (router.name, router.rule, router.services) == ("web-101", "Host(`web`)", ("web-101",))
    assert service.url == "http://10.0.0.1:80"


def test_lists_are_split_without_trimming() -> None:
    (router,), _ = predict_guest(
        enabled(f"{ROUTERS}a.entrypoints=web, websecure", f"{ROUTERS}a.middlewares=x@file,y@file")
    )
    assert router.entrypoints == ("web", " websecure")
    assert router.middlewares == ("x@file", "y@file")


def test_one_entry_point_may_be_written_in_the_singular() -> None:
    (router,), _ = predict_guest(enabled(f"{ROUTERS}a.entrypoint=web"))
    assert router.entrypoints == ("web",)


def test_without_a_service_any_may_be_meant() -> None:
    (router,), _ = predict_guest(enabled(f"{ROUTERS}a.rule=x", f"{SERVICES}b.x=1", f"{SERVICES}a.x=1"))
    assert router.services == ("a", "b")


@pytest.mark.parametrize(("text", "priority"), [("7", 7), ("-3", -3), (" 12x", 12), ("high", 1), ("", 1)])
def test_a_priority_is_a_number_or_one(text: str, priority: int) -> None:
    (router,), _ = predict_guest(enabled(f"{ROUTERS}a.priority={text}"))
    assert router.priority == priority


@pytest.mark.parametrize(
    ("line", "version", "tls"),
    [
        ("tls=true", V081, True),
        ("tls=TRUE", V081, False),
        ("tls.certresolver=le", V081, True),
        ("tls.options=x", V081, True),
        ("tls.domains=a.test", V081, True),
        ("tls.domains[0].main=a.test", V081, False),
        ("tls.domains[0].main=a.test", V082, True),
    ],
)
def test_tls_is_on_by_itself_or_by_an_option(line: str, version: tuple[int, ...], *, tls: bool) -> None:
    (router,), _ = predict_guest(enabled(f"{ROUTERS}a.{line}"), version)
    assert router.tls is tls


@pytest.mark.parametrize(
    ("lines", "version", "addresses", "url"),
    [
        ([], V081, ("10.0.0.1",), "http://10.0.0.1:80"),
        (["scheme=https"], V081, ("10.0.0.1",), "https://10.0.0.1:443"),
        (["scheme=h2c", "port=81"], V081, ("10.0.0.1",), "http://10.0.0.1:81"),
        (["port=81"], V081, ("127.0.0.1", "10.0.0.2"), "http://10.0.0.2:81"),
        (["port=81"], V081, (), "http://web.pve-a:81"),
        (["port=81", "ip=10.9.9.9"], V081, ("10.0.0.1",), "http://10.9.9.9:81"),
        (["port=81", "ip=10.9.9.9"], V075, ("10.0.0.1",), "http://10.0.0.1:81"),
        (["port=81", "url=http://x:1"], V081, ("10.0.0.1",), "http://x:1"),
    ],
)
def test_the_address_of_a_service(
    lines: list[str], version: tuple[int, ...], addresses: tuple[str, ...], url: str
) -> None:
    labels = [f"{SERVICES}s.loadbalancer.server.{line}" for line in lines] or [f"{SERVICES}s.x=1"]
    _, (service,) = predict_guest(guest("traefik.enable=true", *labels, addresses=addresses), version)
    assert service.url == url


@pytest.mark.parametrize(
    ("rule", "urls"),
    [
        ("Host(`a`)", ("https://a/",)),
        ("Host(`a`) && PathPrefix(`/x`)", ("https://a/x",)),
        ("Host(`a`) && (Path(`/x`) || Path(`/y`))", ("https://a/x", "https://a/y")),
        ("Host(`a`) && Path(`/x`) || Host(`b`)", ("https://a/x", "https://b/")),
        ("(Host(`a`) || Host(`b`)) && PathPrefix(`/x`)", ("https://a/x", "https://b/x")),
        ("Host(`a`) && !Path(`/x`)", ("https://a/",)),
        ("HostRegexp(`.*`)", ()),
        ("", ()),
    ],
)
def test_the_addresses_of_a_rule(rule: str, urls: tuple[str, ...]) -> None:
    assert public_urls(rule, tls=True) == urls


# Traps


def test_sound_notes_have_no_trap() -> None:
    assert predict([enabled(*SOUND)]).findings == ()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({0: ""}, "TPX-265"),
        ({2: f"{SERVICES}b.loadbalancer.server.port=81"}, "TPX-265"),
        ({2: f"{ROUTERS}a.service=other"}, "TPX-265"),
        ({1: f"{ROUTERS}a.entrypoints=web, websecure"}, "TPX-265"),
        ({1: ""}, "TPX-148"),
        ({4: f"{SERVICES}a.loadbalancer.server.scheme=https"}, "TPX-266"),
        ({5: "traefik.tcp.routers.t.rule=HostSNI(`*`)"}, "TPX-243"),
        ({5: "traefik.http.middlewares.m.compress=true"}, "TPX-243"),
        ({5: f"{ROUTERS}a.middlewares=m"}, "TPX-243"),
        ({5: f"{ROUTERS}a.observability.metrics=true"}, "TPX-243"),
        ({5: "# off for now: traefik.http.routers.a.priority=3"}, "TPX-263"),
        ({5: f"{ROUTERS}a.rule=Host(`b`)"}, "TPX-133"),
        ({0: f'{ROUTERS}a.rule=Host("a") && Path("/")"'}, "TPX-128"),
        ({5: f"{ROUTERS}a.priority=3\r"}, "TPX-127"),
        ({0: f"{ROUTERS}a.rule=Header(`X-Token`, `abc`)"}, "TPX-194"),
    ],
)
def test_a_trap_is_told(change: dict[int, str], rule: str) -> None:
    lines = [*SOUND, ""]
    for place, line in change.items():
        lines[place] = line
    prediction = predict([enabled(*lines)])
    assert rule in rules(prediction)
    assert all(finding.where == "web (101)" for finding in prediction.findings)


def test_a_credential_is_not_repeated() -> None:
    prediction = predict([enabled("# traefik.http.middlewares.m.basicauth.users=joe:$2y$05$secret")])
    assert {"TPX-194", "TPX-263", "TPX-243"} <= set(rules(prediction))
    assert "secret" not in str(prediction.findings)


def test_a_guest_without_an_address_and_one_with_several_are_told() -> None:
    nobody = predict([guest("traefik.enable=true", *SOUND, addresses=())])
    assert rules(nobody) == ["TPX-266"]
    assert "http://web.pve-a:8080" in nobody.findings[0].message
    several = predict([guest("traefik.enable=true", *SOUND, addresses=("10.0.0.1", "172.17.0.1"))])
    assert rules(several) == ["TPX-172"]


def test_labels_that_do_nothing_are_told() -> None:
    assert rules(predict([guest(*SOUND)])) == ["TPX-67"]
    assert rules(predict([guest("traefik.enable=True", *SOUND)])) == ["TPX-67"]
    off = Guest("web", 101, "pve-a", "\n".join(["traefik.enable=true", *SOUND]), running=False)
    assert rules(predict([off])) == ["TPX-31"]


def test_routers_of_several_services_need_priorities() -> None:
    more = [line.replace("s.a.", "s.b.").replace("service=a", "service=b") for line in SOUND]
    assert rules(predict([enabled(*SOUND, *more)])) == ["TPX-158", "TPX-158"]
    same = [line.replace("routers.a.", "routers.b.") for line in SOUND]
    assert rules(predict([enabled(*SOUND, *same)])) == []


def test_names_are_global_over_all_guests() -> None:
    other = guest("traefik.enable=true", *SOUND, name="db", vmid=102, addresses=("10.0.0.2",))
    prediction = predict([enabled(*SOUND), other])
    assert sorted(rules(prediction)) == ["TPX-228", "TPX-228", "TPX-267", "TPX-267"]
    assert len(prediction.routers) == 2
    assert [finding.level for finding in prediction.findings] == ["error"] * 4


def test_lines_outside_the_block_and_damaged_markers_are_told() -> None:
    text = update("", [("traefik.enable", "true")], "vm-7").text
    assert "TPX-133" in rules(predict([guest(f"{text}\ntraefik.http.routers.x.rule=y")], block_id="vm-7"))
    assert "TPX-134" in rules(predict([guest(text.partition("<!-- factory labels end")[0])], block_id="vm-7"))


def test_notes_that_are_too_long_are_told() -> None:
    assert rules(predict([guest("x" * 8193)])) == ["TPX-121"]


def test_an_old_plugin_is_told() -> None:
    assert rules(predict([], V070)) == ["TPX-262"]
    assert rules(predict([], V075)) == []


def test_the_prediction_is_plain_data() -> None:
    data = predict([enabled()]).as_data()
    assert list(data) == ["routers", "services", "warnings"]
