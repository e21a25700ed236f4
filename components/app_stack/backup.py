"""The backup which must succeed before the data of an application loses its protection (APP-39)."""

from typing import Final

import pulumi
from pulumi_command import local

from ..options import child_options
from .app import App, AppError

__all__ = ["BACKUP_SCRIPT", "CONNECT_SECONDS", "DatabaseBackup"]

CONNECT_SECONDS: Final = "10"
"""By then a server that does not answer is told, with its address; else pg_dump waits for the system's minutes."""

BACKUP_SCRIPT: Final = """
set -eu
# A shell's own would lead to another server, or log in as somebody else.
unset PGHOSTADDR PGSERVICE PGSERVICEFILE PGOPTIONS PGPASSFILE
umask 077
mkdir -p "$BACKUP_DIRECTORY"
file="$BACKUP_DIRECTORY/$PGDATABASE-$(date -u +%Y%m%dT%H%M%SZ).dump"
trap 'rm -f "$file.partial"' EXIT
"$PG_DUMP" --format=custom --no-password --role="$BACKUP_ROLE" --file="$file.partial"
test -s "$file.partial"
mv "$file.partial" "$file"
printf '%s' "$file"
"""
"""Dumps into a file that is complete or absent; all it needs comes by the environment."""


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
        backup, server = app.platform.backup, app.platform.postgres
        if backup is None:
            message = f"application {app.names.app!r}: a backup needs platform.backup (APP-39)"
            raise AppError(message)
        dump = local.Command(
            f"{name}-backup",
            create=BACKUP_SCRIPT,
            environment={
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
            },
            logging=local.Logging.NONE,
            opts=child_options(self, opts),
        )
        self.file = dump.stdout
        self.register_outputs({"file": self.file})
