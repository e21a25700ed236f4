"""Databases, and what lies directly in them: schemas and extensions."""

from collections.abc import Iterator
from functools import partial
from typing import ClassVar, Final

from psycopg import sql

from toolchain.plugins.kit import Failure, Properties, ProviderError

from .connections import Connection, again
from .resource import Resource

_DEFAULT: Final = "DEFAULT"
"""Value of a property which leaves the choice to the template or the server."""


class Database(Resource):
    """``postgresql:index/database:Database``; id: the name."""

    noun = "database"
    defaults: ClassVar[Properties] = {
        "template": "template0",
        "encoding": "UTF8",
        "lcCollate": "C",
        "lcCtype": "C",
        "connectionLimit": -1,
        "allowConnections": True,
        "isTemplate": False,
        "alterObjectOwnership": False,
    }
    replace_on = ("template", "encoding", "lcCollate", "lcCtype")
    ignore = ("alterObjectOwnership",)
    optional = ("owner", "tablespaceName")

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        """Refuse a template of its own name."""
        if inputs["template"] == inputs["name"]:
            yield Failure("template", f"database {inputs['name']} cannot be its own template")

    def identity(self, inputs: Properties) -> str:
        """Return the name."""
        return str(inputs["name"])

    def locate(self, identity: str) -> Properties:
        """Take the id as the name."""
        return {"name": identity, "owner": ""}

    def make(self, inputs: Properties) -> None:
        """Create the database in one statement, with everything."""
        options = [
            sql.SQL("{} {}").format(sql.SQL(keyword), form(inputs[name]))
            for name, keyword, form in (
                ("owner", "OWNER", sql.Identifier),
                ("template", "TEMPLATE", sql.Identifier),
                ("encoding", "ENCODING", sql.Literal),
                ("lcCollate", "LC_COLLATE", sql.Literal),
                ("lcCtype", "LC_CTYPE", sql.Literal),
                ("tablespaceName", "TABLESPACE", sql.Identifier),
                ("allowConnections", "ALLOW_CONNECTIONS", sql.Literal),
                ("connectionLimit", "CONNECTION LIMIT", sql.Literal),
                ("isTemplate", "IS_TEMPLATE", sql.Literal),
            )
            if inputs.get(name) not in (None, "", _DEFAULT)
        ]
        statement = sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(inputs["name"]), sql.SQL(" ").join(options))
        self.server.forget(inputs["template"])  # a template must have no session
        with self.server.connection() as connection, self.server.acting_for(connection, *_owner(inputs)):
            connection.execute(statement)

    def change(self, old: Properties, new: Properties) -> None:
        """Alter what differs; with ``alterObjectOwnership`` the new owner gets the old one's objects in it."""
        with self.server.connection() as connection:
            if old["name"] != new["name"]:
                self.server.forget(old["name"])
                self._alter(connection, old, "RENAME TO {}", sql.Identifier(new["name"]))
            if old.get("tablespaceName") != new.get("tablespaceName") and new.get("tablespaceName"):
                self.server.forget(new["name"])
                self._alter(connection, new, "SET TABLESPACE {}", sql.Identifier(new["tablespaceName"]))
            for name, keyword in (
                ("connectionLimit", "CONNECTION LIMIT {}"),
                ("allowConnections", "ALLOW_CONNECTIONS {}"),
                ("isTemplate", "IS_TEMPLATE {}"),
            ):
                if old[name] != new[name]:
                    self._alter(connection, new, keyword, sql.Literal(new[name]))
            former, future = _owner(old), _owner(new)
            changes_hands = bool(future) and former != future
            if changes_hands:
                with self.server.acting_for(connection, *former, *future):
                    self._alter(connection, new, "OWNER TO {}", sql.Identifier(*future))
        # Not with that connection at hand: whoever holds one and waits for another may wait for ever.
        if changes_hands and former and new["alterObjectOwnership"]:
            self._give_objects(new["name"], former, future)

    def _give_objects(self, database: str, former: list[str], future: list[str]) -> None:
        with self.server.connection(database) as inside:
            # The role which made the cluster owns the system's objects too, and those cannot be given away.
            system = "SELECT 1 FROM pg_roles WHERE rolname = ANY(%s) AND oid < 16384"
            if inside.execute(system, (former,)).fetchone():
                return
            with self.server.acting_for(inside, *former, *future):
                statement = sql.SQL("REASSIGN OWNED BY {} TO {}")
                inside.execute(statement.format(sql.Identifier(*former), sql.Identifier(*future)))

    @staticmethod
    def _alter(connection: Connection, inputs: Properties, clause: str, value: sql.Composable) -> None:
        connection.execute(
            sql.SQL("ALTER DATABASE {} {}").format(
                sql.Identifier(inputs["name"]),
                sql.SQL(clause).format(value),
            )
        )

    def drop(self, inputs: Properties) -> None:
        """Drop the database; sessions in it are ended. A grant on it may be taken back at the same time."""
        again(partial(self._drop, inputs))

    def _drop(self, inputs: Properties) -> None:
        name = sql.Identifier(inputs["name"])
        self.server.forget(inputs["name"])
        with self.server.connection() as connection:
            found = connection.execute(
                "SELECT datistemplate, pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = %s",
                (inputs["name"],),
            ).fetchone()
            if found is None:
                return
            with self.server.acting_for(connection, found["owner"]):
                if found["datistemplate"]:
                    connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(name))
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def observe(self, wanted: Properties) -> Properties | None:
        """Read the catalogue; what was left to the server stays so."""
        found = self.server.rows(
            """
            SELECT d.*, pg_get_userbyid(datdba)::text AS owner, pg_encoding_to_char(encoding)::text AS encoding_name,
                   spcname::text AS tablespace
            FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = %(name)s
            """,
            {"name": wanted["name"]},
        )
        if not found:
            return None
        row = found[0]
        chosen = {
            "owner": row["owner"],
            "encoding": row["encoding_name"],
            "lcCollate": row["datcollate"],
            "lcCtype": row["datctype"],
            "tablespaceName": row["tablespace"],
        }
        return {
            **wanted,
            **{name: value for name, value in chosen.items() if name in wanted and wanted[name] != _DEFAULT},
            "connectionLimit": row["datconnlimit"],
            "allowConnections": row["datallowconn"],
            "isTemplate": row["datistemplate"],
        }


class Schema(Resource):
    """``postgresql:index/schema:Schema``; id: ``database.name``."""

    noun = "schema"
    defaults: ClassVar[Properties] = {"ifNotExists": True, "dropCascade": False}
    replace_on = ("database",)
    ignore = ("ifNotExists", "dropCascade")
    optional = ("owner",)

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        """Refuse the deprecated policies."""
        if inputs.get("policies"):
            yield Failure("policies", "is deprecated and not served by this local plugin; use postgresql.Grant")

    def identity(self, inputs: Properties) -> str:
        """Join database and name."""
        return f"{self._database(inputs)}.{inputs['name']}"

    def locate(self, identity: str) -> Properties:
        """Split at the first dot."""
        database, name = _split(identity, "schema", "DATABASE.SCHEMA")
        return {"database": database, "name": name, "owner": ""}

    def make(self, inputs: Properties) -> None:
        """Create the schema, or adopt it if that is allowed."""
        name = sql.Identifier(inputs["name"])

        def work(connection: Connection) -> None:
            with self.server.acting_for(connection, *_owner(inputs)):
                there = self._owner_of(connection, inputs["name"])
                if there is None or not inputs["ifNotExists"]:
                    connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
                if _owner(inputs) and there not in _owner(inputs):
                    connection.execute(
                        sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(name, sql.Identifier(*_owner(inputs)))
                    )

        self.server.run(work, self._database(inputs))

    def change(self, old: Properties, new: Properties) -> None:
        """Rename it, change its owner."""

        def work(connection: Connection) -> None:
            with self.server.acting_for(connection, *_owner(old), *_owner(new)):
                name = sql.Identifier(new["name"])
                if old["name"] != new["name"]:
                    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
                    connection.execute(rename.format(sql.Identifier(old["name"]), name))
                if _owner(new) and _owner(old) != _owner(new):
                    connection.execute(
                        sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(name, sql.Identifier(*_owner(new)))
                    )

        self.server.run(work, self._database(new))

    def drop(self, inputs: Properties) -> None:
        """Drop it; what is in it only with ``dropCascade``."""
        mode = sql.SQL("CASCADE" if inputs.get("dropCascade") else "RESTRICT")

        def work(connection: Connection) -> None:
            owner = self._owner_of(connection, inputs["name"])
            with self.server.acting_for(connection, *([owner] if owner else [])):
                connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} {}").format(sql.Identifier(inputs["name"]), mode))

        self.server.run(work, self._database(inputs))

    def observe(self, wanted: Properties) -> Properties | None:
        """Read the owner."""
        with self.server.connection(self._database(wanted)) as connection:
            owner = self._owner_of(connection, wanted["name"])
        if owner is None:
            return None
        return {**wanted, "owner": owner} if "owner" in wanted else wanted

    @staticmethod
    def _owner_of(connection: Connection, schema: str) -> str | None:
        query = "SELECT pg_get_userbyid(nspowner)::text AS owner FROM pg_namespace WHERE nspname = %s"
        found = connection.execute(query, (schema,)).fetchone()
        return found["owner"] if found else None

    def _database(self, inputs: Properties) -> str:
        return str(inputs.get("database") or self.server.address.database)


class Extension(Resource):
    """``postgresql:index/extension:Extension``; id: ``database.name``."""

    noun = "extension"
    defaults: ClassVar[Properties] = {"createCascade": False, "dropCascade": False}
    replace_on = ("database", "name")
    ignore = ("createCascade", "dropCascade")
    optional = ("schema", "version")

    def identity(self, inputs: Properties) -> str:
        """Join database and name."""
        return f"{self._database(inputs)}.{inputs['name']}"

    def locate(self, identity: str) -> Properties:
        """Split at the first dot."""
        database, name = _split(identity, "extension", "DATABASE.EXTENSION")
        return {"database": database, "name": name, "schema": "", "version": ""}

    def make(self, inputs: Properties) -> None:
        """Create the extension; one which is there already is moved to the schema and version that are asked for."""
        statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(inputs["name"]))
        for name, keyword in (("schema", "SCHEMA"), ("version", "VERSION")):
            if inputs.get(name):
                statement += sql.SQL(" {} {}").format(sql.SQL(keyword), sql.Identifier(inputs[name]))
        if inputs["createCascade"]:
            statement += sql.SQL(" CASCADE")
        self.server.run(lambda connection: connection.execute(statement), self._database(inputs))
        found = self.observe(inputs)
        if found is not None and found != inputs:
            self.change(found, inputs)

    def change(self, old: Properties, new: Properties) -> None:
        """Move it to another schema or version."""
        name = sql.Identifier(new["name"])

        def work(connection: Connection) -> None:
            if new.get("schema") and old.get("schema") != new["schema"]:
                move = sql.SQL("ALTER EXTENSION {} SET SCHEMA {}")
                connection.execute(move.format(name, sql.Identifier(new["schema"])))
            if new.get("version") and old.get("version") != new["version"]:
                update = sql.SQL("ALTER EXTENSION {} UPDATE TO {}")
                connection.execute(update.format(name, sql.Identifier(new["version"])))

        self.server.run(work, self._database(new))

    def drop(self, inputs: Properties) -> None:
        """Drop it; what depends on it only with ``dropCascade``."""
        mode = sql.SQL("CASCADE" if inputs.get("dropCascade") else "RESTRICT")
        statement = sql.SQL("DROP EXTENSION IF EXISTS {} {}").format(sql.Identifier(inputs["name"]), mode)
        self.server.run(lambda connection: connection.execute(statement), self._database(inputs))

    def observe(self, wanted: Properties) -> Properties | None:
        """Read schema and version."""
        found = self.server.rows(
            """
            SELECT extversion AS version, nspname::text AS schema
            FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = %(name)s
            """,
            {"name": wanted["name"]},
            self._database(wanted),
        )
        return (
            {**wanted, **{name: found[0][name] for name in ("schema", "version") if name in wanted}} if found else None
        )

    def _database(self, inputs: Properties) -> str:
        return str(inputs.get("database") or self.server.address.database)


def _owner(inputs: Properties) -> list[str]:
    """Return the owner as a list of one, or none if the server is to choose."""
    return [inputs["owner"]] if inputs.get("owner") not in (None, "", _DEFAULT) else []


def _split(identity: str, noun: str, form: str) -> tuple[str, str]:
    database, dot, name = identity.partition(".")
    if not (database and dot and name):
        raise ProviderError(f"{identity!r} is not the id of {noun}: it has the form {form}.")
    return database, name
