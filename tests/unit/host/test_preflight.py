"""What a host's preflight facts warn of before the first change."""

from __future__ import annotations

from typing import Any

import pytest

from components.host.preflight import skew, warnings

MIB = 1024**2
WELL: dict[str, Any] = {"clock": 1000.5, "disk": {"/": {"free": 900 * MIB, "total": 9000 * MIB}}, "apt_lock": False}


@pytest.mark.parametrize(("clock", "seconds"), [(1000.0, 0), (1003.0, 0), (1008.5, 5.5), (400.0, -600.0)])
def test_only_what_lies_outside_of_the_question_is_skew(clock: float, seconds: float) -> None:
    assert skew(clock, 1000.0, 1003.0) == seconds


def test_a_host_that_is_well_warns_of_nothing() -> None:
    assert list(warnings(WELL, 1000.0, 1001.0)) == []
    assert list(warnings({}, 1000.0, 1001.0)) == []
    assert list(warnings({**WELL, "clock": 1050.0}, 1000.0, 1001.0)) == [], "no run fails for less than a minute"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"clock": 1000.0 + 7200}, "its clock is 7199 s ahead: signatures of packages"),
        ({"clock": 0.0}, "its clock is 1000 s behind: "),
        ({"disk": {"/": {"free": 900 * MIB}, "/var": {"free": 12 * MIB}}}, "only 12 MiB are free on /var"),
        ({"apt_lock": True}, "another program holds the lock of apt"),
    ],
)
def test_what_may_stop_a_run_half_way_is_said(facts: dict[str, Any], said: str) -> None:
    (warning,) = warnings({**WELL, **facts}, 1000.0, 1001.0)
    assert said in warning
