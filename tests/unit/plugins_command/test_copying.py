"""A copy that fails leaves nothing beside its target."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import asyncssh
import pytest

from toolchain.plugins.command.copying import _put


class Remote:
    """Files on a host where one operation fails."""

    def __init__(self, failing: str) -> None:
        self.files: set[str] = set()
        self._failing = failing

    def _fail(self, operation: str) -> None:
        if operation == self._failing:
            raise asyncssh.SFTPFailure(f"{operation} failed")

    @contextlib.asynccontextmanager
    async def open(self, path: str, _mode: str, _attributes: object) -> AsyncIterator[Remote]:
        self._fail("open")
        self.files.add(path)
        yield self

    async def write(self, _content: bytes) -> None:
        self._fail("write")

    async def exists(self, _path: str) -> bool:
        return False

    async def setstat(self, _path: str, _attributes: object) -> None:
        self._fail("setstat")

    async def posix_rename(self, source: str, target: str) -> None:
        self._fail("posix_rename")
        self.files.remove(source)
        self.files.add(target)

    async def remove(self, path: str) -> None:
        if path not in self.files:
            raise asyncssh.SFTPNoSuchFile("no such file")
        self.files.remove(path)


@pytest.mark.parametrize("failing", ["open", "write", "setstat", "posix_rename"])
def test_nothing_is_left_of_a_copy_that_failed(failing: str) -> None:
    remote = Remote(failing)
    with pytest.raises(asyncssh.SFTPFailure, match=f"{failing} failed"):
        asyncio.run(_put(cast("asyncssh.SFTPClient", remote), b"content", "/target"))
    assert remote.files == set()


def test_a_copy_is_renamed_into_its_place() -> None:
    remote = Remote("nothing")
    asyncio.run(_put(cast("asyncssh.SFTPClient", remote), b"content", "/target"))
    assert remote.files == {"/target"}
