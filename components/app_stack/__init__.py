"""Everything one application owns, from one declaration (APP-01).

:class:`AppStack` is the whole; :class:`AppDatabase`, :class:`AppSecrets`, :class:`AppNamespace`, :class:`AppWorkload`
and :class:`AppDelivery` are its parts, each usable alone with the same arguments.
"""

from .app import App, AppError
from .args import AppStackArgs, Delivery, Mode
from .component import AppStack
from .database import AppDatabase
from .delivery import AppDelivery
from .namespace import AppNamespace
from .platform import PlatformArgs
from .vault_access import AppSecrets
from .workload import AppWorkload

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
