"""Storage with Longhorn: classes, jobs and backups, and the recovery of volumes.

Importing this package imports nothing else: `recovery` in it works without Pulumi.
"""

from typing import TYPE_CHECKING

from ..exports import on_demand

if TYPE_CHECKING:
    from .args import BackupTargetArgs, LonghornArgs, ObjectBackupArgs, RecurringJobArgs, StorageClassArgs
    from .component import LonghornStorage
    from .provider import LonghornDiagnosis, LonghornVolumeRecovery, PvcObjectBackup, PvcObjectRestore
else:
    __getattr__ = on_demand(
        __name__,
        {
            "BackupTargetArgs": "args",
            "LonghornArgs": "args",
            "LonghornDiagnosis": "provider",
            "LonghornStorage": "component",
            "LonghornVolumeRecovery": "provider",
            "ObjectBackupArgs": "args",
            "PvcObjectBackup": "provider",
            "PvcObjectRestore": "provider",
            "RecurringJobArgs": "args",
            "StorageClassArgs": "args",
        },
    )

__all__ = [
    "BackupTargetArgs",
    "LonghornArgs",
    "LonghornDiagnosis",
    "LonghornStorage",
    "LonghornVolumeRecovery",
    "ObjectBackupArgs",
    "PvcObjectBackup",
    "PvcObjectRestore",
    "RecurringJobArgs",
    "StorageClassArgs",
]
