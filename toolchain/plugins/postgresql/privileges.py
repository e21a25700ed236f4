"""What privileges there are, and on which kinds of objects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from toolchain.plugins.kit import UNKNOWN, Failure, Properties

PUBLIC: Final = "public"
"""The official provider's name for every role."""
ALL: Final = "ALL"


@dataclass(frozen=True)
class Kind:
    """A kind of object which privileges are on."""

    keyword: str
    privileges: frozenset[str]
    query: str
    """Finds objects with ``name``, ``acl`` (the default one written out), ``owner``."""
    plural: str = ""
    """As in ``ON ALL ... IN SCHEMA``; empty if there is no such statement."""


def _relations(kinds: str, default: str) -> str:
    return (
        f"SELECT relname::text AS name, coalesce(relacl, acldefault('{default}', relowner)) AS acl, "  # noqa: S608 constants
        "pg_get_userbyid(relowner)::text AS owner FROM pg_class "
        f"WHERE relnamespace = %(schema)s::regnamespace AND relkind IN ({kinds})"
    )


def _routines(kinds: str) -> str:
    return (
        "SELECT format('%%s(%%s)', proname, pg_get_function_identity_arguments(p.oid)) AS name, "  # noqa: S608 constants
        "coalesce(proacl, acldefault('f', proowner)) AS acl, pg_get_userbyid(proowner)::text AS owner "
        f"FROM pg_proc p WHERE pronamespace = %(schema)s::regnamespace AND prokind IN ({kinds})"
    )


TABLE: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"})
EXECUTE: Final = frozenset({"EXECUTE"})
USAGE: Final = frozenset({"USAGE"})

KINDS: Final[Mapping[str, Kind]] = {
    "database": Kind(
        "DATABASE",
        frozenset({"CREATE", "CONNECT", "TEMPORARY"}),
        "SELECT datname::text AS name, coalesce(datacl, acldefault('d', datdba)) AS acl, "
        "pg_get_userbyid(datdba)::text AS owner FROM pg_database WHERE datname = %(database)s",
    ),
    "schema": Kind(
        "SCHEMA",
        frozenset({"CREATE", "USAGE"}),
        "SELECT nspname::text AS name, coalesce(nspacl, acldefault('n', nspowner)) AS acl, "
        "pg_get_userbyid(nspowner)::text AS owner FROM pg_namespace WHERE nspname = %(schema)s",
    ),
    "table": Kind("TABLE", TABLE, _relations("'r', 'v', 'm', 'p', 'f'", "r"), "TABLES"),
    "sequence": Kind("SEQUENCE", frozenset({"USAGE", "SELECT", "UPDATE"}), _relations("'S'", "s"), "SEQUENCES"),
    "function": Kind("FUNCTION", EXECUTE, _routines("'f', 'a', 'w'"), "FUNCTIONS"),
    "procedure": Kind("PROCEDURE", EXECUTE, _routines("'p'"), "PROCEDURES"),
    "routine": Kind("ROUTINE", EXECUTE, _routines("'f', 'a', 'w', 'p'"), "ROUTINES"),
    "foreign_data_wrapper": Kind(
        "FOREIGN DATA WRAPPER",
        USAGE,
        "SELECT fdwname::text AS name, coalesce(fdwacl, acldefault('F', fdwowner)) AS acl, "
        "pg_get_userbyid(fdwowner)::text AS owner FROM pg_foreign_data_wrapper",
    ),
    "foreign_server": Kind(
        "FOREIGN SERVER",
        USAGE,
        "SELECT srvname::text AS name, coalesce(srvacl, acldefault('S', srvowner)) AS acl, "
        "pg_get_userbyid(srvowner)::text AS owner FROM pg_foreign_server",
    ),
    "column": Kind(
        "TABLE",
        frozenset({"SELECT", "INSERT", "UPDATE", "REFERENCES"}),
        "SELECT attname::text AS name, coalesce(attacl, acldefault('c', relowner)) AS acl, "
        "pg_get_userbyid(relowner)::text AS owner FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        "WHERE relnamespace = %(schema)s::regnamespace "
        "AND relname = %(table)s AND attnum > 0 AND NOT attisdropped",
    ),
}
WHOLE: Final = frozenset({"database", "schema"})
"""Kinds where the property of that name is the object."""
SCHEMALESS: Final = frozenset({"database", "foreign_data_wrapper", "foreign_server"})


def bad_privileges(privileges: list[str] | object, known: frozenset[str], kind: str) -> Iterator[Failure]:
    """Yield a failure for each which an object of the kind cannot have; also the guard of what goes into statements."""
    for privilege in privileges if isinstance(privileges, list) else ():
        if privilege is not UNKNOWN and privilege not in known | {ALL}:
            yield Failure(
                "privileges", f"{privilege!r} is no privilege on a {kind}; there are {', '.join(sorted(known))}"
            )


def grantee(inputs: Properties) -> sql.Composable:
    """Write the role of a grant."""
    return sql.SQL("PUBLIC") if inputs["role"] == PUBLIC else sql.Identifier(inputs["role"])


def option(inputs: Properties) -> sql.SQL:
    """Write whether the role may pass the privileges on."""
    return sql.SQL(" WITH GRANT OPTION" if inputs["withGrantOption"] else "")
