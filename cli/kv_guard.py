"""An application's KV secret that this stack did not write is never overwritten.

Creating most things fails where something of that name exists. A KV secret is different: Vault takes the write as a new
version. So before an `up` that would create one, Vault is asked whether it is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from cli.errors import InputError
from cli.stack import PROJECT
from cli.vault_client import VaultClient
from components.app_stack.app import App
from stacks.settings.schema import Settings

_KIND = "factory:app:AppStack$factory:app:AppSecrets$vault:kv/secretV2:SecretV2"


def refuse_overwriting(
    stack: str, settings: Settings, owned: Collection[str], only: str | None, open_vault: Callable[[], VaultClient]
) -> None:
    """Raise InputError if the stack, whose state has the URNs `owned`, would write a KV secret that is not its own."""
    if settings.platform is None or (only or "apps").partition(".")[0] != "apps":
        return
    chosen = (only or "").partition(".")[2]
    mount = settings.platform.vault.mounts.kv2
    vault: VaultClient | None = None
    for name, args in settings.apps.items():
        if (chosen and name != chosen) or f"urn:pulumi:{stack}::{PROJECT}::{_KIND}::{name}-config" in owned:
            continue
        app = App.of(name, args, settings.platform)
        if not (args.uses_vault and app.writes_config):
            continue
        vault = vault or open_vault()
        path = f"{mount}/data/{app.names.config_path}"
        if vault.read(path) is not None:
            raise InputError(
                f"application {name!r}: Vault has a secret at {path} that this stack did not write, and it is not "
                f"overwritten; `./factory adopt apps.{name}` compares it with `factory:secrets.{name}` and lets "
                "`./factory up --adopt FILE` take it over once both are equal"
            )
