"""What one database grants the pooler: a look-up of password hashes, and nothing to anybody else (PG-06 to PG-09)."""

from collections.abc import Sequence

import pulumi
import pulumi_postgresql as postgresql

from ...options import child_options
from .render import LOOKUP_FUNCTION, lookup_body

__all__ = ["PoolerAccess"]


class PoolerAccess(pulumi.ComponentResource):
    """The look-up function of one database and the closed doors around it (PG-31, PG-32, PG-34).

    Privileges of one object are changed one after the other, because PostgreSQL refuses two at once (PG-09).
    """

    last: tuple[pulumi.Resource, ...]
    """What all else of it comes before."""

    def __init__(
        self,
        name: str,
        *,
        database: pulumi.Input[str],
        pooler_role: str,
        connect: Sequence[tuple[str, pulumi.Input[str]]] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Close ``database`` to everybody but the pooler and the roles of ``connect`` (a short label each)."""
        super().__init__("factory:postgres:PoolerAccess", name, None, opts)
        child = child_options(self, opts)
        function = postgresql.Function(
            f"{name}-lookup",
            database=database,
            schema="public",
            name=LOOKUP_FUNCTION,
            language="plpgsql",
            security_definer=True,
            returns="record",
            args=[
                {"name": "i_username", "type": "text", "mode": "IN"},
                {"name": "uname", "type": "text", "mode": "OUT"},
                {"name": "phash", "type": "text", "mode": "OUT"},
            ],
            body=lookup_body(pooler_role),
            opts=child,
        )

        def grant(
            label: str, role: pulumi.Input[str], privileges: list[str], after: pulumi.Resource | None
        ) -> postgresql.Grant:
            of_function = label.startswith("lookup")
            return postgresql.Grant(
                f"{name}-{label}",
                database=database,
                schema="public" if of_function else None,
                object_type="function" if of_function else "database",
                objects=[function.name] if of_function else None,
                role=role,
                privileges=privileges,
                opts=child_options(self, opts, after=[after] if after else []),
            )

        revoke = grant("lookup-revoke", "public", [], None)
        execute = grant("lookup-execute", pooler_role, ["EXECUTE"], revoke)
        last = grant("connect-revoke", "public", [], None)
        for label, role in (("pooler", pooler_role), *connect):
            last = grant(f"connect-{label}", role, ["CONNECT"], last)
        self.last = (execute, last)
        self.register_outputs({})
