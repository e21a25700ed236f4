"""SQL that more than one component needs: quoting, and the pooler's look-up function."""

from typing import Final

__all__ = ["LOOKUP_FUNCTION", "identifier", "literal", "lookup_body"]

LOOKUP_FUNCTION: Final = "user_lookup"
"""The function which the pooler's ``auth_query`` calls (PG-06)."""

_LOOKUP_BODY: Final = """
DECLARE
  callers_path pg_catalog.text := pg_catalog.current_setting('search_path');
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  SELECT a.rolname, a.rolpassword INTO uname, phash
    FROM pg_catalog.pg_authid AS a
   WHERE a.rolname = i_username
     AND a.rolcanlogin
     AND NOT a.rolsuper
     AND NOT a.rolreplication
     AND NOT a.rolcreaterole
     AND a.rolname <> <pooler role>
     AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now())
     AND pg_catalog.has_database_privilege(a.oid, pg_catalog.current_database(), 'CONNECT');
  PERFORM pg_catalog.set_config('search_path', callers_path, true);
END;
"""


def identifier(name: str) -> str:
    """Quote an SQL identifier; names with hyphens need it (NAME-26, PG-35)."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Quote an SQL string."""
    return "'" + value.replace("'", "''") + "'"


def lookup_body(pooler_role: str) -> str:
    """Answer the pooler with the password hash of a user who may connect here, and of nobody else (PG-31, PG-32).

    Never for superusers, replication, editors, the pooler itself, expired users, or users of another database. The
    search path is pinned for the body and given back; the provider cannot attach a setting to a function.
    """
    return _LOOKUP_BODY.replace("<pooler role>", literal(pooler_role))
