"""Marks of production are found wherever they stand in a text, and nothing else is."""

import base64
import ipaddress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Facts, read_facts
from policies.production import find_production

# Documentation networks only, so small that a mark and an address often meet.
_ADDRESSES = st.sampled_from([f"203.0.113.{last}" for last in (0, 1, 5, 50, 55, 150, 255)])
_AROUND = (
    "{}",
    "http://{}/",
    "postgres://app:word@{}:5432/app?connect_timeout=5",
    "host={} port=5432",
    '{{"address": "{}"}}',
    "first\\n{}\\nlast",
    "[{}]:22",
    "::ffff:{}",
    "ip.{}.wildcard.test",
    "{}.",
    "a,{},b",
)


def _facts(*ips: str, hosts: tuple[str, ...] = ("vault.example.test",)) -> Facts:
    facts = read_facts({"environment": "sandbox", "fingerprints": {"ips": list(ips), "hosts": list(hosts)}})
    assert not facts.problems
    return facts


@given(mark=_ADDRESSES, address=_ADDRESSES, around=st.sampled_from(_AROUND), number=st.integers(0, 3))
def test_an_address_is_found_exactly_when_it_is_production_s(mark: str, address: str, around: str, number: int) -> None:
    text = around.format(address)
    encoded = (text, quote(text, safe=""), base64.b64encode(text.encode()).decode(), text.upper())[number]
    assert bool(find_production(encoded, _facts(mark))) == (mark == address)


@given(mark=_ADDRESSES, address=_ADDRESSES, length=st.integers(1, 32))
def test_a_network_is_found_exactly_when_production_lies_in_it(mark: str, address: str, length: int) -> None:
    network = ipaddress.ip_network(f"{address}/{length}", strict=False)
    found = find_production(f"allow {address}/{length};", _facts(mark))
    assert bool(found) == (ipaddress.ip_address(mark) in network)


@given(mark=_ADDRESSES, address=_ADDRESSES, length=st.integers(24, 32))
def test_production_may_be_a_network(mark: str, address: str, length: int) -> None:
    network = ipaddress.ip_network(f"{mark}/{length}", strict=False)
    assert bool(find_production(f"http://{address}/", _facts(str(network)))) == (
        ipaddress.ip_address(address) in network
    )


@given(mark=_ADDRESSES, first=_ADDRESSES, last=_ADDRESSES, short=st.booleans())
def test_a_range_is_found_exactly_when_production_lies_in_it(mark: str, first: str, last: str, short: bool) -> None:
    low, high = (ipaddress.IPv4Address(end) for end in (first, last))
    text = f"{first}-{last.rpartition('.')[2] if short else last}"
    # The wrong way round it is no range, and both ends are addresses like any other.
    inside = low <= ipaddress.IPv4Address(mark) <= high if low <= high else mark in (first, "" if short else last)
    assert bool(find_production(text, _facts(mark))) == inside


@given(mark=_ADDRESSES)
@pytest.mark.parametrize("form", ["::ffff:{}", "2002:{}::", "64:ff9b::{}"])
def test_an_ipv4_address_is_found_in_its_ipv6_forms(form: str, mark: str) -> None:
    number = int(ipaddress.IPv4Address(mark))
    text = f"https://[{form.format(f'{number >> 16:x}:{number & 0xFFFF:x}')}]:8443/"
    assert find_production(text, _facts(mark))
    assert not find_production(text, _facts("198.51.100.1"))


@pytest.mark.parametrize("text", ["2001:db8::5", "2001:0DB8:0:0:0:0:0:5", "http://[2001:db8::5]:80/", "2001:db8::/64"])
def test_production_may_have_an_ipv6_address(text: str) -> None:
    assert find_production(text, _facts("2001:db8::5"))
    assert not find_production(text, _facts("2001:db9::5"))


@pytest.mark.parametrize(
    "text", ["1203.0.113.5", "203.0.113.55", "203.0.113.5.1", "1.203.0.113.5", "203.0.113", "2030.113.5"]
)
def test_longer_numbers_are_other_things(text: str) -> None:
    assert not find_production(text, _facts("203.0.113.5"))


def test_a_phrase_tells_the_mark_and_never_the_rest() -> None:
    (phrase,) = find_production("postgres://app:hunter2@203.0.113.5/app?host=203.0.113.5", _facts("203.0.113.5"))
    assert phrase == "the production address 203.0.113.5"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("vault.example.test", True),
        ("VAULT.EXAMPLE.TEST.", True),
        ("https://vault.example.test:8200/v1", True),
        ("user@vault.example.test", True),
        ("x.vault.example.test", False),
        ("vault.example.tests", False),
        ("my-vault.example.test", False),
        ("db.prod.test", True),
        ("a.b.prod.test", True),
        ("prod.test", False),
    ],
)
def test_host_names_are_compared_whole(name: str, found: bool) -> None:
    facts = _facts("203.0.113.5", hosts=("vault.example.test", "*.prod.test"))
    assert bool(find_production(name, facts)) == found
