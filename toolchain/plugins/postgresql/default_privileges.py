"""Privileges on what will be created."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from psycopg import sql

from toolchain.plugins.kit import UNKNOWN, Failure, Properties, ProviderError

from .connections import Connection
from .privileges import ALL, EXECUTE, TABLE, USAGE, bad_privileges, grantee, option
from .resource import Resource


class DefaultPrivileges(Resource):
    """``postgresql:index/defaultPrivileges:DefaultPrivileges``; id: role, database, schema, owner, type joined."""

    noun = "default privileges"
    has_name = False
    defaults: ClassVar[Properties] = {"withGrantOption": False}
    sets = ("privileges",)
    replace_on = ("role", "database", "owner", "schema", "objectType", "withGrantOption")
    types: ClassVar[Mapping[str, tuple[str, frozenset[str]]]] = {
        "table": ("r", TABLE),
        "sequence": ("S", frozenset({"USAGE", "SELECT", "UPDATE"})),
        "function": ("f", EXECUTE),
        "routine": ("f", EXECUTE),
        "type": ("T", USAGE),
        "schema": ("n", frozenset({"CREATE", "USAGE"})),
    }

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        """Check the type and its privileges."""
        kind = inputs["objectType"]
        if kind is UNKNOWN:
            return
        if kind not in self.types:
            yield Failure("objectType", f"must be one of {', '.join(self.types)}, not {kind!r}")
            return
        yield from bad_privileges(inputs.get("privileges"), self.types[kind][1], kind)
        if kind == "schema" and inputs.get("schema"):
            yield Failure("schema", "cannot be given for object type schema")

    def identity(self, inputs: Properties) -> str:
        """Join what the official provider joins."""
        schema = inputs.get("schema") or "noschema"
        return "_".join([inputs["role"], inputs["database"], schema, inputs["owner"], inputs["objectType"]])

    def locate(self, identity: str) -> Properties:
        """Refuse: as with the official provider, default privileges cannot be imported."""
        raise ProviderError(f"default privileges ({identity}) cannot be imported; create them, which sets the same.")

    def make(self, inputs: Properties) -> None:
        """Set exactly these default privileges."""
        kind = sql.SQL({"type": "TYPES"}.get(inputs["objectType"], f"{inputs['objectType'].upper()}S"))
        scope = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}").format(sql.Identifier(inputs["owner"]))
        if inputs.get("schema"):
            scope += sql.SQL(" IN SCHEMA {}").format(sql.Identifier(inputs["schema"]))

        def work(connection: Connection) -> None:
            with self.server.acting_for(connection, inputs["owner"]):
                revoke = sql.SQL("{} REVOKE ALL ON {} FROM {}")
                connection.execute(revoke.format(scope, kind, grantee(inputs)))
                if inputs.get("privileges"):
                    names = sql.SQL(", ".join(inputs["privileges"]))
                    grant = sql.SQL("{} GRANT {} ON {} TO {}{}")
                    connection.execute(grant.format(scope, names, kind, grantee(inputs), option(inputs)))

        self.server.run(work, inputs["database"])

    def change(self, old: Properties, new: Properties) -> None:
        """Set the new privileges."""
        del old
        self.make(new)

    def drop(self, inputs: Properties) -> None:
        """Revoke them, if both roles still exist."""
        if self.observe(inputs) is not None:
            self.make({**inputs, "privileges": []})

    def observe(self, wanted: Properties) -> Properties | None:
        """Read the default ACL of this owner, schema and type; without one, the server's own holds in all schemas."""
        kind = self.types[wanted["objectType"]][0]
        found = self.server.rows(
            """
            SELECT array_remove(array_agg(DISTINCT a.privilege_type), NULL) AS privileges,
                   bool_and(a.is_grantable) AS grantable,
                   EXISTS (SELECT FROM pg_roles WHERE rolname = %(owner)s)
                   AND (%(role)s = 'public' OR EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s)) AS there
            FROM aclexplode(coalesce(
                (SELECT defaclacl FROM pg_default_acl LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
                 WHERE pg_get_userbyid(defaclrole) = %(owner)s AND coalesce(nspname, '') = %(schema)s
                   AND defaclobjtype::text = %(type)s),
                (SELECT acldefault(%(builtin)s::"char", oid) FROM pg_roles
                 WHERE rolname = %(owner)s AND %(schema)s = '')
            )) a
            LEFT JOIN pg_roles g ON g.oid = a.grantee
            WHERE coalesce(rolname, 'public') = %(role)s
            """,
            # The two catalogues have different letters for a sequence.
            {"schema": "", **wanted, "type": kind, "builtin": {"S": "s"}.get(kind, kind)},
            wanted["database"],
        )
        row = found[0]
        if not row["there"]:
            return None
        privileges = set(row["privileges"] or ())
        full = self.types[wanted["objectType"]][1]
        if ALL in wanted.get("privileges", ()) and privileges >= full - {"MAINTAIN"}:
            privileges = {ALL}
        option = row["grantable"] if privileges else wanted["withGrantOption"]
        return {**wanted, "privileges": sorted(privileges), "withGrantOption": option}
