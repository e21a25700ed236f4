"""One application, whole."""

from collections.abc import Mapping

import pulumi

from ..options import child_options
from .app import App
from .args import AppStackArgs
from .checks import as_data, checklist
from .database import AppDatabase
from .delivery import AppDelivery
from .namespace import AppNamespace
from .platform import PlatformArgs
from .render_workload import image
from .vault_access import AppSecrets, check_config
from .workload import AppWorkload

__all__ = ["AppStack"]


class AppStack(pulumi.ComponentResource):
    """Everything an application owns, from one declaration, in one converging ``up`` (APP-01, APP-08).

    Order (APP-02 to APP-06): the database and Vault's policies side by side; then the role that creates database users;
    then what reads Vault in the cluster; then the workload or the ArgoCD Application.
    """

    application: pulumi.Output[str]
    """The application's name."""
    mount_paths: pulumi.Output[Mapping[str, str]] | None
    """Vault mounts ``k8s``, ``pg`` and ``kvv2``."""
    kvv2_path_prefix: pulumi.Output[str] | None
    """Path of the application's secrets below the KV mount."""
    database: pulumi.Output[str] | None
    """Name of the database."""
    owner_role: pulumi.Output[str] | None
    """Role that owns the database."""
    repository_url: pulumi.Output[str] | None
    """Address of the repository."""
    image: pulumi.Output[str] | None
    """Image."""
    namespace: pulumi.Output[str] | None
    """Namespace."""
    service_account: pulumi.Output[str] | None
    """ServiceAccount."""
    hosts: pulumi.Output[list[str]]
    """Hosts at which the application is served."""
    vault_roles: pulumi.Output[Mapping[str, str]]
    """Vault role names by kind: ``kubernetes``, ``database``, ``ci``."""
    checks: pulumi.Output[list[dict[str, object]]]
    """What to verify, in order (APP-26)."""
    backup: pulumi.Output[str] | None
    """File of the database's backup, taken by ``decommission``."""
    config_backup: pulumi.Output[str] | None
    """File of the configuration's backup, taken by ``decommission``."""

    def __init__(
        self,
        name: str,
        args: AppStackArgs,
        platform: PlatformArgs,
        *,
        kv_config: Mapping[str, pulumi.Input[str]] | None = None,
        editor_password: pulumi.Input[str] | None = None,
        oauth_client_id: pulumi.Input[str] | None = None,
        repository_url: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Build the application ``name``.

        ``kv_config`` holds the values of ``args.vault.config_keys``; ``editor_password`` is the one of an editor role
        that exists already, otherwise one is generated; ``oauth_client_id`` and ``repository_url`` come
        from the forge where the repository is a resource of the same program. Raises
        :class:`~components.naming.NamingError` before anything is registered, also for secrets that do not fit.
        """
        app = App.of(name, args, platform)
        check_config(app, kv_config or {})
        super().__init__("factory:app:AppStack", name, None, opts)
        child = child_options(self, opts)

        def after_backup_of(part: pulumi.Resource | None) -> pulumi.ResourceOptions:
            """Keep all of a leaving application protected until what stands before has been backed up (APP-39)."""
            return child_options(self, opts, after=[part] if part is not None and args.decommission else [])

        database = None
        if args.has_database:
            database = AppDatabase(name, args, platform, editor_password=editor_password, opts=child)
        secrets = None
        if args.uses_vault:
            secrets = AppSecrets(
                name,
                args,
                platform,
                kv_config=kv_config,
                editor_role=database.editor_role if database else None,
                editor_password=database.editor_password if database else None,
                after_database=[database] if database else [],
                oauth_client_id=oauth_client_id,
                opts=after_backup_of(database),
            )
        ground = None
        if app.owns_namespace:
            ground = AppNamespace(
                name, args, platform, after_secrets=[secrets] if secrets else [], opts=after_backup_of(secrets)
            )
        # The namespace's own Vault resources wait for the secrets already.
        prepared = child_options(self, opts, after=[ground] if ground else [])
        if app.writes_workload:
            AppWorkload(name, args, platform, namespace=ground.namespace if ground else None, opts=prepared)
        elif args.has_workload:
            AppDelivery(name, args, platform, repository_url=repository_url, opts=prepared)
        self._expose(app, database, secrets, ground, repository_url)

    def _expose(
        self,
        app: App,
        database: AppDatabase | None,
        secrets: AppSecrets | None,
        ground: AppNamespace | None,
        repository_url: pulumi.Input[str] | None,
    ) -> None:
        names, running = app.names, app.args.has_workload
        roles = {
            "kubernetes": secrets.kubernetes_role if secrets else None,
            "database": secrets.database_role if secrets else None,
            "ci": secrets.ci_role if secrets else None,
        }
        self.application = pulumi.Output.from_input(names.app)
        self.mount_paths = secrets.mount_paths if secrets else None
        self.kvv2_path_prefix = secrets.kvv2_path_prefix if secrets else None
        self.database = database.database if database else None
        self.owner_role = database.owner_role if database else None
        self.backup = database.backup if database else None
        self.config_backup = secrets.config_backup if secrets else None
        self.repository_url = pulumi.Output.from_input(repository_url or names.repository_url) if running else None
        self.image = pulumi.Output.from_input(image(app)) if running else None
        self.namespace = ground.namespace if ground else None
        self.service_account = ground.service_account if ground else None
        self.hosts = pulumi.Output.from_input(list(app.all_hosts))
        self.vault_roles = pulumi.Output.all(**{kind: role for kind, role in roles.items() if role is not None})
        self.checks = pulumi.Output.from_input(as_data(checklist(app)))
        self.register_outputs(self.outputs())

    def outputs(self) -> dict[str, pulumi.Output[object]]:
        """Give every output by its documented name, for a stack's exports (section 3.3)."""
        found = {
            "name": self.application,
            "mount_paths": self.mount_paths,
            "kvv2_path_prefix": self.kvv2_path_prefix,
            "database": self.database,
            "owner_role": self.owner_role,
            "repository_url": self.repository_url,
            "image": self.image,
            "namespace": self.namespace,
            "service_account": self.service_account,
            "hosts": self.hosts,
            "vault_roles": self.vault_roles,
            "checks": self.checks,
            "backup": self.backup,
            "config_backup": self.config_backup,
        }
        return {name: value for name, value in found.items() if value is not None}
