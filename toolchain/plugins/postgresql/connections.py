"""Connections to one PostgreSQL server: a few per database, reused; errors as one sentence."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.rows import DictRow, dict_row

from toolchain.plugins.kit import ProviderError

Connection: TypeAlias = psycopg.Connection[DictRow]
_Result = TypeVar("_Result")

_LOCK_KEY: Final = 0x666163746F7279
"""Advisory lock (per database) which orders changes of privileges: two at a time on one object fail."""
_LOCK_SECONDS: Final = 60
"""How long a change waits for somebody's open transaction before it says so instead of hanging."""
_ATTEMPTS: Final = 6
_TRANSIENT: Final = (errors.InternalError_, errors.SerializationFailure, errors.DeadlockDetected, errors.ObjectInUse)


@dataclass(frozen=True)
class Address:
    """Where the server is and who connects; ``options`` are libpq connection parameters such as ``sslmode``."""

    host: str
    port: int
    username: str
    password: str
    database: str
    connect_timeout: int
    options: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Server:
    """A PostgreSQL server, through a pool which connects when first asked."""

    def __init__(self, address: Address, *, superuser: bool = True, max_connections: int = 0) -> None:
        self.address = address
        self.superuser = superuser
        """Whether the user is a superuser: may read password verifiers, needs no membership to act for a role."""
        self._slots = threading.BoundedSemaphore(max_connections or 1000)
        self._guard = threading.Lock()
        self._idle: defaultdict[str, list[Connection]] = defaultdict(list)

    @contextlib.contextmanager
    def connection(self, database: str = "") -> Iterator[Connection]:
        """Lend a connection in autocommit mode; ``""`` is the maintenance database of the provider."""
        database = database or self.address.database
        with self._slots:
            connection = self._take(database)
            try:
                yield connection
            finally:
                self._give_back(database, connection)

    def run(self, work: Callable[[Connection], _Result], database: str = "") -> _Result:
        """Run work in a transaction, one such change at a time in a database, again if another session got between."""

        def change() -> _Result:
            with self.connection(database) as connection, connection.transaction():
                connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(f"{_LOCK_SECONDS}s"))
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
                return work(connection)

        return again(change)

    def rows(self, query: str, parameters: Mapping[str, object], database: str = "") -> list[DictRow]:
        """Return what a query finds."""
        with self.connection(database) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def forget(self, database: str) -> None:
        """Close the idle connections to a database which is about to go."""
        with self._guard:
            idle = self._idle.pop(database, [])
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def acting_for(self, connection: Connection, *roles: str) -> Iterator[None]:
        """Be a member of these roles for a while, as a user who is no superuser must to give them objects."""
        borrowed = [] if self.superuser else [role for role in dict.fromkeys(roles) if self._lacks(connection, role)]
        for role in borrowed:
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
        try:
            yield
        finally:
            if not connection.broken and connection.info.transaction_status != psycopg.pq.TransactionStatus.INERROR:
                for role in borrowed:
                    connection.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(sql.Identifier(role)))

    @staticmethod
    def _lacks(connection: Connection, role: str) -> bool:
        mode = "SET" if connection.info.server_version >= 160000 else "MEMBER"  # noqa: PLR2004 SET came with 16
        found = connection.execute(
            "SELECT pg_has_role(current_user, oid, %s) AS member FROM pg_roles WHERE rolname = %s", (mode, role)
        ).fetchone()
        return found is not None and not found["member"]

    def _take(self, database: str) -> Connection:
        while True:
            with self._guard:
                idle = self._idle[database].pop() if self._idle[database] else None
            if idle is None:
                return self._connect(database)
            with contextlib.suppress(psycopg.OperationalError):
                idle.execute("SELECT 1")
                return idle
            idle.close()

    def _give_back(self, database: str, connection: Connection) -> None:
        if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.close()
            return
        with self._guard:
            self._idle[database].append(connection)

    def _connect(self, database: str) -> Connection:
        address = self.address
        try:
            return psycopg.connect(
                host=address.host,
                port=address.port,
                user=address.username,
                password=address.password,
                dbname=database,
                connect_timeout=address.connect_timeout,
                application_name="factory",
                autocommit=True,
                row_factory=dict_row,
                **address.options,
            )
        except psycopg.OperationalError as error:
            # A refused connection comes without an SQLSTATE, and its words are in the server's language.
            if not isinstance(error, errors.ConnectionTimeout) and self._lacks_database(database):
                raise NoDatabaseError(f"There is no database {database} on PostgreSQL at {address}.") from None
            raise ProviderError(f"PostgreSQL at {address} refuses or does not answer: {_reason(str(error))}") from None

    def _lacks_database(self, database: str) -> bool:
        """Ask the maintenance database, whose own absence is no answer."""
        maintenance = self.address.database
        if database == maintenance:
            return False
        connection = self._take(maintenance)
        try:
            query = "SELECT FROM pg_database WHERE datname = %s::name"
            return connection.execute(query, (database,)).fetchone() is None
        finally:
            self._give_back(maintenance, connection)


def again(work: Callable[[], _Result]) -> _Result:
    """Do it, and a few times more if another session got between: that changed nothing, and passes."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return work()
        except _TRANSIENT as error:
            if not _is_transient(error):
                raise
            time.sleep(0.05 * 2**attempt)
    return work()


class NoDatabaseError(ProviderError):
    """The database to connect to does not exist."""


@contextlib.contextmanager
def explained(doing: str, address: Address) -> Iterator[None]:
    """Turn a database error into a sentence which says what was being done, and never the statement's text."""
    try:
        yield
    except errors.LockNotAvailable:
        raise ProviderError(
            f"Cannot {doing}: another session holds a lock that this needs, still after {_LOCK_SECONDS} s. "
            "End that session's transaction (pg_stat_activity shows it) and try again."
        ) from None
    except psycopg.Error as error:
        reason = error.diag.message_primary
        if reason is None:
            # Not the server's words: the first line says what happened, the others guess why.
            lost = f"the connection to PostgreSQL at {address} was lost: "
            reason = (lost if isinstance(error, psycopg.OperationalError) else "") + str(error).partition("\n")[0]
        detail = (error.diag.message_detail or "").replace("\n", "; ")
        raise ProviderError(f"Cannot {doing}: {reason}" + (f" ({detail})" if detail else "")) from None


def _is_transient(error: psycopg.Error) -> bool:
    return not isinstance(error, errors.InternalError_) or "concurrently" in (error.diag.message_primary or "")


def _reason(text: str) -> str:
    """Return what happened: it stands at the end of the first line, and the others guess why."""
    first = text.strip().partition("\n")[0]
    return first.rpartition(" failed: ")[2].removeprefix("FATAL:").strip() or "no reason given"
