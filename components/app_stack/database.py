"""The database of one application and the roles around it."""

import pulumi
import pulumi_postgresql as postgresql

from ..generated_password import GeneratedPassword
from ..options import child_options
from ..scram import scram_verifier, stable_salt
from ..services.postgres.pooler_access import PoolerAccess
from .app import App
from .args import AppStackArgs
from .backup import DatabaseBackup
from .platform import PlatformArgs

__all__ = ["AppDatabase"]


class AppDatabase(pulumi.ComponentResource):
    """A database, its owner role without login, its editor, and what they may do (PG-01 to PG-09, PG-33, PG-34).

    The editor is the login with which Vault creates the application's short-lived users. Each application has its own,
    with power over its own owner role only: the documented editor, which all applications share, would open every
    database to whoever holds it (PG-33).
    """

    database: pulumi.Output[str]
    """Name of the database."""
    owner_role: pulumi.Output[str]
    """Role without login that owns the database and everything in it."""
    editor_role: pulumi.Output[str]
    """Login which creates the short-lived users."""
    editor_password: pulumi.Output[str]
    """The editor's password; secret."""
    backup: pulumi.Output[str] | None
    """File of the backup taken by ``decommission``."""

    def __init__(
        self,
        name: str,
        args: AppStackArgs,
        platform: PlatformArgs,
        *,
        editor_password: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Create the database of the application ``name``.

        ``editor_password`` is the one of an editor role that exists already: such a role keeps its password, whatever
        is given here. Without it a password is generated.
        """
        super().__init__("factory:app:AppDatabase", name, None, opts)
        app = App.of(name, args, platform)
        child = child_options(self, opts)
        # Its memberships change with every user it creates (PG-10).
        ignored = ["roles"]
        if editor_password is None:
            generated = GeneratedPassword(f"{name}-editor", length=platform.postgres.password_length, opts=child)
            password, verifier = generated.value, generated.verifier
        else:
            password = pulumi.Output.secret(editor_password)
            verifier = password.apply(lambda given: scram_verifier(given, stable_salt(app.names.editor_role)))
            ignored.append("password")
        editor = postgresql.Role(
            f"{name}-editor",
            name=app.names.editor_role,
            login=True,
            create_role=True,
            # The verifier instead of the password: a failed statement stands in the server's log.
            password=verifier,
            opts=child_options(self, opts, ignore_changes=ignored),
        )
        taken = None
        if args.decommission:
            taken = DatabaseBackup(name, app, user=editor.name, password=password, opts=child)
        # The protection falls only after the backup has been taken (APP-39).
        data = child_options(self, opts, after=[taken] if taken else [], protect=app.protect)
        owner = postgresql.Role(f"{name}-owner", name=app.names.owner_role, login=False, opts=data)
        postgresql.GrantRole(
            f"{name}-admin", role=editor.name, grant_role=owner.name, with_admin_option=True, opts=child
        )
        database = postgresql.Database(
            f"{name}-database",
            name=app.names.database,
            owner=owner.name,
            template="template0",
            alter_object_ownership=True,
            opts=data,
        )
        pooler = platform.postgres.pooler.auth_role
        PoolerAccess(
            name,
            database=database.name,
            pooler_role=pooler,
            connect=[("editor", editor.name)],
            opts=child,
        )
        self._close_schema(name, database.name, owner.name, pooler, opts)
        self.database = database.name
        self.owner_role = owner.name
        self.editor_role = editor.name
        self.editor_password = pulumi.Output.secret(password)
        self.backup = taken.file if taken else None
        self.register_outputs(
            {
                "database": self.database,
                "ownerRole": self.owner_role,
                "editorRole": self.editor_role,
                "editorPassword": self.editor_password,
            }
        )

    def _close_schema(
        self,
        name: str,
        database: pulumi.Input[str],
        owner: pulumi.Input[str],
        pooler: str,
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        """Leave the schema ``public`` to the owner, and its use to the pooler (PG-34); one after the other (PG-09)."""
        previous: list[pulumi.Resource] = []
        for label, role, privileges in (
            ("revoke", "public", []),
            ("owner", owner, ["CREATE", "USAGE"]),
            ("pooler", pooler, ["USAGE"]),
        ):
            grant = postgresql.Grant(
                f"{name}-schema-{label}",
                database=database,
                schema="public",
                object_type="schema",
                role=role,
                privileges=privileges,
                opts=child_options(self, opts, after=previous),
            )
            previous = [grant]
