"""The plugin: configuration, and which resources it serves."""

import os
from collections.abc import Iterator
from typing import Final

from toolchain.plugins.kit import Backend, Failure, InputTypes, Properties, Provider, by_token

from .connections import Address, Server
from .databases import Database, Extension, Schema
from .default_privileges import DefaultPrivileges
from .functions import Function
from .grants import Grant
from .resource import Resource
from .roles import GrantRole, Role

_RESOURCES: Final[dict[str, type[Resource]]] = {
    "postgresql:index/database:Database": Database,
    "postgresql:index/defaultPrivileg:DefaultPrivileg": DefaultPrivileges,
    "postgresql:index/defaultPrivileges:DefaultPrivileges": DefaultPrivileges,
    "postgresql:index/extension:Extension": Extension,
    "postgresql:index/function:Function": Function,
    "postgresql:index/grant:Grant": Grant,
    "postgresql:index/grantRole:GrantRole": GrantRole,
    "postgresql:index/role:Role": Role,
    "postgresql:index/schema:Schema": Schema,
}
_CLOUD: Final = (
    "awsRdsIamAuth",
    "awsRdsIamProfile",
    "awsRdsIamProviderRoleArn",
    "awsRdsIamRegion",
    "azureIdentityAuth",
    "azureTenantId",
    "gcpIamImpersonateServiceAccount",
)
_SDK_TIMEOUT: Final = 180
"""The SDK writes this number of seconds when nobody asked for one."""
_TIMEOUT: Final = 10
"""What that means here: a host which swallows packets is named soon."""
_MAX_CONNECTIONS: Final = 20


class PostgresqlProvider(Provider):
    """The provider of ``pulumi_postgresql``."""

    package = "pulumi_postgresql"
    types = InputTypes("pulumi_postgresql")

    def check_config(self, config: Properties) -> list[Failure]:
        """Refuse what this plugin cannot do."""
        return list(_problems(config))

    def configure(self, config: Properties) -> Backend:
        """Take the configuration; the first request connects."""
        timeout = config.get("connectTimeout", _SDK_TIMEOUT)
        options = {
            "sslmode": config.get("sslmode") or config.get("sslMode") or os.environ.get("PGSSLMODE") or "require",
            "sslrootcert": config.get("sslrootcert"),
            "sslcert": config.get("clientcert", {}).get("cert"),
            "sslkey": config.get("clientcert", {}).get("key"),
        }
        address = Address(
            host=config.get("host") or os.environ.get("PGHOST") or "localhost",
            port=config.get("port") or int(os.environ.get("PGPORT") or 5432),
            username=config.get("username") or os.environ.get("PGUSER") or "postgres",
            password=config.get("password") or os.environ.get("PGPASSWORD") or "",
            database=config.get("database") or os.environ.get("PGDATABASE") or "postgres",
            connect_timeout=_TIMEOUT if timeout == _SDK_TIMEOUT else timeout,
            options={name: value for name, value in options.items() if value},
        )
        # What is left of libpq's variables would lead elsewhere in silence (PGHOSTADDR, PGSERVICE, PGOPTIONS).
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]
        server = Server(
            address,
            superuser=config.get("superuser", True),
            max_connections=config.get("maxConnections", _MAX_CONNECTIONS),
        )
        return Backend(by_token({token: resource(server) for token, resource in _RESOURCES.items()}))

    def close(self) -> None:
        """Leave: the server ends what a closed connection was doing."""


def _problems(config: Properties) -> Iterator[Failure]:
    for name in _CLOUD:
        if config.get(name):
            yield Failure(name, "is not served by this local plugin, which knows passwords and client certificates")
    if config.get("scheme", "postgres") != "postgres":
        yield Failure("scheme", f"must be postgres with this local plugin, not {config['scheme']!r}")
    if isinstance(config.get("clientcert"), dict) and config["clientcert"].get("sslinline"):
        yield Failure("clientcert.sslinline", "is not served by this local plugin; give the paths of files")
