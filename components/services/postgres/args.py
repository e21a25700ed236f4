"""What a PostgreSQL server has once per site."""

from pydantic import Field

from ...model import Model, SqlName, about

__all__ = ["PostgresFoundationArgs"]


class PostgresFoundationArgs(Model):
    """The pooler's role and the databases that no application owns."""

    create_pooler_role: bool = Field(
        default=False,
        description="Create the pooler's role with a generated password, which the output `pooler_password` tells "
        "(`./factory outputs --show-secrets`); by default the role exists already.",
        json_schema_extra=about("PG-14, PG-31"),
    )
    password_length: int = Field(
        default=32,
        ge=16,
        le=128,
        description="Length of that password.",
        json_schema_extra=about("PG-31", unit="characters"),
    )
    databases: tuple[SqlName, ...] = Field(
        default=("postgres",),
        description="Databases through which the pooler also looks users up and that are closed to everybody else.",
        json_schema_extra=about("PG-14, PG-34"),
    )
