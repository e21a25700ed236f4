"""The record of a long run says what pytest reported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import toolchain
from cli import processes, testing
from cli.test_record import describe

OUTCOME = """<?xml version="1.0"?>
<testsuites>
  <testsuite name="pytest" errors="1" failures="2" skipped="2" tests="7" time="125.4">
    <testcase classname="tests.unit.cli.test_one" name="test_good" time="0.5"/>
    <testcase classname="tests.unit.cli.test_one" name="test_bad" time="1.5"><failure/></testcase>
    <testcase classname="tests.unit.cli.test_one" name="test_bad" time="0.1"><error/></testcase>
    <testcase classname="tests.engine.lifecycle.test_kill" name="test_kills" time="60.2"/>
    <testcase classname="tests.engine.test_wheel" name="test_wheel" time="9.9"/>
    <testcase classname="tests.hosts.test_life" name="test_a[x|y]" time="0"><failure/></testcase>
    <testcase classname="tests.hosts.test_life" name="test_b" time="0"><skipped message="needs a | b"/></testcase>
    <testcase classname="tests.hosts.test_life" name="test_c" time="0"><skipped message="needs a | b"/></testcase>
  </testsuite>
</testsuites>
"""


@pytest.mark.parametrize(
    ("status", "said"), [(0, "wrote"), (1, "wrote"), (2, "did not come to its end"), (3, "did not come to its end")]
)
def test_an_interrupted_run_leaves_the_record_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    def pytest_run(command: list[str], **_options: object) -> int:
        Path(command[-1].removeprefix("--junitxml=")).write_text(OUTCOME)
        return status

    for name in [name for name in vars(testing) if name.startswith("provide_")]:
        monkeypatch.setattr(testing, name, lambda _report: None)
    monkeypatch.setattr(toolchain, "ensure", lambda *_: {})
    monkeypatch.setattr(toolchain, "ROOT", tmp_path)
    monkeypatch.setattr(testing, "_machine", dict)
    monkeypatch.setattr(processes, "run", pytest_run)
    record = tmp_path / testing.RESULTS
    record.parent.mkdir()
    record.write_text("of the last whole run")
    lines: list[str] = []
    assert testing.run([], long=True, report=lines.append) == status
    assert said in lines[-1]
    assert (record.read_text() == "of the last whole run") is (said != "wrote")


def test_a_record_has_counts_areas_reasons_and_failures() -> None:
    record = describe(OUTCOME, {"date": "2024-02-03", "seed": "42"})
    assert (
        record
        == """\
# Last long test run

Written by `./factory test --long`: everything at full count.

|  |  |
| --- | --- |
| date | 2024-02-03 |
| seed | 42 |
| passed | 3 |
| failed | 2 |
| skipped | 2 |
| duration | 2m05s |

## Areas

Seconds are those of the tests, which run side by side.

| area | passed | failed | skipped | seconds |
| --- | --- | --- | --- | --- |
| tests/engine | 1 | 0 | 0 | 10 |
| tests/engine/lifecycle | 1 | 0 | 0 | 60 |
| tests/hosts | 0 | 1 | 2 | 0 |
| tests/unit | 1 | 1 | 0 | 2 |

## Skipped

| area | tests | reason |
| --- | --- | --- |
| tests/hosts | 2 | needs a \\| b |

## Failed

- `tests.hosts.test_life::test_a[x|y]`
- `tests.unit.cli.test_one::test_bad`
"""
    )


def test_pytests_own_report_is_understood(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "engine" / "area"
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(
        "import pytest\ndef test_a(): pass\n@pytest.mark.skip(reason='not here')\ndef test_b(): pass\n"
    )
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:fakepve", "--import-mode=importlib"]
    subprocess.run([*command, f"--rootdir={tmp_path}", f"--junitxml={report}", "."], cwd=tmp_path, check=True)
    record = describe(report.read_text("utf-8"), {})
    assert "| tests/engine/area | 1 | 0 | 1 | 0 |" in record
    assert "| tests/engine/area | 1 | not here |" in record
    assert "## Failed" not in record
