"""PostgreSQL on loopback: scram-sha-256 only, no socket, a generated superuser password."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from sandbox.credentials import Credentials
from sandbox.endpoints import PostgresEndpoint
from sandbox.errors import SandboxError
from sandbox.files import PRIVATE, write_private
from sandbox.layout import Layout
from sandbox.ports import LOOPBACK
from sandbox.service import Service, hand_over, launched

SUPERUSER = "postgres"
POOLER_ROLE = "pgbouncer_auth"
_INITDB_SECONDS = 120

# A failed statement may carry a password: neither it nor its error text reaches the log (the client gets both).
_SETTINGS = """\
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = 64MB
huge_pages = off
max_wal_size = 128MB
min_wal_size = 32MB
log_destination = 'stderr'
logging_collector = off
log_statement = 'none'
log_min_messages = 'log'
log_min_error_statement = 'panic'
log_min_duration_statement = -1
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
timezone = 'UTC'
"""

_ACCESS = f"host all all {LOOPBACK}/32 scram-sha-256\n"


def data(layout: Layout) -> Path:
    """Return the directory of the database cluster."""
    return layout.postgres / "data"


def prepare(layout: Layout, programs: Path, port: int, credentials: Credentials) -> Service:
    """Create the cluster the first time, write its settings, return its process.

    Raises `SandboxError` with the last lines of initdb.
    """
    hand_over(layout.postgres)
    directory = data(layout)
    if not directory.exists():
        _create(layout, programs, credentials.postgres)
    _forget_dead_postmaster(directory)
    for name, content in (
        ("postgresql.conf", _SETTINGS.format(host=LOOPBACK, port=port)),
        ("pg_hba.conf", _ACCESS),
    ):
        write_private(directory / name, content.encode())
        hand_over(directory / name)
    return Service(
        name="postgres",
        argv=(str(programs / "postgres"), "-D", str(directory)),
        address=f"{LOOPBACK}:{port}",
        unprivileged=True,
        # "Fast": sessions are ended, the data is checkpointed. The immediate kind when the supervisor dies: the
        # children end as well, and the next start recovers from the log.
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGQUIT,
    )


def endpoint(port: int, credentials: Credentials) -> PostgresEndpoint:
    """Describe the server for the stacks."""
    return PostgresEndpoint(
        host=LOOPBACK, port=port, username=SUPERUSER, password=credentials.postgres, sslmode="disable"
    )


async def answers(server: PostgresEndpoint) -> bool:
    """Tell whether the superuser can log in."""
    try:
        async with await _connect(server):
            return True
    except psycopg.OperationalError:
        return False


async def ensure_pooler_role(server: PostgresEndpoint, password: str) -> None:
    """Create the role the pooler looks users up with (PG-14): it may log in and has no other right."""
    async with await _connect(server) as connection:
        found = await connection.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", (POOLER_ROLE,))
        if await found.fetchone():
            return
        # The verifier and not the password goes to the server.
        verifier = connection.pgconn.encrypt_password(password.encode(), POOLER_ROLE.encode(), b"scram-sha-256")
        await connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN NOINHERIT PASSWORD {}").format(
                sql.Identifier(POOLER_ROLE), sql.Literal(verifier.decode())
            )
        )


async def _connect(server: PostgresEndpoint) -> psycopg.AsyncConnection[tuple[object, ...]]:
    return await psycopg.AsyncConnection.connect(
        host=server.host,
        port=server.port,
        user=server.username,
        password=server.password,
        dbname="postgres",
        sslmode=server.sslmode,
        connect_timeout=5,
        autocommit=True,
    )


def _create(layout: Layout, programs: Path, password: str) -> None:
    """Run initdb beside the final place and rename: an interrupted creation leaves nothing that looks whole."""
    unfinished = layout.postgres / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    argv = (
        str(programs / "initdb"),
        f"--pgdata={unfinished}",
        f"--username={SUPERUSER}",
        "--pwfile=/dev/stdin",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
    )
    try:
        done = subprocess.run(
            launched(argv, unprivileged=True),
            input=password + "\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=_INITDB_SECONDS,
            cwd="/",
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise SandboxError(
            f"initdb did not create {data(layout)} within {_INITDB_SECONDS} s: is that disk very busy? Start again"
        ) from None
    if done.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        lines = "".join(f"\n    {line}" for line in (done.stdout + done.stderr).splitlines()[-6:])
        raise SandboxError(f"initdb could not create {data(layout)} (exit status {done.returncode}):{lines}")
    unfinished.rename(data(layout))


def _forget_dead_postmaster(directory: Path) -> None:
    """Remove the pid file of a server that died with the machine: its number may belong to a stranger by now."""
    pid_file = directory / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(pid_file.read_text().splitlines()[0])
        working_directory = Path(f"/proc/{pid}/cwd")
        if not working_directory.exists() or working_directory.resolve() != directory.resolve():
            pid_file.unlink()


def private(path: Path, content: str) -> Path:
    """Write a file for an unprivileged backend alone."""
    write_private(path, content.encode(), mode=PRIVATE)
    hand_over(path)
    return path
