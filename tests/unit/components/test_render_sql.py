"""The SQL which Vault and the pooler run. What it does is proven on a real server in tests/components."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from components.app_stack import App
from components.app_stack.render_sql import connection_url, creation_statements, revocation_statements
from components.services.postgres.render import identifier, literal, lookup_body
from tests.support.site import application, platform

OWNER = "dance-lessons_role"  # hyphens need quoting (PG-35)


def test_creation() -> None:  # VAULT-21, PG-27
    assert creation_statements(OWNER, connection_limit=10) == (
        (
            'CREATE ROLE "{{name}}" WITH LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS '
            "CONNECTION LIMIT 10 PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"
        ),
        'GRANT "dance-lessons_role" TO "{{name}}";',
        "ALTER ROLE \"{{name}}\" SET role TO 'dance-lessons_role';",
    )


def test_revocation_is_one_block_that_vault_does_not_split() -> None:  # VAULT-73
    (block,) = revocation_statements(OWNER)
    steps = ["NOLOGIN", "pg_terminate_backend", "REASSIGN OWNED", "DROP OWNED", "DROP ROLE"]
    assert [block.index(step) for step in steps] == sorted(block.index(step) for step in steps)
    # Vault runs a statement whole if the word END stands in it outside quotes.
    assert re.search(r"\bEND\b", re.sub(r"'[^']*'|\"[^\"]*\"", "", block))


@given(name=st.text(min_size=1, max_size=20))
def test_quoting_gives_the_name_back(name: str) -> None:  # NAME-26
    assert identifier(name)[1:-1].replace('""', '"') == name
    assert literal(name)[1:-1].replace("''", "'") == name
    assert identifier(name).count('"') % 2 == 0


def test_no_identifier_stands_unquoted() -> None:  # NAME-26
    text = "\n".join((*creation_statements(OWNER, connection_limit=-1), *revocation_statements(OWNER)))
    assert OWNER not in re.sub(r"'[^']*'|\"[^\"]*\"", "", text)


def test_look_up_filters_and_pins() -> None:  # PG-31, PG-32
    body = lookup_body("pooler")
    for rule in ("rolcanlogin", "NOT a.rolsuper", "NOT a.rolreplication", "NOT a.rolcreaterole", "<> 'pooler'"):
        assert rule in body
    assert "rolvaliduntil > pg_catalog.now()" in body
    assert "set_config('search_path', 'pg_catalog, pg_temp', true)" in body
    assert "$" not in body  # the provider wraps it into dollar quotes


def test_vault_connects_directly_and_verifies_the_server() -> None:  # PG-30, PG-31
    app = App.of("webapp", application(), platform())
    assert connection_url(app) == (
        "postgresql://{{username}}:{{password}}@db.example.test:5432/webapp?sslmode=verify-full"
    )
