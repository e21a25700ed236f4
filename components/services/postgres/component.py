"""What a PostgreSQL server has once per site."""

import pulumi
import pulumi_postgresql as postgresql

from ...generated_password import GeneratedPassword
from ...options import child_options
from .args import PostgresFoundationArgs
from .pooler_access import PoolerAccess

__all__ = ["PostgresFoundation"]


class PostgresFoundation(pulumi.ComponentResource):
    """The pooler's role, and the databases without an application: closed, but for the pooler (PG-14, PG-31, PG-34)."""

    pooler_role: pulumi.Output[str]
    """Role with which the pooler looks users up."""
    pooler_password: pulumi.Output[str] | None
    """Its generated password, secret; none where the role exists already."""
    last: tuple[pulumi.Resource, ...]
    """What all else of it comes before: who waits for these waits for the whole foundation."""

    def __init__(
        self,
        name: str,
        args: PostgresFoundationArgs,
        *,
        pooler_role: str = "pgbouncer_auth",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Prepare the server for a pooler that logs in as ``pooler_role``."""
        super().__init__("factory:postgres:PostgresFoundation", name, None, opts)
        self.pooler_role = pulumi.Output.from_input(pooler_role)
        self.pooler_password = None
        created: list[pulumi.Resource] = []
        if args.create_pooler_role:
            password = GeneratedPassword(f"{name}-pooler", length=args.password_length, opts=child_options(self, opts))
            role = postgresql.Role(
                f"{name}-pooler",
                name=pooler_role,
                login=True,
                password=password.verifier,
                opts=child_options(self, opts),
            )
            created = [role]
            self.pooler_role = role.name
            self.pooler_password = pulumi.Output.secret(password.value)
        accesses = [
            PoolerAccess(
                f"{name}-{database}",
                database=database,
                pooler_role=pooler_role,
                opts=child_options(self, opts, after=created),
            )
            for database in args.databases
        ]
        self.last = tuple(grant for access in accesses for grant in access.last) or tuple(created)
        self.register_outputs({"poolerRole": self.pooler_role, "poolerPassword": self.pooler_password})
