"""Ends what is lent of a database before the database goes.

A short-lived database user is a member of its application's owner role, made so by the editor: as long as it lives,
neither role can be removed, and once Vault has lost the connection it cannot remove the user. So the leases end first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cli.errors import CommandError
from cli.forwarded import narrowed
from cli.protection import going
from cli.session import Report
from cli.vault_client import VaultClient
from stacks.settings.sections import targets

_ROLE = "vault:database/secretBackendRole:SecretBackendRole"
_SECONDS = 60


def leaving(resources: Iterable[dict[str, Any]], stack: str, declared: Iterable[str]) -> list[str]:
    """Return URN patterns of the applications that have a database in the state and, in the configuration, none.

    `declared` are those that have one there.
    """
    gone = {_role_name(resource) for resource in resources if resource["type"] == _ROLE} - set(declared)
    return [pattern for name in sorted(gone) for pattern in targets(f"apps.{name}", stack, [name])]


def end(
    resources: Sequence[dict[str, Any]],
    patterns: Sequence[str],
    forwarded: Sequence[str],
    open_vault: Callable[[], VaultClient],
    report: Report,
) -> None:
    """Revoke the leases of every database role that is about to be removed with what meets a pattern.

    Nothing is done where the engine will refuse anyway, because of protected data, or where the person who runs this
    has narrowed the run down. A Vault that does not answer or refuses is reported: the engine then says what fails.
    """
    urns = going(resources, patterns, forwarded)
    removed = [one for one in resources if one["urn"] in urns]
    if any(one.get("protect") for one in removed) or narrowed(forwarded):
        return
    for role in (one for one in removed if one["type"] == _ROLE):
        prefix = f"{role['inputs']['backend']}/creds/{_role_name(role)}"
        try:
            open_vault().request("PUT", f"sys/leases/revoke-prefix/{prefix}", seconds=_SECONDS)
        except CommandError as error:
            report(f"the database logins of {prefix} were not ended: {error}")


def _role_name(role: dict[str, Any]) -> str:
    return str(role["inputs"]["name"])
