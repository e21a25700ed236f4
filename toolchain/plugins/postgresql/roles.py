"""Roles and memberships."""

from collections.abc import Iterator
from typing import ClassVar, Final

from psycopg import sql

from toolchain.plugins.kit import UNKNOWN, Failure, Properties, ProviderError

from . import scram
from .connections import Connection
from .resource import Resource

_FLAGS: Final = {
    "superuser": ("SUPERUSER", "rolsuper"),
    "createDatabase": ("CREATEDB", "rolcreatedb"),
    "createRole": ("CREATEROLE", "rolcreaterole"),
    "inherit": ("INHERIT", "rolinherit"),
    "login": ("LOGIN", "rolcanlogin"),
    "replication": ("REPLICATION", "rolreplication"),
    "bypassRowLevelSecurity": ("BYPASSRLS", "rolbypassrls"),
}
"""Property -> keyword (``NO`` before it means off), column of pg_roles."""
_SETTINGS: Final = {
    "statementTimeout": "statement_timeout",
    "idleInTransactionSessionTimeout": "idle_in_transaction_session_timeout",
    "assumeRole": "role",
}
"""Property -> parameter which is set for each session of the role."""
_MILLISECONDS: Final = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class Role(Resource):
    """``postgresql:index/role:Role``; id: the name."""

    noun = "role"
    defaults: ClassVar[Properties] = {
        **dict.fromkeys(_FLAGS, False),
        "inherit": True,
        "connectionLimit": -1,
        "validUntil": "infinity",
        "encryptedPassword": True,
        "skipDropRole": False,
        "skipReassignOwned": False,
    }
    sets = ("roles",)
    # Of a write-only password, the version tells when it changed.
    ignore = ("passwordWo", "encryptedPassword", "skipDropRole", "skipReassignOwned")

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        """Refuse what the server or the official provider refuses."""
        if inputs["encryptedPassword"] is False:
            yield Failure("encryptedPassword", "must be true: PostgreSQL 10 and later store no password in clear")
        if "passwordWo" in inputs and "password" in inputs:
            yield Failure("passwordWo", "conflicts with password; give one of them")
        if ("passwordWo" in inputs) is not ("passwordWoVersion" in inputs):
            yield Failure("passwordWoVersion", "must be given together with passwordWo")
        limit = inputs["connectionLimit"]
        if limit is not UNKNOWN and limit < -1:
            yield Failure("connectionLimit", f"must be -1 (no limit) or more, not {limit}")
        for path in inputs.get("searchPaths") or ():
            if path is not UNKNOWN and ", " in path:
                yield Failure("searchPaths", f'an entry cannot contain ", ": {path!r}')

    def identity(self, inputs: Properties) -> str:
        """Return the name."""
        return str(inputs["name"])

    def locate(self, identity: str) -> Properties:
        """Take the id as the name."""
        return {"name": identity}

    def outputs(self, inputs: Properties) -> Properties:
        """All inputs but the write-only password."""
        return {name: value for name, value in inputs.items() if name != "passwordWo"}

    def make(self, inputs: Properties) -> None:
        """Create the role with attributes, settings and memberships, or nothing of it."""
        name = sql.Identifier(inputs["name"])
        options = self._options(self.defaults, inputs)

        def work(connection: Connection) -> None:
            connection.execute(sql.SQL("CREATE ROLE {} {}").format(name, options))
            self._settings(connection, {}, inputs)
            self._memberships(connection, {}, inputs)

        self.server.run(work)

    def change(self, old: Properties, new: Properties) -> None:
        """Alter what differs."""

        def work(connection: Connection) -> None:
            if old["name"] != new["name"]:
                rename = sql.SQL("ALTER ROLE {} RENAME TO {}")
                connection.execute(rename.format(sql.Identifier(old["name"]), sql.Identifier(new["name"])))
            options = self._options(old, new)
            if options.as_string():
                connection.execute(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(new["name"]), options))
            self._settings(connection, old, new)
            self._memberships(connection, old, new)

        self.server.run(work)

    def drop(self, inputs: Properties) -> None:
        """Give what it owns to the provider's user, drop its privileges and then itself, as far as not skipped."""
        name = inputs["name"]

        def work(connection: Connection) -> None:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone():
                return
            role = sql.Identifier(name)
            if not inputs.get("skipReassignOwned"):
                with self.server.acting_for(connection, name):
                    connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
                    connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            if not inputs.get("skipDropRole"):
                connection.execute(sql.SQL("DROP ROLE {}").format(role))

        self.server.run(work)

    def observe(self, wanted: Properties) -> Properties | None:
        """Read attributes, settings, memberships and whether the password is still the wanted one."""
        found = self.server.rows(
            """
            SELECT rolsuper, rolcreatedb, rolcreaterole, rolinherit, rolcanlogin, rolreplication, rolbypassrls,
                   rolconnlimit, rolconfig, coalesce(r.rolvaliduntil, 'infinity')::text AS valid_until,
                   coalesce(r.rolvaliduntil, 'infinity') = %(valid)s::timestamptz AS same_validity,
                   ARRAY(SELECT DISTINCT pg_get_userbyid(roleid)::text FROM pg_auth_members
                         WHERE member = r.oid ORDER BY 1) AS roles
            FROM pg_roles r WHERE rolname = %(name)s
            """,
            {"name": wanted["name"], "valid": _valid_until(wanted)},
        )
        if not found:
            return None
        row = found[0]
        inputs = {
            **wanted,
            **{name: row[column] for name, (_, column) in _FLAGS.items()},
            "connectionLimit": row["rolconnlimit"],
            "validUntil": wanted["validUntil"] if row["same_validity"] else row["valid_until"],
            "roles": row["roles"],
        }
        for name, value in _observed_settings(row["rolconfig"] or []).items():
            # Asked for as 0 or empty, a setting is none.
            inputs[name] = value if value is not None or wanted.get(name) else wanted.get(name)
        if "password" in wanted and not self._password_is(wanted["name"], wanted["password"]):
            del inputs["password"]
        return inputs

    def _password_is(self, role: str, password: str) -> bool:
        if not self.server.superuser:
            return True  # only a superuser may read verifiers
        found = self.server.rows("SELECT rolpassword FROM pg_authid WHERE rolname = %(role)s", {"role": role})
        stored = found[0]["rolpassword"] if found else None
        return scram.matches(password, stored, role) if stored is not None else not password

    @staticmethod
    def _options(old: Properties, new: Properties) -> sql.Composed:
        """Write the attributes which differ: naming one needs a right to change it."""
        options: list[sql.Composable] = [
            sql.SQL(keyword if new[name] else f"NO{keyword}")
            for name, (keyword, _) in _FLAGS.items()
            if new[name] != old[name]
        ]
        if new["connectionLimit"] != old["connectionLimit"]:
            options.append(sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(new["connectionLimit"])))
        if _valid_until(new) != _valid_until(old):
            options.append(sql.SQL("VALID UNTIL {}").format(sql.Literal(_valid_until(new))))
        if all(new.get(name) == old.get(name) for name in ("password", "passwordWoVersion")):
            return sql.SQL(" ").join(options)
        password = new.get("password") or new.get("passwordWo")
        # The verifier, not the password: a failed statement stands in the server's log in full.
        literal = sql.Literal(scram.verifier(password)) if password else sql.SQL("NULL")
        return sql.SQL(" ").join([*options, sql.SQL("PASSWORD {}").format(literal)])

    @staticmethod
    def _settings(connection: Connection, old: Properties, new: Properties) -> None:
        role = sql.Identifier(new["name"])
        for name, parameter in [*_SETTINGS.items(), ("searchPaths", "search_path")]:
            value = new.get(name)
            if value == old.get(name):
                continue
            if not value:
                statement = sql.SQL("ALTER ROLE {} RESET {}").format(role, sql.Identifier(parameter))
            else:
                values = map(sql.Literal, value if isinstance(value, list) else [value])
                statement = sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    role, sql.Identifier(parameter), sql.SQL(", ").join(values)
                )
            connection.execute(statement)

    @staticmethod
    def _memberships(connection: Connection, old: Properties, new: Properties) -> None:
        was, wanted = set(old.get("roles") or ()), set(new.get("roles") or ())
        for group in sorted(was - wanted):
            _end_membership(connection, group, new["name"])
        for group in sorted(wanted - was):
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(new["name"])))


def _valid_until(inputs: Properties) -> str:
    value = str(inputs.get("validUntil") or "infinity")
    return "infinity" if value.upper() == "NULL" else value


def _observed_settings(config: list[str]) -> Properties:
    """Read the settings of a role as ``name=value`` texts; absent ones are None, to show that they are gone."""
    values = dict(entry.split("=", 1) for entry in config)
    paths = values.get("search_path")
    return {
        "searchPaths": list(map(_unquoted, paths.split(", "))) if paths else None,
        "assumeRole": values.get("role"),
        "statementTimeout": _milliseconds(values.get("statement_timeout")),
        "idleInTransactionSessionTimeout": _milliseconds(values.get("idle_in_transaction_session_timeout")),
    }


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(number) :].strip()
    return int(float(number) * _MILLISECONDS.get(unit or "ms", 1))


class GrantRole(Resource):
    """``postgresql:index/grantRole:GrantRole``; id: ``role_grantRole_withAdminOption``."""

    noun = "membership"
    has_name = False
    defaults: ClassVar[Properties] = {"withAdminOption": False}
    replace_on = ("role", "grantRole", "withAdminOption")

    def identity(self, inputs: Properties) -> str:
        """Join role, granted role and option."""
        return f"{inputs['role']}_{inputs['grantRole']}_{str(inputs['withAdminOption']).lower()}"

    def locate(self, identity: str) -> Properties:
        """Find the one pair of roles whose names make this id."""
        found = self.server.rows(
            """
            SELECT a.rolname AS role, b.rolname AS granted FROM pg_roles a, pg_roles b
            WHERE %(id)s IN (a.rolname || '_' || b.rolname || '_true', a.rolname || '_' || b.rolname || '_false')
            """,
            {"id": identity},
        )
        if len(found) != 1:
            raise ProviderError(f"{identity} is not the id of a membership: ROLE_GRANTEDROLE_true or ..._false.")
        row = found[0]
        return {"role": row["role"], "grantRole": row["granted"]}

    def make(self, inputs: Properties) -> None:
        """Grant the membership."""
        self.server.run(lambda connection: connection.execute(self._grant(inputs)))

    def change(self, old: Properties, new: Properties) -> None:
        """Nothing of a membership can be changed in place."""
        raise ProviderError(f"membership {self.identity(old)} cannot become {self.identity(new)} in place.")

    def drop(self, inputs: Properties) -> None:
        """Revoke the membership."""
        self.server.run(lambda connection: _end_membership(connection, inputs["grantRole"], inputs["role"]))

    def observe(self, wanted: Properties) -> Properties | None:
        """Read the membership; it may have been granted by several roles."""
        found = self.server.rows(
            """
            SELECT bool_or(admin_option) AS admin FROM pg_auth_members
            WHERE pg_get_userbyid(member) = %(role)s AND pg_get_userbyid(roleid) = %(grantRole)s
            """,
            wanted,
        )
        admin = found[0]["admin"]
        return None if admin is None else {**wanted, "withAdminOption": admin}

    @staticmethod
    def _grant(inputs: Properties) -> sql.Composed:
        option = sql.SQL(" WITH ADMIN OPTION" if inputs["withAdminOption"] else "")
        names = sql.Identifier(inputs["grantRole"]), sql.Identifier(inputs["role"])
        return sql.SQL("GRANT {} TO {}").format(*names) + option


def _end_membership(connection: Connection, group: str, role: str) -> None:
    """Revoke a membership, whoever granted it: without a grantor, the server revokes only what it takes for ours."""
    grantors = connection.execute(
        """
        SELECT DISTINCT pg_get_userbyid(grantor)::text AS name FROM pg_auth_members
        WHERE pg_get_userbyid(member) = %s AND pg_get_userbyid(roleid) = %s ORDER BY 1
        """,
        (role, group),
    ).fetchall()
    for grantor in grantors:
        revoke = sql.SQL("REVOKE {} FROM {} GRANTED BY {}")
        connection.execute(revoke.format(*map(sql.Identifier, (group, role, grantor["name"]))))
