"""Roles, users and tokens on the cluster: the least that writing and reading notes need (TPX-198 to TPX-202)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..host.args import HostStateArgs, StepArgs

__all__ = ["READER", "WRITER", "Access", "access_commands", "access_state"]

_PVEUM: Final = "/usr/sbin/pveum"
_PVESH: Final = "/usr/bin/pvesh"


@dataclass(frozen=True, slots=True)
class Access:
    """A role."""

    role: str
    privileges: tuple[str, ...]
    paths: tuple[str, ...]


WRITER: Final = Access("FactoryNotes", ("VM.Audit", "VM.Config.Options"), ("/vms",))
"""Writes notes. Other paths, `/vms/106` for one guest or `/pool/NAME`, narrow it further."""
READER: Final = Access("TraefikReader", ("VM.Audit", "Sys.Audit"), ("/",))
"""Reads notes, for the gateway's plugin. With the guest agent's privilege as well it learns the guests' addresses."""


def access_commands(access: Access, token_id: str, paths: Sequence[str] = ()) -> list[list[str]]:
    """Give the commands for a node of the cluster, in order; the last but the access prints the secret, once.

    Access is granted to the user and to the token: a token with separated privileges has what both have (TPX-201).
    """
    user, _, token = token_id.partition("!")
    places = [*(paths or access.paths)]
    grants = [
        ["pveum", "acl", "modify", place, *who, "--roles", access.role]
        for place in places
        for who in (("--users", user), ("--tokens", token_id))
    ]
    return [
        ["pveum", "role", "add", access.role, "--privs", ",".join(access.privileges)],
        ["pveum", "user", "add", user, "--comment", "factory"],
        ["pveum", "user", "token", "add", user, token, "--privsep", "1"],
        *grants,
    ]


def access_state(access: Access, token_id: str, secret_file: str, paths: Sequence[str] = ()) -> HostStateArgs:
    """Say the same as a role of a node of the cluster; each step runs only while its result is missing.

    The secret of the new token is left in ``secret_file``, for root only; take it from there into the stack's
    configuration and remove the file.
    """
    user, _, token = token_id.partition("!")
    role_add, user_add, token_add, *grants = access_commands(access, token_id, paths)
    keep = f'umask 077; exec {_PVEUM} "$@" --output-format json >"$0"'
    steps = {
        "role": StepArgs(run=(_PVEUM, *role_add[1:]), unless=(_PVESH, "get", f"/access/roles/{access.role}")),
        "user": StepArgs(run=(_PVEUM, *user_add[1:]), unless=(_PVESH, "get", f"/access/users/{user}"), after=("role",)),
        "token": StepArgs(
            run=("/bin/sh", "-c", keep, secret_file, *token_add[1:]),
            unless=(_PVESH, "get", f"/access/users/{user}/token/{token}"),
            after=("user",),
            secret=True,
        ),
    }
    for number, grant in enumerate(grants, 1):
        # The same grant twice is one grant, so this may well run again when something about it changes.
        wanted = " ".join(grant)
        steps[f"grant-{number}"] = StepArgs(run=(_PVEUM, *grant[1:]), once_for=wanted, after=("token",))
    return HostStateArgs(steps=steps)
