"""Everything one application owns, from one declaration (APP-01).

:class:`AppStack` is the whole; :class:`AppDatabase`, :class:`AppSecrets`, :class:`AppNamespace`, :class:`AppWorkload`
and :class:`AppDelivery` are its parts, each usable alone with the same arguments.
"""

from typing import TYPE_CHECKING

from ..exports import on_demand
from .app import App, AppError
from .args import AppStackArgs, Delivery, Mode
from .platform import PlatformArgs

if TYPE_CHECKING:
    from .component import AppStack
    from .database import AppDatabase
    from .delivery import AppDelivery
    from .namespace import AppNamespace
    from .vault_access import AppSecrets
    from .workload import AppWorkload
else:
    __getattr__ = on_demand(
        __name__,
        {
            "AppDatabase": "database",
            "AppDelivery": "delivery",
            "AppNamespace": "namespace",
            "AppSecrets": "vault_access",
            "AppStack": "component",
            "AppWorkload": "workload",
        },
    )

__all__ = [
    "App",
    "AppDatabase",
    "AppDelivery",
    "AppError",
    "AppNamespace",
    "AppSecrets",
    "AppStack",
    "AppStackArgs",
    "AppWorkload",
    "Delivery",
    "Mode",
    "PlatformArgs",
]
