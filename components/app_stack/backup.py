"""The backups which must succeed before the data of an application loses its protection (APP-39)."""

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_command import local

from ..options import child_options
from .app import App

__all__ = ["CONFIG_SCRIPT", "CONNECT_SECONDS", "DUMP_SCRIPT", "ConfigBackup", "DatabaseBackup"]

CONNECT_SECONDS: Final = "10"
"""By then a server that does not answer is told, with its address; else pg_dump waits for the system's minutes."""


def _script(name: str, write: str) -> str:
    """Write into a file that is complete or absent, and the user's alone; all it needs comes from outside its text."""
    stem, _, kind = name.rpartition(".")
    return f"""
set -eu
umask 077
mkdir -p "$BACKUP_DIRECTORY"
file="$BACKUP_DIRECTORY/{stem}-$(date -u +%Y%m%dT%H%M%SZ).{kind}"
trap 'rm -f "$file.partial"' EXIT
{write}
test -s "$file.partial"
mv "$file.partial" "$file"
printf '%s' "$file"
"""


DUMP_SCRIPT: Final = _script(
    "$PGDATABASE.dump",
    """# A shell's own would lead to another server, or log in as somebody else.
unset PGHOSTADDR PGSERVICE PGSERVICEFILE PGOPTIONS PGPASSFILE
"$PG_DUMP" --role="$BACKUP_ROLE" --file="$file.partial" --format=custom --no-password""",
)
"""Dumps a database; the connection comes by the environment."""

CONFIG_SCRIPT: Final = _script("$BACKUP_NAME-config.json", 'cat > "$file.partial"')
"""Writes what comes on standard input."""


class DatabaseBackup(pulumi.ComponentResource):
    """A dump of one database, taken once, by its own editor. It runs on the machine that runs Pulumi."""

    file: pulumi.Output[str]
    """Path of the dump, in PostgreSQL's custom format."""

    def __init__(
        self,
        name: str,
        app: App,
        *,
        user: pulumi.Input[str],
        password: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Dump the database of ``app``. Connection and password go by the environment, never by arguments."""
        super().__init__("factory:app:DatabaseBackup", name, None, opts)
        backup, server = app.backup, app.platform.postgres
        environment = {
            "BACKUP_DIRECTORY": backup.directory,
            "BACKUP_ROLE": app.names.owner_role,
            "PG_DUMP": backup.pg_dump,
            "PGCONNECT_TIMEOUT": CONNECT_SECONDS,
            "PGDATABASE": app.names.database,
            "PGHOST": backup.host or server.host,
            "PGPORT": str(backup.port or server.port),
            "PGSSLMODE": backup.sslmode or server.sslmode,
            "PGUSER": user,
            "PGPASSWORD": pulumi.Output.secret(password),
            **({"PGSSLROOTCERT": backup.ca_file} if backup.ca_file else {}),
        }
        dump = _command(f"{name}-backup", DUMP_SCRIPT, environment, opts=child_options(self, opts))
        self.file = pulumi.Output.unsecret(dump.stdout)  # a path
        self.register_outputs({"file": self.file})


class ConfigBackup(pulumi.ComponentResource):
    """A copy of an application's configuration secret, beside the dump of its database.

    It holds what this program, the secret's one writer, declares: nothing else is there after any ``up``. ``vault kv
    put -mount=MOUNT APP/config @FILE`` puts it back.
    """

    file: pulumi.Output[str]
    """Path of the copy, in JSON: the values by key."""

    def __init__(
        self, name: str, app: App, *, document: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Copy ``document``, which goes by standard input: neither arguments nor environment hold it."""
        super().__init__("factory:app:ConfigBackup", name, None, opts)
        environment = {"BACKUP_DIRECTORY": app.backup.directory, "BACKUP_NAME": app.names.app}
        copy = _command(
            f"{name}-config-backup",
            CONFIG_SCRIPT,
            environment,
            stdin=pulumi.Output.secret(document),
            opts=child_options(self, opts),
        )
        self.file = pulumi.Output.unsecret(copy.stdout)  # a path
        self.register_outputs({"file": self.file})


def _command(
    name: str,
    script: str,
    environment: Mapping[str, pulumi.Input[str]],
    *,
    stdin: pulumi.Input[str] | None = None,
    opts: pulumi.ResourceOptions,
) -> local.Command:
    return local.Command(
        name, create=script, environment=environment, stdin=stdin, logging=local.Logging.NONE, opts=opts
    )
