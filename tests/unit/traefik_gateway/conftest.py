"""The local Proxmox API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.proxmox import Cluster, FaultyProxy, cluster, faulty


@pytest.fixture(scope="session")
def running_pve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests of a process."""
    with cluster(tmp_path_factory.mktemp("pve")) as running:
        yield running


@pytest.fixture
def pve(running_pve: Cluster) -> Cluster:
    """A cluster with one node and no guests."""
    running_pve.reset()
    return running_pve


@pytest.fixture
def proxy(pve: Cluster) -> Iterator[FaultyProxy]:
    """A proxy in front of it that can do harm."""
    with faulty(pve) as running:
        yield running
