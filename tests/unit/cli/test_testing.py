"""The record of a long run holds what pytest counted."""

from __future__ import annotations

import datetime as dt

from cli.testing import describe

OUTCOME = """<?xml version="1.0"?>
<testsuites>
  <testsuite name="pytest" errors="1" failures="2" skipped="3" tests="20" time="125.4" timestamp="2024-02-03T04:05:06"/>
</testsuites>
"""


def test_a_record_counts_what_pytest_counted() -> None:
    record = describe(OUTCOME, seed="42", arguments=["-k", "kill"], day=dt.date(2024, 2, 3))
    for row in ("| date | 2024-02-03 |", "| seed | 42 |", "| arguments | -k kill |", "| passed | 14 |"):
        assert row in record
    assert "| failed | 3 |" in record
    assert "| skipped | 3 |" in record
    assert "| duration | 2m05s |" in record
