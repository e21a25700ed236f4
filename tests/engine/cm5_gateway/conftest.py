"""A machine for a gateway, with two networks and a disk: one for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import apt_repository, machines
from tests.support.gateway_device import Device, gateway_device
from toolchain.debian_packages import GATEWAY_PROGRAMS, TEST_MACHINES, program


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """The machine as it comes, running."""
    with gateway_device(tmp_path_factory.mktemp("gateway")) as device:
        yield device


@pytest.fixture(scope="module")
def gateway(bare: Device) -> Device:
    """The machine as the gateway, by one run of the engine."""
    bare.up()
    return bare


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a machine where there can be none."""
    absent = [name for name in (*TEST_MACHINES, *GATEWAY_PROGRAMS) if program(name) is None]
    reason = machines.missing() or apt_repository.missing() or (f"needs {', '.join(absent)}" if absent else "")
    for item in items:
        if reason and "bare" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=reason))
