"""The sandbox's host: its own key lets one client in, and what is managed lies below a directory of its own."""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path

import pytest

from components.host.args import HostStateArgs
from components.host.pool import HostPool
from components.host.remote_host import RemoteHost
from components.host.transport import UnreachableError
from components.host.transport_ssh import Login, SshTransport
from sandbox.endpoints import Endpoints
from tests.support.machines import Keys

pytestmark = pytest.mark.engine


@pytest.fixture
def host(sandbox: Endpoints) -> RemoteHost:
    if sandbox.ssh is None:
        pytest.skip("the sandbox has no host here: needs an OpenSSH server on this machine")
    return RemoteHost.model_validate({**sandbox.ssh.model_dump(), "ssh_config": None})


def test_it_is_managed_below_its_own_root(host: RemoteHost, sandbox_state: Path) -> None:
    file = "/etc/managed-by-a-test"
    document = HostStateArgs.model_validate({"files": {file: {"content": "x\n"}}}).document()
    request = {"document": document, "resource": "test", "owned": {}, "key": "00" * 32}

    async def never() -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        pool = HostPool()
        try:
            session = await pool.session(host, Login())
            applied = await session.apply(request, {}, planned=lambda _: None, progress=lambda _: None, stop=never)
            removal = request | {"owned": applied["owned"], "delete": True}
            assert (sandbox_state / "host" / file.lstrip("/")).read_text() == "x\n"
            await session.apply(removal, {}, planned=lambda _: None, progress=lambda _: None, stop=never)
        finally:
            await pool.close()

    asyncio.run(work())
    assert host.user == getpass.getuser()
    assert not Path(file).exists()
    assert not (sandbox_state / "host" / file.lstrip("/")).exists()


def test_no_other_key_is_let_in(host: RemoteHost, tmp_path: Path) -> None:
    stranger = Keys.make(tmp_path)
    transport = SshTransport(host, Login(stranger.private_key))
    with pytest.raises(UnreachableError, match="refuses the login"):
        asyncio.run(transport.connect())
