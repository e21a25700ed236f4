"""The pure heart: from what is wanted, what is there and what this resource made, to what is to be done.

Order of work: removals, then repositories, packages, groups, users and their keys, the steps of stage ``prepare``,
kernel modules, mounts, directories, downloads, links, files, blocks, merged keys, kernel parameters, units, the steps
of stage ``configure``, services, the steps of stage ``finish``.

A restart is owed when something that a service depends on changed, in this plan or in an earlier one that did not come
to its end: the journal on the host names those items until they are served.
"""

from __future__ import annotations

from .errors import AgentError, Refusal
from .plan import Planning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

KINDS = (
    "repositories",
    "packages",
    "groups",
    "users",
    "authorized_keys",
    "modules",
    "mounts",
    "directories",
    "downloads",
    "links",
    "files",
    "blocks",
    "merges",
    "sysctl",
    "units",
    "steps",
)
PATH_KINDS = ("directories", "downloads", "links", "files", "merges")
SYSTEM_KINDS = (
    "repositories",
    "packages",
    "groups",
    "users",
    "authorized_keys",
    "modules",
    "mounts",
    "sysctl",
    "units",
)
"""What can be managed only on a whole host, not below a prefix."""
_REMOVAL = ("steps", "units", "links", "files", "downloads", "blocks", "merges", "directories", "sysctl", "mounts")
_LATE_REMOVAL = ("modules", "authorized_keys", "users", "groups", "repositories")
_FIRST = ("groups", "users", "authorized_keys")
_MIDDLE = ("modules", "mounts", "directories", "downloads", "links", "files", "blocks", "merges", "sysctl")


def plan(planning: Planning) -> Planning:
    """Fill a plan."""
    _check_kinds(planning)
    _removals(planning)
    _build(planning, ("repositories",))
    if planning.wanted("packages") or planning.owned.get("packages") or planning.wanted("repositories"):
        from . import plan_system

        plan_system.packages(planning)
    _build(planning, _FIRST)
    _steps(planning, "prepare")
    _build(planning, _MIDDLE)
    if planning.wanted("units"):
        from . import plan_services

        plan_services.units(planning)
    _steps(planning, "configure")
    if planning.wanted("units"):
        plan_services.services(planning)
    _steps(planning, "finish")
    return planning


def _check_kinds(planning: Planning) -> None:
    unknown = sorted(set(planning.document) - set(KINDS) - {"confirm"})
    if unknown:
        raise AgentError("invalid", f"the document has the kind {unknown[0]!r}, which this agent does not know")
    if planning.facts.get("whole", True):
        return
    for kind in SYSTEM_KINDS:
        for key in planning.wanted(kind):
            planning.refuse(f"{kind}:{key}", "this needs a whole host, and the connection has a root prefix")


def _steps(planning: Planning, stage: str) -> None:
    if planning.wanted("steps"):
        from . import plan_services

        plan_services.steps(planning, stage)


def _build(planning: Planning, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        wanted = {key: entry for key, entry in planning.wanted(kind).items() if entry.get("state") != "absent"}
        if wanted and _allowed(planning, kind):
            present, _, _ = _planners(kind)
            for key in sorted(wanted):
                _guarded(planning, kind, key, present, wanted[key])


def _removals(planning: Planning) -> None:
    for kind in (*_REMOVAL, *_LATE_REMOVAL):
        wanted, owned = planning.wanted(kind), planning.owned.get(kind, {})
        absent = {key for key, entry in wanted.items() if entry.get("state") == "absent"}
        released = {key for key in owned if key not in wanted and not _taken_over(planning, kind, key)}
        if not (absent or released) or not _allowed(planning, kind):
            continue
        _, remove, release = _planners(kind)
        # Directories from the deepest up: what is in one goes first.
        for key in sorted(absent | released, reverse=True):
            if key in absent:
                _guarded(planning, kind, key, remove, wanted[key])
            else:
                _guarded(planning, kind, key, release, owned[key])


def _taken_over(planning: Planning, kind: str, key: str) -> bool:
    """Whether a path that was one kind of item is another now."""
    return kind in PATH_KINDS and any(key in planning.wanted(other) for other in PATH_KINDS)


def _allowed(planning: Planning, kind: str) -> bool:
    return kind not in SYSTEM_KINDS or bool(planning.facts.get("whole", True))


def _guarded(planning: Planning, kind: str, key: str, planner: Callable[..., None], detail: Any) -> None:
    try:
        planner(planning, key, detail)
    except Refusal as refusal:
        planning.refuse(f"{kind}:{key}", str(refusal))


def _planners(kind: str) -> tuple[Any, Any, Any]:
    """Give a kind's planners: for what is to be there, for what is absent by name, for what is no longer wanted."""
    if kind in ("links", "files", "downloads"):
        from . import plan_files

        def remove(planning: Planning, path: str, _entry: Mapping[str, Any]) -> None:
            plan_files.no_file(kind, planning, path)

        def release(planning: Planning, path: str, _detail: Any) -> None:
            plan_files.release_file(kind, planning, path)

        return getattr(plan_files, kind), remove, release
    if kind == "directories":
        from . import plan_files

        return plan_files.directories, plan_files.no_directories, plan_files.release_directories
    if kind in ("blocks", "merges"):
        from . import plan_edits

        return {
            "blocks": (plan_edits.blocks, plan_edits.no_blocks, plan_edits.no_blocks),
            "merges": (plan_edits.merges, None, plan_edits.release_merges),
        }[kind]
    if kind in ("units", "steps"):
        from . import plan_services

        return {
            "units": (None, plan_services.no_units, plan_services.no_units),
            "steps": (None, None, plan_services.release_steps),
        }[kind]
    from . import plan_system

    return {
        "repositories": (plan_system.repositories, plan_system.no_repositories, plan_system.no_repositories),
        "groups": (plan_system.groups, plan_system.no_groups, plan_system.no_groups),
        "users": (plan_system.users, plan_system.no_users, plan_system.no_users),
        "authorized_keys": (plan_system.authorized_keys, None, plan_system.release_authorized_keys),
        "modules": (plan_system.modules, plan_system.no_modules, plan_system.no_modules),
        "mounts": (plan_system.mounts, plan_system.no_mounts, plan_system.no_mounts),
        "sysctl": (plan_system.sysctl, plan_system.no_sysctl, plan_system.no_sysctl),
    }[kind]
