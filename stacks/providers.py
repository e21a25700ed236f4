"""Every provider of a stack, explicit (POL-33): made, and its package imported, when a section first asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TypeVar

import pulumi

from .settings.access import Access

__all__ = ["Providers"]

_Target = TypeVar("_Target")


class Providers:
    """The providers of one run.

    Their inputs hold no file that a run would leave behind: the kubeconfig is handed over as text with one context, and
    certificates are files that exist before and after. Passwords, tokens and the kubeconfig are secrets.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def of(self, packages: Iterable[str]) -> list[pulumi.ProviderResource]:
        """Give the providers of these packages.

        They are `kubernetes`, `vault`, `postgres`, `python` (dynamic resources), `command` and `factory` (hosts).
        """
        makers: dict[str, Callable[[], pulumi.ProviderResource]] = {
            "kubernetes": lambda: self._kubernetes,
            "vault": lambda: self._vault,
            "postgres": lambda: self._postgres,
            "python": lambda: self._python,
            "command": lambda: self._command,
            "factory": lambda: self._factory,
        }
        return [makers[package]() for package in sorted(set(packages))]

    @property
    def kubeconfig(self) -> pulumi.Output[str]:
        """The kubeconfig of the cluster, for what reaches it without a provider of its own."""
        return pulumi.Output.secret(_present(self._access.kubernetes, "kubernetes").kubeconfig)

    @cached_property
    def _kubernetes(self) -> pulumi.ProviderResource:
        from pulumi_kubernetes import Provider  # noqa: PLC0415 - only if a section needs it

        target = _present(self._access.kubernetes, "kubernetes")
        return Provider(
            "kubernetes",
            kubeconfig=self.kubeconfig,
            context=target.context,
            enable_server_side_apply=True,
            # A field edited by hand belongs to whoever edited it: without this, `up` could not repair it.
            enable_patch_force=True,
            # The names of these objects are given, so a change is made in place, with nothing missing meanwhile.
            enable_secret_mutable=True,
            enable_config_map_mutable=True,
        )

    @cached_property
    def _vault(self) -> pulumi.ProviderResource:
        from pulumi_vault import Provider  # noqa: PLC0415 - only if a section needs it

        target = _present(self._access.vault, "vault")
        return Provider(
            "vault",
            address=target.connection.address,
            token=pulumi.Output.secret(target.token),
            ca_cert_file=_below_home(target.connection.ca_cert_file),
            # Said although it is the default: VAULT_SKIP_VERIFY of the operator's shell would win otherwise.
            skip_tls_verify=False,
            # The same of VAULT_MAX_RETRIES, which would show as a change besides, and make a dead server's run endless.
            max_retries=2,
            # By default each run works with a child of the token, which ends with it.
            skip_child_token=target.connection.skip_child_token,
            max_lease_ttl_seconds=target.connection.max_lease_ttl_seconds,
        )

    @cached_property
    def _postgres(self) -> pulumi.ProviderResource:
        from pulumi_postgresql import Provider  # noqa: PLC0415 - only if a section needs it

        target = _present(self._access.postgres, "postgres")
        return Provider(
            "postgres",
            host=target.connection.host,
            port=target.connection.port,
            username=target.connection.username,
            password=pulumi.Output.secret(target.password),
            sslmode=target.connection.sslmode,
            sslrootcert=_below_home(target.connection.sslrootcert),
            # The pooler's look-up runs as its owner, who reads password verifiers: that takes a superuser (PG-06).
            superuser=True,
            connect_timeout=target.connection.connect_timeout_seconds,
            # Said although it is the default: PGDATABASE of the operator's shell would win otherwise.
            database="postgres",
        )

    @cached_property
    def _python(self) -> pulumi.ProviderResource:
        """Serve dynamic resources, which have no package of their own."""
        return pulumi.ProviderResource("pulumi-python", "python", {})

    @cached_property
    def _command(self) -> pulumi.ProviderResource:
        from pulumi_command import Provider  # noqa: PLC0415 - only if a section needs it

        return Provider("command")

    @cached_property
    def _factory(self) -> pulumi.ProviderResource:
        """Serve the states of hosts; the project file says where the plugin is."""
        from components.host import FactoryProvider  # noqa: PLC0415 - only if a section needs it

        return FactoryProvider("factory")


def _below_home(file: str | None) -> str | None:
    """Say where a file below the home is, which no provider looks for.

    One below the checkout stays as it is: providers run there, and the state is the same from every checkout.
    """
    return os.path.expanduser(file) if file is not None else None  # noqa: PTH111 - a path object would change the rest


def _present(target: _Target | None, section: str) -> _Target:
    if target is None:
        # The two disagree about what a section needs: a mistake of this program.
        message = f"a component asks for `{section}`, which `stacks.settings.needs.needs` did not foresee"
        raise LookupError(message)
    return target
