"""What a site declares on top of an installed Longhorn."""

from __future__ import annotations

from typing import Any

import pulumi

from ..kubernetes_object import KubernetesObject
from ..options import child_options
from . import render
from .args import BackupTargetArgs, LonghornArgs

__all__ = ["LonghornStorage"]


class LonghornStorage(pulumi.ComponentResource):
    """What volumes are made like, what is done to them again and again, and where they and their objects are kept."""

    storage_classes: pulumi.Output[list[str]]
    """Names of the classes, which exist when this value does."""
    backup_target: pulumi.Output[str | None]
    """Name of the backup target."""
    object_dumps: pulumi.Output[list[str]]
    """The last dump of the objects, in each folder."""
    control_plane: pulumi.Output[str | None]
    """What the last look at Longhorn showed: `none` where nothing is wrong; None where nobody looks."""

    def __init__(
        self,
        name: str,
        args: LonghornArgs,
        *,
        access_key_id: pulumi.Input[str] | None = None,
        secret_access_key: pulumi.Input[str] | None = None,
        kubeconfig: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the storage.

        A backup target in an S3-compatible store needs the two keys; dumps and the diagnosis need the kubeconfig, as
        text or as the path of its file. All three are secrets.
        """
        super().__init__("factory:longhorn:LonghornStorage", name, None, opts)
        self._opts = opts
        target = args.backup_target
        before = [self._target(name, args, target, access_key_id, secret_access_key)] if target else []
        for job in args.recurring_jobs:
            manifest = render.recurring_job(job, args.namespace)
            KubernetesObject(f"{name}-job-{job.name}", manifest, child_options(self, opts, after=before))
        classes = [
            KubernetesObject(
                f"{name}-{item.name}",
                render.storage_class(item, target),
                child_options(self, opts, after=before),
            )
            for item in args.storage_classes
        ]
        self.storage_classes = pulumi.Output.all(*(item.metadata["name"] for item in classes))
        self.backup_target = pulumi.Output.from_input(target.name if target else None)
        self.object_dumps, self.control_plane = self._recovery(name, args, kubeconfig)
        self.register_outputs(self.outputs())

    def outputs(self) -> dict[str, Any]:
        """Return what a stack exports of it."""
        return {
            "storage_classes": self.storage_classes,
            "backup_target": self.backup_target,
            "object_dumps": self.object_dumps,
            "control_plane": self.control_plane,
        }

    def _target(
        self,
        name: str,
        args: LonghornArgs,
        target: BackupTargetArgs,
        access_key_id: pulumi.Input[str] | None,
        secret_access_key: pulumi.Input[str] | None,
    ) -> pulumi.Resource:
        keys: dict[str, pulumi.Input[str]] = {}
        if access_key_id is not None and secret_access_key is not None:
            keys = {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret_access_key}
        elif target.needs_keys:
            message = f"backup_target {target.name}: an s3:// store needs access_key_id and secret_access_key"
            raise ValueError(message)
        if target.endpoint is not None:
            keys["AWS_ENDPOINTS"] = target.endpoint
        secret = KubernetesObject(
            f"{name}-{target.name}-credentials",
            {**render.credential_secret(args, target), "stringData": keys},
            child_options(self, self._opts),
        )
        manifest = render.backup_target(target, args.namespace)
        return KubernetesObject(f"{name}-{target.name}", manifest, child_options(self, self._opts, after=[secret]))

    def _recovery(
        self, name: str, args: LonghornArgs, kubeconfig: pulumi.Input[str] | None
    ) -> tuple[pulumi.Output[list[str]], pulumi.Output[str | None]]:
        """Dump the objects and look at the control plane, where that is asked for."""
        dumps: pulumi.Output[list[str]] = pulumi.Output.from_input([])
        state: pulumi.Output[str | None] = pulumi.Output.from_input(None)
        backup, site = args.object_backup, args.diagnosis
        if backup is None and site is None:
            return dumps, state
        from .provider import LonghornDiagnosis, PvcObjectBackup  # noqa: PLC0415 - the cluster's client, only if asked for

        if kubeconfig is None:
            message = "object_backup and diagnosis need the kubeconfig"
            raise ValueError(message)
        options = child_options(self, self._opts)
        if backup is not None:
            made = PvcObjectBackup(
                f"{name}-objects",
                folders=backup.folders,
                kubeconfig=kubeconfig,
                trigger=backup.trigger,
                keep=backup.keep,
                opts=options,
            )
            dumps = made.files
        if site is not None:
            look = LonghornDiagnosis(f"{name}-control-plane", site, kubeconfig=kubeconfig, opts=options)
            state = look.diagnosis["state"]
        return dumps, state
