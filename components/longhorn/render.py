"""The objects of Longhorn's storage, as documents."""

import json
from typing import Any, Final

from .args import BackupTargetArgs, LonghornArgs, RecurringJobArgs, StorageClassArgs
from .flow.interfaces import CSI_DRIVER

__all__ = ["CREDENTIAL_SUFFIX", "backup_target", "credential_secret", "recurring_job", "storage_class"]

CREDENTIAL_SUFFIX: Final = "-credentials"
_API: Final = "longhorn.io/v1beta2"
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


def storage_class(args: StorageClassArgs, target: BackupTargetArgs | None = None) -> dict[str, Any]:
    """Return a StorageClass; its volumes are backed up to ``target``, if there is one."""
    parameters = {
        "numberOfReplicas": str(args.replicas),
        "staleReplicaTimeout": str(args.stale_replica_minutes),
        "dataLocality": args.data_locality,
        "fsType": args.file_system,
        "dataEngine": "v1",
    }
    if args.job_groups:
        selector = [{"name": group, "isGroup": True} for group in args.job_groups]
        parameters["recurringJobSelector"] = json.dumps(selector, separators=(",", ":"))
    if target is not None:
        parameters["backupTargetName"] = target.name
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": args.name, "annotations": {_DEFAULT_CLASS: "true" if args.default else "false"}},
        "provisioner": CSI_DRIVER,
        "allowVolumeExpansion": args.expandable,
        "reclaimPolicy": args.reclaim_policy,
        "volumeBindingMode": "Immediate",
        "parameters": parameters,
    }


def recurring_job(args: RecurringJobArgs, namespace: str) -> dict[str, Any]:
    """Return a RecurringJob."""
    return {
        "apiVersion": _API,
        "kind": "RecurringJob",
        "metadata": {"name": args.name, "namespace": namespace},
        "spec": {
            "name": args.name,
            "task": args.task,
            "cron": args.cron,
            "retain": args.retain,
            "concurrency": args.concurrency,
            "groups": list(args.groups),
            "labels": {},
        },
    }


def backup_target(args: BackupTargetArgs, namespace: str) -> dict[str, Any]:
    """Return a BackupTarget, which reads its credentials from the Secret of the same name and a suffix."""
    return {
        "apiVersion": _API,
        "kind": "BackupTarget",
        "metadata": {"name": args.name, "namespace": namespace},
        "spec": {
            "backupTargetURL": args.url,
            "credentialSecret": f"{args.name}{CREDENTIAL_SUFFIX}",
            "pollInterval": f"{args.poll_seconds}s",
        },
    }


def credential_secret(args: LonghornArgs, target: BackupTargetArgs) -> dict[str, Any]:
    """Return the Secret's frame; the keys' values are put in by the component, for they are secrets."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{target.name}{CREDENTIAL_SUFFIX}", "namespace": args.namespace},
        "type": "Opaque",
    }
