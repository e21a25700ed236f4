"""PostgreSQL: the pooler's role and look-up function, and the databases without an application (PG-14)."""

from .args import PostgresFoundationArgs
from .component import PostgresFoundation
from .pooler_access import PoolerAccess

__all__ = ["PoolerAccess", "PostgresFoundation", "PostgresFoundationArgs"]
