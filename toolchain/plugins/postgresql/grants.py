"""Privileges on what exists."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from psycopg import errors, sql

from toolchain.plugins.kit import UNKNOWN, Failure, Properties, ProviderError

from .connections import Connection
from .privileges import ALL, EXECUTE, KINDS, PUBLIC, SCHEMALESS, WHOLE, Kind, bad_privileges, grantee, option
from .resource import Resource

_EVERYTHING = "ALL PRIVILEGES"


@dataclass(frozen=True)
class Held:
    """What a role has on one object."""

    name: str
    owner: str
    privileges: frozenset[str]
    grantable: bool
    foreign: Mapping[str, Sequence[str]]
    """What others than the owner gave, by who did: only in their name it can be taken back."""


class Grant(Resource):
    """``postgresql:index/grant:Grant``; id: role, database, schema, type, objects and columns joined with ``_``.

    It decides about *all* privileges of the role on these objects: what is not listed is revoked.
    """

    noun = "grant"
    has_name = False
    defaults: ClassVar[Properties] = {"withGrantOption": False}
    sets = ("privileges", "objects", "columns")
    replace_on = ("role", "database", "schema", "objectType", "objects", "columns", "withGrantOption")

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        """Check that type, privileges, schema, objects and columns go together."""
        kind_name = inputs["objectType"]
        if kind_name is UNKNOWN:
            return
        kind = KINDS.get(kind_name)
        if kind is None:
            yield Failure("objectType", f"must be one of {', '.join(KINDS)}, not {kind_name!r}")
            return
        yield from bad_privileges(inputs.get("privileges"), kind.privileges, kind_name)
        if not inputs.get("schema") and kind_name not in SCHEMALESS:
            yield Failure("schema", f"is needed for object type {kind_name}")
        if inputs.get("objects") and kind_name in WHOLE:
            yield Failure("objects", f"cannot be given for object type {kind_name}")
        if kind_name == "column":
            if not inputs.get("columns"):
                yield Failure("columns", "is needed for object type column")
            if inputs.get("objects") is not UNKNOWN and len(inputs.get("objects") or ()) != 1:
                yield Failure("objects", "must be exactly one table for object type column")
        elif inputs.get("columns"):
            yield Failure("columns", f"cannot be given for object type {kind_name}")

    def identity(self, inputs: Properties) -> str:
        """Join what the official provider joins."""
        schema = [] if inputs["objectType"] in SCHEMALESS else [inputs["schema"]]
        parts = [inputs["role"], inputs["database"], *schema, inputs["objectType"]]
        return "_".join([*parts, *inputs.get("objects", ()), *inputs.get("columns", ())])

    def locate(self, identity: str) -> Properties:
        """Find the role, database and schema whose names make this id; objects only in the simple case of one."""
        found = self.server.rows(
            """
            SELECT role, datname::text AS database, substr(%(id)s, length(role || '_' || datname) + 2) AS rest
            FROM (SELECT rolname::text FROM pg_roles UNION SELECT 'public') r (role), pg_database
            WHERE starts_with(%(id)s, role || '_' || datname || '_')
            """,
            {"id": identity},
        )
        candidates = [
            {**self.defaults, "role": row["role"], "database": row["database"], **rest}
            for row in found
            for rest in _read_rest(row["rest"])
        ]
        there = [inputs for inputs in candidates if self._held(inputs)]
        if len(there) != 1:
            raise ProviderError(f"{identity!r} is not the id of one grant: ROLE_DATABASE[_SCHEMA]_TYPE[_OBJECT].")
        return there[0]

    def make(self, inputs: Properties) -> None:
        """Set exactly these privileges; what is right already is not touched, and the server names what is missing."""
        held = self._held(inputs)
        if held and _all_found(inputs, held) and inputs == self._as_held(inputs, held):
            return
        kind = KINDS[inputs["objectType"]]

        def work(connection: Connection) -> None:
            held = self._held(inputs, connection)
            with self.server.acting_for(connection, *sorted({each.owner for each in held})):
                self._revoke(connection, inputs, held)
                if inputs.get("privileges"):
                    connection.execute(self._grant(kind, inputs))
            if not _all_found(inputs, self._held(inputs, connection)):
                raise ProviderError(
                    f"grant {self.identity(inputs)}: write each of the objects as the server does, a function with the "
                    "names and full types of its arguments, such as f(a integer): otherwise it is not found again."
                )

        self.server.run(work, self._where(inputs))

    def change(self, old: Properties, new: Properties) -> None:
        """Set the new privileges."""
        del old
        self.make(new)

    def drop(self, inputs: Properties) -> None:
        """Revoke all privileges of the role on the objects, as far as these still exist."""
        if not self._role_exists(inputs["role"]):
            return

        def work(connection: Connection) -> None:
            held = self._held(inputs, connection)
            if any(each.privileges for each in held):
                with self.server.acting_for(connection, *sorted({each.owner for each in held})):
                    self._revoke(connection, inputs, held)

        self.server.run(work, self._where(inputs))

    def observe(self, wanted: Properties) -> Properties | None:
        """Read the privileges; gone if role, database, schema or a named object is."""
        if not self._role_exists(wanted["role"]):
            return None
        held = self._held(wanted)
        return self._as_held(wanted, held) if _all_found(wanted, held) else None

    @staticmethod
    def _as_held(wanted: Properties, held: list[Held]) -> Properties:
        """Describe what is held, in the words of the wanted: one object which differs decides."""
        kind = KINDS[wanted["objectType"]]
        listed = set(wanted.get("privileges") or ())
        grantable = bool(listed) and wanted["withGrantOption"]
        result = wanted
        for each in held:
            privileges = _spelt(each.privileges, listed, kind)
            if privileges != listed or (privileges and each.grantable is not grantable):
                result = {**wanted, "privileges": sorted(privileges)}
                if privileges:
                    result["withGrantOption"] = each.grantable
        return result

    def _held(self, inputs: Properties, connection: Connection | None = None) -> list[Held]:
        """Read what the role has on each object of the grant."""
        kind = KINDS[inputs["objectType"]]
        objects = inputs.get("objects") or [""]
        query = f"""
            SELECT o.name, o.owner, array_remove(array_agg(DISTINCT a.privilege_type), NULL) AS privileges,
                   coalesce(bool_and(a.is_grantable), false) AS grantable,
                   array_agg(ARRAY[pg_get_userbyid(a.grantor)::text, a.privilege_type])
                   FILTER (WHERE pg_get_userbyid(a.grantor) <> o.owner) AS foreign
            FROM ({kind.query}) o
            LEFT JOIN LATERAL (
                SELECT * FROM aclexplode(o.acl) WHERE grantee = %(grantee)s::oid
            ) a ON true
            GROUP BY 1, 2 ORDER BY 1
        """  # noqa: S608 the inner query is a constant of this module
        if connection is None:
            with self.server.connection(self._where(inputs)) as own:
                return self._held(inputs, own)
        role = "SELECT oid FROM pg_roles WHERE rolname = %s"
        found = connection.execute(role, (inputs["role"],)).fetchone() if inputs["role"] != PUBLIC else {"oid": 0}
        schema = inputs.get("schema", "")
        exists = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
        if found is None or (inputs["objectType"] not in SCHEMALESS and not exists):
            return []
        parameters = {
            "grantee": found["oid"],
            "schema": sql.Identifier(schema).as_string(connection) if inputs["objectType"] != "schema" else schema,
            "database": inputs["database"],
            "table": objects[0],
        }
        rows = connection.execute(query.encode(), parameters).fetchall()
        return [
            Held(
                row["name"],
                row["owner"],
                frozenset(row["privileges"]),
                row["grantable"],
                _grouped(row["foreign"] or ()),
            )
            for row in rows
            if _is_meant(row["name"], inputs)
        ]

    def _role_exists(self, role: str) -> bool:
        query = "SELECT 1 FROM pg_roles WHERE rolname = %(role)s"
        return role == PUBLIC or bool(self.server.rows(query, {"role": role}))

    @staticmethod
    def _where(inputs: Properties) -> str:
        """Return the database to connect to: privileges of a database itself need not be changed from within."""
        return "" if inputs["objectType"] == "database" else str(inputs["database"])

    @staticmethod
    def _grant(kind: Kind, inputs: Properties) -> sql.Composed:
        wanted = inputs["privileges"]
        names = [_EVERYTHING] if ALL in wanted else [p for p in wanted if p in kind.privileges]
        return sql.SQL("GRANT {} ON {} TO {}{}").format(
            _listed(names, inputs), _target(kind, inputs), grantee(inputs), option(inputs)
        )

    def _revoke(self, connection: Connection, inputs: Properties, held: list[Held]) -> None:
        """Take everything back, also what others than the owner gave: the server lets nobody else revoke that."""
        for each in held:
            for grantor, privileges in each.foreign.items():
                # Without leave to act for the giver, or without the giver's own way into the schema: told below.
                with (
                    contextlib.suppress(errors.InsufficientPrivilege),
                    connection.transaction(),
                    self.server.acting_for(connection, grantor),
                ):
                    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(grantor)))
                    connection.execute(_revocation(_alone(inputs, each.name), privileges))
                    connection.execute("RESET ROLE")
        connection.execute(_revocation(inputs, [_EVERYTHING]))
        left = {grantor for each in self._held(inputs, connection) for grantor in each.foreign}
        if left:
            raise ProviderError(
                f"grant {self.identity(inputs)}: what {', '.join(sorted(left))} gave to {inputs['role']} cannot be "
                "taken back. The giver may be a superuser or a member of the owner, for whom the server then takes it, "
                "may have lost USAGE on the schema, or be a role that this login may not act for: mend that, and run "
                "again."
            )


def _spelt(held: frozenset[str], listed: set[str], kind: Kind) -> set[str]:
    """Call all privileges ``ALL`` if that is how they were asked for (MAINTAIN came with version 17)."""
    return {ALL} if listed == {ALL} and held >= kind.privileges - {"MAINTAIN"} else set(held)


def _all_found(inputs: Properties, held: list[Held]) -> bool:
    """Whether all that the grant names is there; "all in a schema" may be nothing."""
    if inputs["objectType"] in WHOLE:
        return bool(held)
    found = {name for each in held for name in (each.name, _bare(each.name))}
    return found.issuperset(inputs.get("columns") or inputs.get("objects") or ())


def _is_meant(name: str, inputs: Properties) -> bool:
    """Whether a grant is about this object; a function may be named with or without its arguments."""
    if inputs["objectType"] == "column":
        return name in inputs["columns"]
    objects = inputs.get("objects")
    return not objects or name in objects or _bare(name) in objects


def _bare(name: str) -> str:
    return name.split("(", maxsplit=1)[0]


def _read_rest(rest: str) -> Iterator[Properties]:
    """Read what follows role and database in a grant's id, in each way which makes sense."""
    if rest == "database":
        yield {"objectType": "database"}
    for kind in KINDS:
        before, found, after = rest.partition(f"_{kind}")
        if found and kind not in SCHEMALESS and kind != "column" and (not after or after.startswith("_")):
            yield {"schema": before, "objectType": kind, **({"objects": [after[1:]]} if after else {})}


def _alone(inputs: Properties, name: str) -> Properties:
    """Return the same grant on one object."""
    if inputs["objectType"] in WHOLE:
        return inputs
    return {**inputs, "columns" if inputs["objectType"] == "column" else "objects": [name]}


def _revocation(inputs: Properties, privileges: Iterable[str]) -> sql.Composed:
    kind = KINDS[inputs["objectType"]]
    return sql.SQL("REVOKE {} ON {} FROM {}").format(
        _listed(privileges, inputs), _target(kind, inputs), grantee(inputs)
    )


def _grouped(given: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    """Collect pairs of grantor and privilege by grantor."""
    found: dict[str, list[str]] = {}
    for grantor, privilege in sorted(map(tuple, given)):
        found.setdefault(grantor, []).append(privilege)
    return found


def _listed(privileges: Iterable[str], inputs: Properties) -> sql.Composed:
    """Write the privileges, each with the columns: one without them is on the whole table."""
    columns = sql.SQL(", ").join(map(sql.Identifier, inputs.get("columns") or ()))
    where = sql.SQL(" ({})").format(columns) if inputs.get("columns") else sql.SQL("")
    return sql.SQL(", ").join([sql.SQL(privilege) + where for privilege in privileges])


def _target(kind: Kind, inputs: Properties) -> sql.Composable:
    """Write what the privileges are on."""
    if inputs["objectType"] in WHOLE:
        return sql.SQL("{} {}").format(sql.SQL(kind.keyword), sql.Identifier(inputs[inputs["objectType"]]))
    if not inputs.get("objects"):
        if not kind.plural:
            raise ProviderError(f"a grant on {inputs['objectType']} needs objects.")
        return sql.SQL("ALL {} IN SCHEMA {}").format(sql.SQL(kind.plural), sql.Identifier(inputs["schema"]))
    schema = [] if inputs["objectType"] in SCHEMALESS else [inputs["schema"]]
    names = [_qualified(schema, name, kind) for name in inputs["objects"]]
    return sql.SQL("{} {}").format(sql.SQL(kind.keyword), sql.SQL(", ").join(names))


def _qualified(schema: list[str], name: str, kind: Kind) -> sql.Composable:
    bare, parenthesis, arguments = name.partition("(")
    if kind.privileges is not EXECUTE or not parenthesis:
        return sql.Identifier(*schema, name)
    return sql.Identifier(*schema, bare) + sql.SQL(f"({arguments}")
