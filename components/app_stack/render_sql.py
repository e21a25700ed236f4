"""The SQL of an application: creation and revocation of its short-lived users, and where Vault runs it."""

from urllib.parse import quote

from ..services.postgres.render import identifier, literal
from .app import App

__all__ = ["connection_url", "creation_statements", "revocation_statements"]


def creation_statements(owner_role: str, *, connection_limit: int) -> tuple[str, ...]:
    """Create a user that acts as the owner role from its first statement on (VAULT-21, PG-27).

    Whatever it creates belongs to the owner role, so nothing is lost when the user goes.
    """
    user = '"{{name}}"'
    attributes = "LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    login = "PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
    return (
        f"CREATE ROLE {user} WITH {attributes} CONNECTION LIMIT {connection_limit} {login};",
        f"GRANT {identifier(owner_role)} TO {user};",
        f"ALTER ROLE {user} SET role TO {literal(owner_role)};",
    )


def revocation_statements(owner_role: str) -> tuple[str, ...]:
    """Remove a user with its sessions and without its data (VAULT-21, VAULT-73).

    One ``DO`` block: Vault runs it as it is, in one transaction, as the application's editor, which is no superuser.
    Since PostgreSQL 16 the creator of a role is its administrator but not its member; the editor grants itself the
    membership which ending the sessions and reassigning the objects need. A user already gone counts as revoked.
    Sessions end twice, because a pooler may log in again before the transaction is visible.
    """
    user, name = '"{{name}}"', "'{{name}}'"
    end_sessions = (
        f"  PERFORM pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity WHERE usename = {name};"
    )
    return (
        "\n".join(
            (
                "DO $revoke$",
                "BEGIN",
                f"  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {name}) THEN",
                "    RETURN;",
                "  END IF;",
                f"  ALTER ROLE {user} NOLOGIN;",
                f"  GRANT {user} TO CURRENT_USER;",
                end_sessions,
                f"  REASSIGN OWNED BY {user} TO {identifier(owner_role)};",
                f"  DROP OWNED BY {user};",
                "  PERFORM pg_catalog.pg_stat_clear_snapshot();",
                end_sessions,
                f"  DROP ROLE {user};",
                "END",
                "$revoke$;",
            )
        ),
    )


def connection_url(app: App) -> str:
    """Address the application's database as Vault does: directly, and with Vault's own placeholders (PG-33)."""
    server = app.platform.postgres
    place = f"{server.host}:{server.port}/{quote(app.names.database)}"
    return f"postgresql://{{{{username}}}}:{{{{password}}}}@{place}?sslmode={server.sslmode}"
