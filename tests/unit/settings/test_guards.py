"""The guards between a sandbox and production, each refusal beside the same call that is allowed."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.settings import guards
from stacks.settings.guards import Fingerprints
from stacks.settings.problems import Path

MARKS = Fingerprints(
    ips=("203.0.113.10", "198.51.100.0/28", "2001:db8::10"),
    hosts=("vault.example.test",),
    zones=("example.test",),
    buckets=("site-states",),
    organizations=("example",),
    paths=("~/.example/keys.json",),
    tunnels=("home",),
)
NOTHING_EXEMPT = lambda _: False  # noqa: E731 - the neutral element of the tests


def found(values: dict[str, object], *, i_mean_prod: bool = False) -> list[str]:
    hits = guards.production_values(values, MARKS, i_mean_prod=i_mean_prod, exempt=NOTHING_EXEMPT)
    return [mark for _, _, mark in hits]


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("203.0.113.10", "address 203.0.113.10"),
        ("https://203.0.113.10:8200/v1", "address 203.0.113.10"),
        ("203.0.113.10/32", "address 203.0.113.10"),
        ("198.51.100.7", "address 198.51.100.7"),
        ("[2001:db8:0:0::10]:443", "address 2001:db8::10"),
        ("::ffff:203.0.113.10", "address 203.0.113.10"),
        ("https://VAULT.Example.test.", "host vault.example.test"),
        ("www.example.test", "zone example.test"),
        ("gs://site-states", "bucket site-states"),
        ("s3://site-states/backups", "bucket site-states"),
        ("https://forge.sandbox.test/example/app", "organization example"),
        ("/home/op/.example/keys.json", "path ~/.example/keys.json"),
    ],
)
def test_a_mark_of_production_is_found_however_it_is_written(text: str, mark: str) -> None:
    assert found({"platform": {"deep": [text]}}) == [mark]


@pytest.mark.parametrize(
    "text",
    [
        "203.0.113.1",
        "203.0.113.100",
        "1203.0.113.10",
        "203.0.113.10.5",
        "198.51.100.16",
        "vault.example.test-sandbox",
        "myexample.test",
        "gs://site-states-sandbox",
        "gs://site-states/sandbox/state",
        "example-sandbox",
        "/home/op/.example/sandbox/keys.json",
        "home",
        "12:30:45",
    ],
)
def test_a_value_that_only_resembles_one_is_not(text: str) -> None:
    assert found({"platform": {"deep": [text]}}) == []


def test_i_mean_prod_lifts_plain_addresses_alone() -> None:
    """POL-01: never a connection, the state, a name."""
    assert found({"apps": {"webapp": "203.0.113.10"}}, i_mean_prod=True) == []
    for section in ("vault", "postgres", "kubernetes", "sandbox"):
        assert found({section: "203.0.113.10"}, i_mean_prod=True) == ["address 203.0.113.10"]
    assert found({"apps": {"webapp": "vault.example.test"}}, i_mean_prod=True) == ["host vault.example.test"]


def test_an_image_may_come_from_production() -> None:
    """SBX-18: the one exemption is by key, not by value."""

    def exempt(path: Path) -> bool:
        return path == ("platform", "registry")

    values = {"platform": {"registry": "registry.example.test", "forge_url": "https://registry.example.test"}}
    hits = guards.production_values(values, MARKS, i_mean_prod=False, exempt=exempt)
    assert [path for path, _, _ in hits] == [("platform", "forge_url")]


@given(st.ip_addresses(v=4), st.sampled_from(["{}", "http://{}/x", "{}:5432", "a {} b", "tcp://{}"]))
def test_an_address_is_found_exactly_when_it_is_one_of_the_marked(address: ipaddress.IPv4Address, form: str) -> None:
    marked = any(address in ipaddress.ip_network(network) for network in MARKS.ips if ":" not in network)
    assert (MARKS.address_found_in(form.format(address)) == str(address)) is marked


@given(st.text())
def test_any_text_can_be_searched(text: str) -> None:
    mark = MARKS.found_in(text)
    assert mark is None or mark.partition(" ")[2]


def test_no_marks_protect_nothing_and_say_so() -> None:
    assert not Fingerprints()
    assert Fingerprints(tunnels=("home",))


def test_the_marks_of_several_files_are_all_kept() -> None:
    both = MARKS.merged(Fingerprints(ips=("203.0.113.10", "192.0.2.1")))
    assert both.ips == ("203.0.113.10", "198.51.100.0/28", "2001:db8::10", "192.0.2.1")
    assert both.zones == MARKS.zones


@pytest.mark.parametrize(
    ("url", "declared", "embedded", "rule"),
    [
        ("file:///home/op/state/backend", None, True, ""),
        ("file:///home/op/state/backend", None, False, "not the sandbox's own"),
        ("gs://site-sandbox", "gs://site-sandbox", False, ""),
        ("gs://site-sandbox/", "gs://site-sandbox", False, ""),
        ("gs://other-sandbox", "gs://site-sandbox", False, "not the sandbox's own"),
        ("https://api.pulumi.com", None, True, "not the sandbox's own"),
        ("gs://site-states", "gs://site-states", False, "in production"),
        ("gs://site-states/sandbox/state", "gs://site-states/sandbox/state", False, ""),
        ("file:///srv/share.example.test/x", None, True, "in production"),
    ],
)
def test_a_sandbox_uses_its_own_backend_only(url: str, declared: str | None, embedded: bool, rule: str) -> None:
    """POL-10, SBX-08."""
    problems = guards.backend_url("sandbox", url, declared=declared, embedded=embedded, production=MARKS)
    assert [rule] == [rule for problem in problems if rule in problem.rule] if rule else problems == []


@pytest.mark.parametrize("url", ["gs://site-sandbox", "s3://states/sandbox/x", "file:///srv/sandbox", "gs://sandbox"])
def test_production_never_uses_a_sandbox_backend(url: str) -> None:
    """POL-10: the other direction."""
    assert [problem.rule for problem in guards.backend_url("prod", url)] == [
        "production's state in a sandbox backend (POL-10)"
    ]


@pytest.mark.parametrize("url", ["gs://site-states", "file:///home/sandbox/states", "s3://sandboxes"])
def test_production_uses_any_other_backend(url: str) -> None:
    assert guards.backend_url("prod", url, home="/home/sandbox") == []


@pytest.mark.parametrize(("original", "refused"), [("s3://ours", False), ("s3://other", True), (None, True)])
def test_of_a_scratch_copy_the_original_backend_is_judged(original: str | None, refused: bool) -> None:
    variables = {"PULUMI_BACKEND_URL": "file:///tmp/scratch"} | (
        {guards.SCRATCH_VARIABLE: original} if original else {}
    )
    problems = guards.surroundings(
        "sandbox", variables, state_url="s3://ours", embedded=False, production=guards.Fingerprints()
    )
    assert bool(problems) is refused


@pytest.mark.parametrize(
    "name",
    [
        "CLOUDFLARE_API_TOKEN",
        "CLOUDFLARE_EMAIL",
        "CF_API_KEY",
        "OVH_APPLICATION_SECRET",
        "OVH_CLIENT_ID",
        "ZOHO_CLIENT_SECRET",
        "zoho_refresh_token",
        "TF_VAR_ovh_consumer_key",
    ],
)
def test_a_sandbox_sees_no_dns_or_mail_credential(name: str) -> None:
    """POL-08; production may."""
    problems = guards.environment_variables("sandbox", {name: "hunter2", "PATH": "/bin"})
    assert [problem.path for problem in problems] == [name]
    assert "hunter2" not in str(problems[0])
    assert guards.environment_variables("prod", {name: "hunter2"}) == []
    assert guards.environment_variables("sandbox", {name: ""}) == []


@pytest.mark.parametrize("name", ["CLOUDFLARE", "CF_REGION", "OVHCLOUD_NOTE", "MY_OVH_TOKEN", "VAULT_TOKEN", "HOME"])
def test_other_variables_are_none_of_its_business(name: str) -> None:
    assert guards.environment_variables("sandbox", {name: "value"}) == []


def test_unseal_keys_lie_in_a_sandbox_directory_exactly_in_a_sandbox() -> None:
    """POL-12."""
    assert guards.unseal_path("sandbox", "~/.site/sandbox/keys.json") is None
    assert guards.unseal_path("prod", "~/.site/keys.json") is None
    assert "POL-12" in (guards.unseal_path("sandbox", "~/.site/keys.json") or "")
    assert "POL-12" in (guards.unseal_path("prod", "~/.site/sandbox/keys.json") or "")


def test_names_that_resolve_to_production_are_refused() -> None:
    """SBX-26: the names are the same in both environments, the addresses are not."""
    book = {"vault.lan.test": ["10.0.0.5", "203.0.113.10"], "db.lan.test": ["10.0.0.6"], "gone.lan.test": []}
    hosts = {"vault": "vault.lan.test", "postgres": "db.lan.test", "kubernetes": "gone.lan.test"}
    problems = guards.resolved_hosts(hosts, MARKS, book.__getitem__)
    assert [(problem.path, problem.value) for problem in problems] == [("factory:vault", '"vault.lan.test"')]
