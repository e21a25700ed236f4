"""Functions."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from psycopg import sql

from toolchain.plugins.kit import UNKNOWN, Context, Created, Diff, Failure, Properties, ProviderError, State, Value

from .connections import Connection
from .resource import Resource

_CHOICES: Final = {
    "parallel": ("UNSAFE", "RESTRICTED", "SAFE"),
    "volatility": ("VOLATILE", "STABLE", "IMMUTABLE"),
}
_MODES: Final = ("IN", "OUT", "INOUT", "VARIADIC")
_CATALOGUE_MODES: Final = {"i": "IN", "o": "OUT", "b": "INOUT", "v": "VARIADIC"}
_CANONICAL: Final = "__canonical"
"""Output: how the server writes arguments and result. A type has many spellings; only this one can be compared."""
_ALIASES: Final = {
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "varchar": "character varying",
    "char": "character",
    "decimal": "numeric",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
}
"""Short spellings of types, and how the catalogue spells them."""
_DOLLARS = re.compile(r"\s*AS\s+(?P<tag>\$\w*\$)(?P<body>.*)(?P=tag)\s*;?\s*", re.DOTALL | re.IGNORECASE)


class Function(Resource):
    """``postgresql:index/function:Function``; id: ``database.schema.name(types of the inputs)``."""

    noun = "function"
    defaults: ClassVar[Properties] = {
        "language": "plpgsql",
        "returns": "void",
        "schema": "public",
        "dropCascade": False,
        "parallel": "UNSAFE",
        "securityDefiner": False,
        "strict": False,
        "volatility": "VOLATILE",
    }
    replace_on = ("name", "schema", "database", "args", "returns")
    ignore = ("dropCascade",)

    def check(self, context: Context, olds: Properties, news: Properties) -> tuple[Properties, list[Failure]]:
        """Take the body out of ``AS $$ ... $$``; let OUT arguments decide what is returned."""
        news = {**news, "database": news.get("database") or self.server.address.database}
        if isinstance(news.get("body"), str):
            news["body"] = _bare(news["body"])
        arguments = [{"mode": "IN", **each} for each in news.get("args") or () if isinstance(each, dict)]
        if arguments:
            news["args"] = arguments
        outs = [each for each in arguments if each["mode"] in ("OUT", "INOUT")]
        if outs and "returns" not in news:
            news["returns"] = outs[0]["type"] if len(outs) == 1 else "record"
        for name in _CHOICES:
            if isinstance(news.get(name), str):
                news[name] = news[name].upper()
        return super().check(context, olds, news)

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        """Check what has few values."""
        for name, known in _CHOICES.items():
            if inputs[name] not in (UNKNOWN, *known):
                yield Failure(name, f"must be one of {', '.join(known)}, not {inputs[name]!r}")
        for index, argument in enumerate(inputs.get("args") or ()):
            if argument["mode"] not in (UNKNOWN, *_MODES):
                yield Failure(f"args[{index}].mode", f"must be one of {', '.join(_MODES)}, not {argument['mode']!r}")

    def identity(self, inputs: Properties) -> str:
        """Join database, schema and signature."""
        types = ",".join(each["type"] for each in inputs.get("args", ()) if each["mode"] != "OUT")
        return f"{inputs['database']}.{inputs['schema']}.{inputs['name']}({types})"

    def locate(self, identity: str) -> Properties:
        """Split the id; the types of the inputs find the function."""
        match = re.fullmatch(r"([^.]+)\.([^.]+)\.([^(]+)\((.*)\)", identity)
        if match is None:
            raise ProviderError(f"{identity!r} is not the id of a function: DATABASE.SCHEMA.NAME(TYPES).")
        types = [part.strip() for part in match[4].split(",") if part.strip()]
        arguments = [{"mode": "IN", "type": each} for each in types]
        return {"database": match[1], "schema": match[2], "name": match[3], "args": arguments}

    def diff(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """Compare, with types in one spelling: an imported function has the catalogue's."""
        return super().diff(context, identity, _spelt_out(old_inputs), old_outputs, _spelt_out(news))

    def create(self, context: Context, inputs: Properties) -> Created:
        """Create it, and keep how the server writes it."""
        identity, outputs = super().create(context, inputs)
        return Created(identity, outputs if context.preview else {**outputs, **self._canonical(inputs)})

    def read(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> State | None:
        """Read it, and keep how the server writes it."""
        state = super().read(context, identity, old_inputs, old_outputs)
        return state and state._replace(outputs={**state.outputs, **self._canonical(state.inputs)})

    def update(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Properties:
        """Change it, and keep how the server writes it."""
        outputs = super().update(context, identity, old_inputs, old_outputs, news)
        return {**outputs, _CANONICAL: old_outputs.get(_CANONICAL)}

    def remembered(self, old_outputs: Properties) -> Properties:
        """Let ``observe`` compare with what the server wrote last time."""
        return {_CANONICAL: old_outputs.get(_CANONICAL)}

    def make(self, inputs: Properties) -> None:
        """Create it; it must not exist."""
        self._define("CREATE FUNCTION", inputs)

    def change(self, old: Properties, new: Properties) -> None:
        """Replace the definition; privileges stay."""
        del old
        self._define("CREATE OR REPLACE FUNCTION", new)

    def drop(self, inputs: Properties) -> None:
        """Drop it; what depends on it only with ``dropCascade``."""
        mode = sql.SQL("CASCADE" if inputs.get("dropCascade") else "RESTRICT")
        statement = sql.SQL("DROP FUNCTION IF EXISTS {} {}").format(sql.SQL(_signature(inputs)), mode)

        def work(connection: Connection) -> None:
            found = self._find(connection, inputs)
            if found:
                with self.server.acting_for(connection, found["owner"]):
                    connection.execute(statement)

        self.server.run(work, inputs["database"])

    def observe(self, wanted: Properties) -> Properties | None:
        """Read the definition."""
        with self.server.connection(wanted["database"]) as connection:
            found = self._find(connection, wanted)
        known = wanted.get(_CANONICAL)
        inputs = {name: value for name, value in wanted.items() if name != _CANONICAL}
        if found is None:
            return None
        if known != _canonical_of(found):
            inputs |= {"returns": found["result"], "args": _arguments(found) or None}
        return {
            **inputs,
            "language": found["language"],
            "body": found["prosrc"],
            "securityDefiner": found["prosecdef"],
            "strict": found["proisstrict"],
            "volatility": found["volatility"],
            "parallel": found["parallel"],
        }

    def _define(self, verb: str, inputs: Properties) -> None:
        statement = sql.SQL(
            "{} {}({}) RETURNS {} LANGUAGE {} {} {} {} PARALLEL {} AS {}",
        ).format(
            sql.SQL(verb),
            sql.Identifier(inputs["schema"], inputs["name"]),
            sql.SQL(", ").join(map(_argument, inputs.get("args", ()))),
            sql.SQL(inputs["returns"]),
            sql.Identifier(inputs["language"].lower()),
            sql.SQL(inputs["volatility"]),
            sql.SQL("STRICT" if inputs["strict"] else "CALLED ON NULL INPUT"),
            sql.SQL("SECURITY DEFINER" if inputs["securityDefiner"] else "SECURITY INVOKER"),
            sql.SQL(inputs["parallel"]),
            sql.Literal(inputs["body"]),
        )

        def work(connection: Connection) -> None:
            found = self._find(connection, inputs)
            with self.server.acting_for(connection, *([found["owner"]] if found else [])):
                connection.execute(statement)

        self.server.run(work, inputs["database"])

    def _canonical(self, inputs: Properties) -> Properties:
        with self.server.connection(inputs["database"]) as connection:
            found = self._find(connection, inputs)
        return {_CANONICAL: _canonical_of(found)} if found else {}

    @staticmethod
    def _find(connection: Connection, inputs: Properties) -> dict[str, Any] | None:
        return connection.execute(
            """
            SELECT p.*, lanname::text AS language, pg_get_userbyid(proowner)::text AS owner,
                   pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
                   ARRAY(SELECT format_type(t, NULL) FROM
                         unnest(coalesce(proallargtypes, proargtypes::oid[]))
                         WITH ORDINALITY a (t, n) ORDER BY n) AS types,
                   CASE provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END AS volatility,
                   CASE proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' ELSE 'UNSAFE' END AS parallel
            FROM pg_proc p JOIN pg_language l ON l.oid = prolang
            WHERE p.oid = to_regprocedure(%s)
            """,
            (_signature(inputs),),
        ).fetchone()


def _bare(body: str) -> str:
    match = _DOLLARS.fullmatch(body)
    return match["body"] if match else body


def _spelt_out(inputs: Properties) -> Properties:
    arguments = inputs.get("args")
    if isinstance(arguments, list):
        arguments = [
            {**each, "type": _type(each.get("type"))} if isinstance(each, dict) else each for each in arguments
        ]
    return {**inputs, "args": arguments, "returns": _type(inputs.get("returns"))}


def _type(text: Value) -> Value:
    if not isinstance(text, str):
        return text
    return re.sub(r"\w+", lambda word: _ALIASES.get(word[0], word[0]), " ".join(text.lower().split()))


def _argument(argument: Properties) -> sql.Composable:
    parts: list[sql.Composable] = [sql.SQL(argument["mode"])]
    if argument.get("name"):
        parts.append(sql.Identifier(argument["name"]))
    parts.append(sql.SQL(argument["type"]))
    if argument.get("default"):
        parts.append(sql.SQL(f"DEFAULT {argument['default']}"))
    return sql.SQL(" ").join(parts)


def _signature(inputs: Properties) -> str:
    name = sql.Identifier(inputs["schema"], inputs["name"]).as_string()
    return f"{name}({','.join(each['type'] for each in inputs.get('args', ()) if each['mode'] != 'OUT')})"


def _canonical_of(found: dict[str, Any]) -> dict[str, str]:
    return {"arguments": found["arguments"], "result": found["result"]}


def _arguments(found: dict[str, Any]) -> list[Properties]:
    """Read the arguments from the catalogue; the columns of a returned table are part of the result instead."""
    modes = found["proargmodes"] or ["i"] * len(found["types"])
    names = found["proargnames"] or [""] * len(found["types"])
    return [
        {"mode": _CATALOGUE_MODES[mode], "type": kind, **({"name": name} if name else {})}
        for mode, kind, name in zip(modes, found["types"], names, strict=True)
        if mode in _CATALOGUE_MODES
    ]
