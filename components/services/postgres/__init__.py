"""PostgreSQL: the pooler's role and look-up function, and the databases without an application (PG-14)."""

from typing import TYPE_CHECKING

from ...exports import on_demand
from .args import PostgresFoundationArgs

if TYPE_CHECKING:
    from .component import PostgresFoundation
    from .pooler_access import PoolerAccess
else:
    __getattr__ = on_demand(__name__, {"PoolerAccess": "pooler_access", "PostgresFoundation": "component"})

__all__ = ["PoolerAccess", "PostgresFoundation", "PostgresFoundationArgs"]
