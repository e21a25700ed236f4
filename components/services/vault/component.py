"""What Vault has once per site."""

import base64

import pulumi
import pulumi_vault as vault
from pulumi_vault.jwt import AuthBackend as JwtAuthBackend
from pulumi_vault.kubernetes import AuthBackendConfig as KubernetesAuthBackendConfig

from ...kubernetes_object import KubernetesObject
from ...options import child_options
from .args import JwtLoginArgs, KubernetesLoginArgs, VaultFoundationArgs, VaultMounts

__all__ = ["VaultFoundation"]


class VaultFoundation(pulumi.ComponentResource):
    """The mounts and the logins that exist before any application (PLAT-07, VAULT-01, VAULT-02)."""

    mounts: pulumi.Output[dict[str, str]]
    """Path of each mount by its purpose."""
    last: tuple[pulumi.Resource, ...]
    """What all else of it comes before: who waits for these waits for the whole foundation."""

    def __init__(
        self,
        name: str,
        args: VaultFoundationArgs,
        *,
        mounts: VaultMounts | None = None,
        protect: bool = True,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Mount Vault's engines at ``mounts``; ``protect`` refuses the deletion of those that hold data."""
        super().__init__("factory:vault:VaultFoundation", name, None, opts)
        paths = mounts or VaultMounts()
        self._opts = opts
        data = child_options(self, opts, protect=protect)
        engines = [
            vault.Mount(f"{name}-kv2", path=paths.kv2, type="kv", options={"version": "2"}, opts=data),
            vault.Mount(
                f"{name}-database",
                path=paths.database,
                type="database",
                default_lease_ttl_seconds=args.default_lease_ttl,
                max_lease_ttl_seconds=args.max_lease_ttl,
                opts=child_options(self, opts),
            ),
            vault.Mount(f"{name}-transit", path=paths.transit, type="transit", opts=data),
        ]
        if args.kv1:
            engines.append(vault.Mount(f"{name}-kv1", path=paths.kv1, type="kv", options={"version": "1"}, opts=data))
        last: list[pulumi.Resource] = [*engines]
        if args.kubernetes is not None:
            last.append(self._kubernetes_login(name, args.kubernetes, paths))
        if args.jwt is not None:
            last.append(self._jwt_login(name, args.jwt, paths))
        self.last = tuple(last)
        self.mounts = pulumi.Output.all(*(engine.path for engine in engines)).apply(lambda _: paths.model_dump())
        self.register_outputs({"mounts": self.mounts})

    def _kubernetes_login(self, name: str, args: KubernetesLoginArgs, paths: VaultMounts) -> pulumi.Resource:
        """Let pods log in with tokens of their ServiceAccount, which Vault has reviewed by the API server."""
        backend = vault.AuthBackend(
            f"{name}-kubernetes",
            type="kubernetes",
            path=paths.kubernetes,
            opts=child_options(self, self._opts),
        )
        outside = args.reviewer_namespace is not None
        return KubernetesAuthBackendConfig(
            f"{name}-kubernetes",
            backend=backend.path,
            kubernetes_host=args.host,
            kubernetes_ca_cert=args.ca_pem,
            token_reviewer_jwt=self._reviewer_token(name, args.reviewer_namespace) if outside else None,
            disable_local_ca_jwt=outside,
            opts=child_options(self, self._opts),
        )

    def _reviewer_token(self, name: str, namespace: str | None) -> pulumi.Output[str]:
        """Make the identity with which a Vault outside the cluster has tokens reviewed, and nothing else."""
        child = child_options(self, self._opts)
        label = f"{name}-token-reviewer"
        metadata = {"name": label, "namespace": namespace}
        account = KubernetesObject(
            label,
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": metadata,
                "automountServiceAccountToken": False,
            },
            child,
        )
        account_name = account.metadata["name"]
        binding = KubernetesObject(
            label,
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": label},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "system:auth-delegator",
                },
                "subjects": [{"kind": "ServiceAccount", "name": account_name, "namespace": namespace}],
            },
            child,
        )
        token = KubernetesObject(
            label,
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": metadata | {"annotations": {"kubernetes.io/service-account.name": account_name}},
                "type": "kubernetes.io/service-account-token",
            },
            child_options(self, self._opts, after=[binding]),
        )
        decoded: pulumi.Input[str] = token.data.apply(lambda data: base64.b64decode(data["token"]).decode())
        return pulumi.Output.secret(decoded)

    def _jwt_login(self, name: str, args: JwtLoginArgs, paths: VaultMounts) -> pulumi.Resource:
        """Let CI log in with tokens of the forge; roles per repository belong to the applications (VAULT-71)."""
        return JwtAuthBackend(
            f"{name}-jwt",
            type="jwt",
            path=paths.jwt,
            oidc_discovery_url=args.discovery_url,
            oidc_discovery_ca_pem=args.discovery_ca_pem,
            # Vault gives a key back without the newline that ends a PEM block in a file.
            jwt_validation_pubkeys=[key.strip() for key in args.public_keys] or None,
            bound_issuer=args.issuer,
            opts=child_options(self, self._opts),
        )
