"""Ends what is lent of a database before the database goes.

A short-lived database user is a member of its application's owner role, made so by the editor: as long as it lives,
neither role can be removed, and once Vault has lost the connection it cannot remove the user. So the leases end first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from cli.errors import CommandError
from cli.session import Report
from cli.vault_client import VaultClient
from stacks.settings.sections import targets

_ROLE = "vault:database/secretBackendRole:SecretBackendRole"
_SECONDS = 60
# Options with which the engine takes a part of the resources only.
NARROWING = ("--target", "-t", "--exclude")


def leaving(resources: Iterable[dict[str, Any]], stack: str, declared: Iterable[str]) -> list[str]:
    """Return URN patterns of the applications that the state has and the configuration has not."""
    gone = {_role_name(resource) for resource in resources if resource["type"] == _ROLE} - set(declared)
    return [pattern for name in sorted(gone) for pattern in targets(f"apps.{name}", stack, [name])]


def end(
    resources: Sequence[dict[str, Any]],
    patterns: Sequence[str],
    forwarded: Sequence[str],
    open_vault: Callable[[], VaultClient],
    report: Report,
) -> None:
    """Revoke the leases of every database role that is about to be removed: those whose URN meets a pattern.

    Nothing is done where the engine will refuse anyway, because of protected data, or where the person who runs this
    has narrowed the run down. A Vault that does not answer or refuses is reported: the engine then says what fails.
    """
    going = [one for one in resources if any(fnmatchcase(one["urn"], pattern) for pattern in patterns)]
    if any(one.get("protect") for one in going) or any(word.startswith(NARROWING) for word in forwarded):
        return
    for role in (one for one in going if one["type"] == _ROLE):
        prefix = f"{role['inputs']['backend']}/creds/{_role_name(role)}"
        try:
            open_vault().request("PUT", f"sys/leases/revoke-prefix/{prefix}", seconds=_SECONDS)
        except CommandError as error:
            report(f"the database logins of {prefix} were not ended: {error}")


def _role_name(role: dict[str, Any]) -> str:
    return str(role["inputs"]["name"])
