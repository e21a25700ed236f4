"""`./factory doctor` names what is missing here, and how much room the first run takes."""

from __future__ import annotations

from pathlib import Path

import pytest

import toolchain
from cli import doctor
from toolchain import Origin, Tool
from toolchain.debian_packages import GATEWAY_PROGRAMS, LONG_TESTS, TEST_MACHINES

GIB = 1024**3


def finding(subject: str) -> doctor.Finding:
    (found,) = (one for one in doctor.findings() if one.subject == subject)
    return found


def test_the_room_is_that_of_what_is_still_to_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "locate", lambda name: Tool(name, "1.0", Origin.BUILT, Path("/nonexistent")))
    assert "1 needed" in finding("disk").found
    monkeypatch.setattr(toolchain, "locate", lambda _name: None)
    assert doctor._room() > 10 * GIB
    monkeypatch.setattr(doctor, "_room", lambda: 1 << 60)
    disk = finding("disk")
    assert not disk.ok
    assert "FACTORY_CACHE" in disk.advice


@pytest.mark.parametrize(
    ("subject", "programs"), [("machines", TEST_MACHINES), ("gateway", GATEWAY_PROGRAMS), ("long", LONG_TESTS)]
)
def test_a_missing_program_is_named_with_its_package(
    subject: str, programs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = next(iter(programs))
    monkeypatch.setattr(doctor, "program", lambda name: None if name == gone else f"/usr/bin/{name}")
    found = finding(subject)
    assert (found.ok, found.required) == (False, False)
    assert gone in found.found
    assert programs[gone] in found.advice
