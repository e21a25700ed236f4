"""A folder in memory for tests that make very many small files; on the disk where there is no such file system."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.longhorn.recovery import inspection, scan
from components.longhorn.recovery.in_use import Users

_MEMORY = Path("/dev/shm")


@pytest.fixture
def fast_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None, prefix="factory-recovery-") as folder:
        yield Path(folder)


@pytest.fixture
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at all processes of the machine takes longer than a small merge, and has its own tests."""
    for module in (inspection, scan):
        monkeypatch.setattr(module, "users_of", lambda _files: Users({}))
