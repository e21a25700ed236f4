"""What the engine prints is read as it writes it, and what it says of a mistake has the status of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli import engine
from cli.errors import CommandError, InputError
from cli.session import Session
from cli.stack import Stack
from toolchain.engine_home import EngineHome, PluginSet
from toolchain.paths import ROOT

ASKED = ["stack", "export"]
_CAPTURE = """
import sys
from pathlib import Path
from tests.unit.cli.test_engine import ASKED, session
from cli import engine
assert engine.capture(session(Path(sys.argv[1])), ASKED) == "caf\\N{LATIN SMALL LETTER E WITH ACUTE}\\n"
"""


def session(pulumi: Path) -> Session:
    """The session of a stack whose engine is this program."""
    stack = Stack("home", ROOT / "Pulumi.home.yaml", "sandbox", embedded=True, config={})
    return Session(stack, EngineHome(pulumi, PluginSet.LOCAL, {}), {"PULUMI_BACKEND_URL": "file:///states"})


def program(folder: Path, *lines: str) -> Path:
    file = folder / "pulumi"
    file.write_text("\n".join(["#!/bin/sh", *lines]), "utf-8")
    file.chmod(0o755)
    return file


def test_a_state_is_utf_8_whatever_the_locale_says(tmp_path: Path) -> None:
    pulumi = program(tmp_path, r"printf 'caf\303\251\n'")
    # Without the mode of the launcher, and with no coercion: in the C locale this interpreter decodes ASCII.
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _CAPTURE, str(pulumi)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_bytes_that_are_no_text_do_not_hide_what_failed(tmp_path: Path) -> None:
    pulumi = program(tmp_path, r"printf 'no such file: \377\n' >&2", "exit 255")
    with pytest.raises(CommandError, match=r"^pulumi stack: no such file: \\xff$") as failed:
        engine.capture(session(pulumi), ASKED)
    assert failed.value.status == 1


def test_a_wrong_passphrase_is_bad_input(tmp_path: Path) -> None:
    pulumi = program(tmp_path, "echo 'error: constructing secrets manager: incorrect passphrase' >&2", "exit 255")
    with pytest.raises(InputError, match="taken from PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE"):
        engine.capture(session(pulumi), ASKED)


def test_an_engine_that_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"^pulumi stack: it said nothing$"):
        engine.capture(session(program(tmp_path, "exit 1")), ASKED)
