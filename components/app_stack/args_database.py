"""The database's part of a declaration: how long its users live, and how the container finds it."""

from typing import Self

from pydantic import Field, model_validator

from ..model import Model, Seconds, SqlName, about
from .args_workload import EnvName

__all__ = ["DatabaseArgs", "DatabaseVariables"]


class DatabaseVariables(Model):
    """Under which names the container finds its database. Absent names are not set."""

    host: EnvName | None = Field(
        default="DB_HOST", description="Host of the pooler.", json_schema_extra=about("CHART-04, CHART-05")
    )
    port: EnvName | None = Field(
        default="DB_PORT", description="Port of the pooler.", json_schema_extra=about("CHART-04")
    )
    name: EnvName | None = Field(default="DB_NAME", description="Database.", json_schema_extra=about("CHART-04"))
    type: EnvName | None = Field(
        default=None, description="Kind of database, see `type_value`.", json_schema_extra=about("CHART-04")
    )
    username: EnvName | None = Field(
        default=None, description="Short-lived user name, from the Secret.", json_schema_extra=about("CHART-06")
    )
    password: EnvName | None = Field(
        default=None, description="Short-lived password, from the Secret.", json_schema_extra=about("CHART-06")
    )
    url: EnvName | None = Field(
        default="DATABASE_URL",
        description="Connection URL composed from the short-lived credentials.",
        json_schema_extra=about("WEBAPP-L01"),
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are set."""
        given = (self.host, self.port, self.name, self.type, self.username, self.password, self.url)
        return tuple(name for name in given if name is not None)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if twice := sorted({name for name in self.names if self.names.count(name) > 1}):
            message = f"variables names {', '.join(twice)} for two values; give each its own name, or null"
            raise ValueError(message)
        return self


class DatabaseArgs(Model):
    """The application's database and the life of its users."""

    name: SqlName | None = Field(
        default=None,
        description="Database, where it is not the application's name.",
        json_schema_extra=about("VAULT-20"),
    )
    default_ttl: Seconds = Field(
        default=3600,
        description="How long a short-lived user lives unless it is renewed.",
        json_schema_extra=about("VAULT-74", unit="seconds"),
    )
    max_ttl: Seconds = Field(
        default=86400,
        description="How long a short-lived user can be renewed.",
        json_schema_extra=about("VAULT-74", unit="seconds"),
    )
    connection_limit: int = Field(
        default=-1,
        ge=-1,
        description="Connections of one short-lived user; -1 is no limit.",
        json_schema_extra=about("VAULT-21", unit="connections"),
    )
    variables: DatabaseVariables = Field(
        default=DatabaseVariables(),
        description="Names of the environment variables.",
        json_schema_extra=about("CHART-04"),
    )
    type_value: str = Field(
        default="pgsql", description="Value of the `type` variable.", json_schema_extra=about("CHART-04")
    )

    @model_validator(mode="after")
    def _ttls_are_ordered(self) -> Self:
        if self.default_ttl > self.max_ttl:
            message = (
                f"default_ttl {self.default_ttl} s is longer than max_ttl {self.max_ttl} s: lower it or raise max_ttl"
            )
            raise ValueError(message)
        return self
