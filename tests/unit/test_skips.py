"""In CI a test that is skipped has failed, unless it is one of the long ones in a run that is not long."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

def test_within():
    pytest.skip("no such thing")

@pytest.mark.skipif(True, reason="no such thing")
def test_marked():
    pass

@pytest.fixture
def thing():
    pytest.skip("no such thing")

def test_by_fixture(thing):
    pass

@pytest.mark.long
def test_long():
    pytest.skip("no such thing")
"""
WHOLE_FILE = "import pytest\npytest.importorskip('no_such_thing', reason='no such thing')\n"


def outcome(source: str, folder: Path, **variables: str) -> tuple[int, str]:
    """The exit status and the counts of these tests under the project's set-up."""
    file = folder / "test_skipped.py"
    file.write_text(source)
    inherited = {name: os.environ[name] for name in os.environ.keys() - {"CI", "FACTORY_LONG"}}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q", file],
        cwd=ROOT,
        env=inherited | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    counts = re.findall(r"\d+ (?:passed|failed|skipped|errors?)", done.stdout.splitlines()[-1])
    return done.returncode, ", ".join(counts)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (0, "4 skipped")),
        ({"CI": "true"}, (1, "1 failed, 1 skipped, 2 errors")),
        ({"CI": "true", "FACTORY_LONG": "1"}, (1, "2 failed, 2 errors")),
    ],
    ids=["at home", "in CI", "in a long run in CI"],
)
def test_a_skip(variables: dict[str, str], expected: tuple[int, str], tmp_path: Path) -> None:
    assert outcome(TESTS, tmp_path, **variables) == expected


def test_a_file_that_is_skipped_fails_in_ci_too(tmp_path: Path) -> None:
    assert outcome(WHOLE_FILE, tmp_path, CI="true") == (2, "1 error")


def test_the_submitted_command_runs_as_in_ci() -> None:
    assert 'export CI="${CI:-true}"\n' in (ROOT / ".ci" / "run").read_text("utf-8")
