"""Entry: ``python -m toolchain.plugins.postgresql ENGINE_ADDRESS``."""

from toolchain.plugins.kit import serve

from .provider import PostgresqlProvider

serve(PostgresqlProvider())
