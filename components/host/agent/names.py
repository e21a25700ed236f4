"""Where the items lie that are files of ours below a directory of the system."""

from __future__ import annotations

from .digest import sha256_of
from .host import STATE

UNITS = "/etc/systemd/system"
FSTAB = "/etc/fstab"
BACKUP = ".factory-backup"
"""What is added to the name of a foreign file for its copy from before the first merge."""


def unit_path(name: str) -> str:
    """Name a unit's own file."""
    return f"{UNITS}/{name}"


def drop_in_path(name: str, drop_in: str) -> str:
    """Name a unit's drop-in."""
    return f"{UNITS}/{name}.d/{drop_in}.conf"


def sysctl_path(key: str) -> str:
    """Name the file that sets a kernel parameter at each start."""
    return f"/etc/sysctl.d/90-factory-{key.replace('/', '-')}.conf"


def sysctl_value_path(key: str) -> str:
    """Name where the kernel shows a parameter: dots separate, a slash stands for a dot inside a name."""
    return "/proc/sys/" + key.translate({ord("."): "/", ord("/"): "."})


def module_path(name: str) -> str:
    """Name the file that loads a kernel module at each start."""
    return f"/etc/modules-load.d/factory-{name}.conf"


def repository_path(name: str) -> str:
    """Name a repository's entry."""
    return f"/etc/apt/sources.list.d/factory-{name}.sources"


def repository_key_path(name: str) -> str:
    """Name the file of the key that signs a repository."""
    return f"/etc/apt/keyrings/factory-{name}.asc"


def step_path(resource: str, name: str) -> str:
    """Name the mark of a step that runs once for a text: the text's hash."""
    return f"{STATE}/steps/{short(resource)}-{name}"


def journal_path(resource: str) -> str:
    """Name the note of what a resource's unfinished run was about to do."""
    return f"{STATE}/journal/{short(resource)}"


def short(resource: str) -> str:
    """Make a file name for a resource."""
    return sha256_of(resource.encode("utf-8", "surrogatepass"))[:16]
