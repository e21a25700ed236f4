"""The application's place in the cluster: namespace, limits, network, identity, volumes, and the way to its secrets."""

from collections.abc import Sequence

import pulumi

from ..kubernetes_object import KubernetesObject
from ..options import child_options
from . import render_namespace
from .app import App
from .args import AppStackArgs
from .platform import PlatformArgs

__all__ = ["AppNamespace"]


class AppNamespace(pulumi.ComponentResource):
    """What stands before the workload comes and stays when it goes; always written by this program (CHART-08)."""

    namespace: pulumi.Output[str]
    """The namespace, which exists when this value does."""
    service_account: pulumi.Output[str]
    """The identity of the pods."""

    def __init__(
        self,
        name: str,
        args: AppStackArgs,
        platform: PlatformArgs,
        *,
        after_secrets: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Prepare the namespace of the application ``name``; what reads Vault comes ``after_secrets`` (APP-06).

        What ``opts`` depends on, all of it waits for: in a removal, the backups of the rest (APP-39).
        """
        super().__init__("factory:app:AppNamespace", name, None, opts)
        app = App.of(name, args, platform)
        holds_data = app.protect and bool(args.volumes)
        created = KubernetesObject(name, render_namespace.namespace(app), child_options(self, opts, protect=holds_data))
        namespace: pulumi.Output[str] = created.metadata["name"]
        child = child_options(self, opts, after=[created])
        account = KubernetesObject(name, render_namespace.service_account(app), child, namespace=namespace)
        KubernetesObject(name, render_namespace.resource_quota(app), child, namespace=namespace)
        KubernetesObject(name, render_namespace.limit_range(app), child, namespace=namespace)
        for policy in render_namespace.network_policies(app):
            KubernetesObject(f"{name}-{policy['metadata']['name']}", policy, child, namespace=namespace)
        for claim in render_namespace.claims(app):
            KubernetesObject(
                claim["metadata"]["name"],
                claim,
                child_options(self, opts, after=[created], protect=app.protect),
                namespace=namespace,
            )
        self._bring_secrets(name, app, namespace, [account, *after_secrets], opts)
        self.namespace = namespace
        self.service_account = pulumi.Output.from_input(app.names.service_account)
        self.register_outputs({"namespace": self.namespace, "serviceAccount": self.service_account})

    def _bring_secrets(
        self,
        name: str,
        app: App,
        namespace: pulumi.Output[str],
        after: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        if app.args.uses_vault and app.platform.vault.ca_pem is not None:
            authority = KubernetesObject(
                f"{name}-{render_namespace.CA_OBJECT}",
                render_namespace.vault_authority(app, app.platform.vault.ca_pem),
                child_options(self, opts),
                namespace=namespace,
            )
            after = [authority, *after]
        for manifest in render_namespace.vault_objects(app):
            KubernetesObject(
                f"{name}-{manifest['metadata']['name']}",
                manifest,
                child_options(self, opts, after=after),
                namespace=namespace,
            )
