"""What one application has in Vault: its secrets, its short-lived database users, its logins and its policies."""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_vault import Policy
from pulumi_vault.database import SecretBackendConnection, SecretBackendRole
from pulumi_vault.identity import Group
from pulumi_vault.jwt import AuthBackendRole as JwtRole
from pulumi_vault.kubernetes import AuthBackendRole as KubernetesRole
from pulumi_vault.kv import SecretV2

from ..options import child_options
from . import render_sql, render_vault
from .app import App, AppError
from .args import AppStackArgs
from .backup import ConfigBackup
from .platform import PlatformArgs

__all__ = ["AppSecrets", "check_config"]


def check_config(app: App, values: Mapping[str, pulumi.Input[str]]) -> None:
    """Compare the secrets given with the declared keys (VAULT-24). Raises AppError for one without the other."""
    declared, given = set(app.args.vault.config_keys), set(values)
    if declared != given:
        missing = ", ".join(sorted(declared - given)) or "none"
        unknown = ", ".join(sorted(given - declared)) or "none"
        message = (
            f"application {app.names.app!r}: vault.config_keys and the secrets given differ (VAULT-24): "
            f"missing {missing}, not declared {unknown}"
        )
        raise AppError(message)


class AppSecrets(pulumi.ComponentResource):
    """KV configuration, database users, policies, and the logins of pods and of CI (VAULT-08 to VAULT-24).

    CI gets the ops policy by its own role, which is bound to one repository; the identity group carries the same policy
    to people, whose membership is not this program's (VAULT-11).
    """

    mount_paths: pulumi.Output[Mapping[str, str]]
    """Mounts ``k8s``, ``pg`` and ``kvv2`` (VAULT-20)."""
    kvv2_path_prefix: pulumi.Output[str]
    """Path of the application's secrets below the KV mount, ``<app>/`` (VAULT-20)."""
    runtime_policy: pulumi.Output[str]
    """Policy of the pods."""
    ops_policy: pulumi.Output[str] | None
    """Policy of CI and operators; none where the application has no repository of its own."""
    kubernetes_role: pulumi.Output[str] | None
    """Role with which pods log in."""
    database_role: pulumi.Output[str] | None
    """Role whose credentials are the short-lived database users."""
    ci_role: pulumi.Output[str] | None
    """Role with which CI logs in; none without an OAuth2 client."""
    config_backup: pulumi.Output[str] | None
    """File of the configuration's backup, taken by ``decommission``."""

    def __init__(
        self,
        name: str,
        args: AppStackArgs,
        platform: PlatformArgs,
        *,
        kv_config: Mapping[str, pulumi.Input[str]] | None = None,
        editor_role: pulumi.Input[str] | None = None,
        editor_password: pulumi.Input[str] | None = None,
        after_database: Sequence[pulumi.Resource] = (),
        oauth_client_id: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Create what the application ``name`` has in Vault.

        ``kv_config`` holds the values of ``args.vault.config_keys``. ``editor_role`` and ``editor_password`` are the
        login of the application's database, which exists ``after_database``. ``oauth_client_id`` stands in for
        ``args.ci.oauth_client_id`` where the client is a resource too.
        """
        self._app = App.of(name, args, platform)
        check_config(self._app, kv_config or {})
        super().__init__("factory:app:AppSecrets", name, None, opts)
        self._opts = opts
        self._child = child_options(self, opts)
        mounts = platform.vault.mounts
        self.config_backup = self._write_config(name, kv_config or {}) if self._app.writes_config else None
        self.runtime_policy = self._policy(f"{name}-runtime", self._app.names.runtime_policy, runtime=True)
        self.ops_policy = None
        if args.has_workload:
            self.ops_policy = self._policy(f"{name}-ops", self._app.names.ops_policy, runtime=False)
            self._group(name, self.ops_policy)
        self.kubernetes_role = self._kubernetes_role(name)
        self.database_role = None
        if args.has_database:
            self.database_role = self._database_role(name, editor_role, editor_password, after_database)
        self.ci_role = None
        client = oauth_client_id if oauth_client_id is not None else args.ci.oauth_client_id
        if client is not None and self.ops_policy is not None:
            self.ci_role = self._ci_role(name, client, self.ops_policy)
        self.mount_paths = pulumi.Output.from_input(
            {"k8s": mounts.kubernetes, "pg": mounts.database, "kvv2": mounts.kv2}
        )
        self.kvv2_path_prefix = pulumi.Output.from_input(self._app.names.kv_prefix)
        self.register_outputs(
            {
                "mountPaths": self.mount_paths,
                "kvv2PathPrefix": self.kvv2_path_prefix,
                "runtimePolicy": self.runtime_policy,
                "opsPolicy": self.ops_policy,
                "kubernetesRole": self.kubernetes_role,
                "databaseRole": self.database_role,
                "ciRole": self.ci_role,
            }
        )

    def _write_config(self, name: str, values: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[str] | None:
        """Write the configuration secret (VAULT-24); its protection falls only after its backup (APP-39)."""
        document: pulumi.Input[str] = pulumi.Output.json_dumps(dict(values))
        taken = None
        if self._app.args.decommission:
            taken = ConfigBackup(name, self._app, document=document, opts=self._child)
        SecretV2(
            f"{name}-config",
            mount=self._app.platform.vault.mounts.kv2,
            name=self._app.names.config_path,
            data_json=pulumi.Output.secret(document),
            opts=child_options(self, self._opts, after=[taken] if taken else [], protect=self._app.protect),
        )
        return taken.file if taken else None

    def _policy(self, name: str, policy: str, *, runtime: bool) -> pulumi.Output[str]:
        rules = render_vault.runtime_rules(self._app) if runtime else render_vault.ops_rules(self._app)
        return Policy(name, name=policy, policy=render_vault.policy_text(rules), opts=self._child).name

    def _group(self, name: str, policy: pulumi.Input[str]) -> None:
        """Give the ops policy to people; who they are is decided where they log in (VAULT-11)."""
        Group(
            f"{name}-ops",
            name=self._app.names.ops_group,
            type="internal",
            policies=[policy],
            external_member_entity_ids=True,
            opts=self._child,
        )

    def _kubernetes_role(self, name: str) -> pulumi.Output[str] | None:
        """Let the application's ServiceAccount log in (VAULT-22, VAULT-23)."""
        names, namespaces = render_vault.service_accounts(self._app)
        if not names or not namespaces:
            return None
        return KubernetesRole(
            f"{name}-kubernetes",
            backend=self._app.platform.vault.mounts.kubernetes,
            role_name=self._app.names.kubernetes_role,
            bound_service_account_names=names,
            bound_service_account_namespaces=namespaces,
            audience=self._app.platform.vault.audience,
            token_policies=pulumi.Output.all("default", self.runtime_policy).apply(sorted),
            token_ttl=self._app.args.vault.token_ttl,
            opts=self._child,
        ).role_name

    def _database_role(
        self,
        name: str,
        editor_role: pulumi.Input[str] | None,
        editor_password: pulumi.Input[str] | None,
        after_database: Sequence[pulumi.Resource],
    ) -> pulumi.Output[str]:
        """Connect Vault to the one database and let it create that application's users only (PG-33, VAULT-21)."""
        if editor_role is None or editor_password is None:
            message = f"application {name!r}: its database users need editor_role and editor_password (PG-33)"
            raise AppError(message)
        app, mount = self._app, self._app.platform.vault.mounts.database
        connection = SecretBackendConnection(
            f"{name}-connection",
            backend=mount,
            name=app.names.database_connection,
            allowed_roles=[app.names.database_role],
            postgresql={
                "connection_url": render_sql.connection_url(app),
                "username": editor_role,
                "password": pulumi.Output.secret(editor_password),
                # Vault sends the verifier of a new user's password, so no statement carries the password.
                "password_authentication": "scram-sha-256",
                **({"tls_ca": app.platform.postgres.ca_pem} if app.platform.postgres.ca_pem else {}),
            },
            # The database may be another's: it need not wait for Vault.
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=list(after_database))),
        )
        return SecretBackendRole(
            f"{name}-database",
            backend=mount,
            name=app.names.database_role,
            db_name=connection.name,
            creation_statements=list(
                render_sql.creation_statements(
                    app.names.owner_role, connection_limit=app.args.database.connection_limit
                )
            ),
            revocation_statements=list(render_sql.revocation_statements(app.names.owner_role)),
            default_ttl=app.args.database.default_ttl,
            max_ttl=app.args.database.max_ttl,
            opts=self._child,
        ).name

    def _ci_role(self, name: str, client: pulumi.Input[str], ops_policy: pulumi.Input[str]) -> pulumi.Output[str]:
        """Let the CI of one repository log in: its own audience and its own claims (VAULT-08, VAULT-71)."""
        platform = self._app.platform.vault
        return JwtRole(
            f"{name}-ci",
            backend=platform.mounts.jwt,
            role_name=self._app.names.ci_role,
            role_type="jwt",
            user_claim=platform.jwt.user_claim,
            bound_audiences=[client],
            bound_claims_type="string",
            bound_claims=render_vault.bound_claims(self._app),
            token_policies=pulumi.Output.all("default", ops_policy, *self._app.args.vault.ops_policies).apply(sorted),
            token_ttl=platform.jwt.token_ttl,
            token_max_ttl=platform.jwt.token_ttl,
            opts=self._child,
        ).role_name
