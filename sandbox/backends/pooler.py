"""pgbouncer between the applications and PostgreSQL (PG-13); it looks users up in the database they ask for (PG-06)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sandbox.backends.postgres import POOLER_ROLE, SUPERUSER, private
from sandbox.credentials import Credentials
from sandbox.endpoints import PoolerEndpoint, PostgresEndpoint
from sandbox.layout import Layout
from sandbox.ports import LOOPBACK
from sandbox.service import Service

# Session pooling: `SET ROLE` and prepared statements behave as on a direct connection. Idle server connections end
# soon, because a database with open connections cannot be dropped.
_SETTINGS = """\
[databases]
* = host={server.host} port={server.port}

[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = hba
auth_hba_file = {access}
auth_file = {users}
auth_user = {role}
auth_query = SELECT uname, phash FROM public.user_lookup($1)
pool_mode = session
max_client_conn = 200
default_pool_size = 20
server_idle_timeout = 5
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
"""

# PG-31: whoever could log in with the look-up role would read password verifiers; the administrator goes direct.
_ACCESS = f"""\
host pgbouncer all {LOOPBACK}/32 reject
host all {POOLER_ROLE} {LOOPBACK}/32 reject
host all {SUPERUSER} {LOOPBACK}/32 reject
host all all {LOOPBACK}/32 scram-sha-256
"""


def prepare(layout: Layout, program: Path, port: int, server: PostgresEndpoint, credentials: Credentials) -> Service:
    """Write the pooler's files and return its process."""
    access = private(layout.postgres / "pgbouncer_hba.conf", _ACCESS)
    users = private(layout.postgres / "pgbouncer_users.txt", f'"{POOLER_ROLE}" "{credentials.pgbouncer_auth}"\n')
    settings = private(
        layout.postgres / "pgbouncer.ini",
        _SETTINGS.format(server=server, host=LOOPBACK, port=port, access=access, users=users, role=POOLER_ROLE),
    )
    return Service(
        name="pgbouncer",
        argv=(str(program), str(settings)),
        address=f"{LOOPBACK}:{port}",
        unprivileged=True,
    )


def endpoint(port: int, credentials: Credentials) -> PoolerEndpoint:
    """Describe the pooler for the stacks."""
    return PoolerEndpoint(host=LOOPBACK, port=port, auth_role=POOLER_ROLE, auth_password=credentials.pgbouncer_auth)


async def answers(port: int) -> bool:
    """Tell whether the pooler accepts connections."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True
