"""The local Proxmox API, one for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.proxmox import Cluster, FaultyProxy, cluster, faulty


@pytest.fixture
def pve(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with one node."""
    with cluster(tmp_path) as running:
        yield running


@pytest.fixture
def proxy(pve: Cluster) -> Iterator[FaultyProxy]:
    """A proxy in front of it that can do harm."""
    with faulty(pve) as running:
        yield running
