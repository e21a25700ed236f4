"""Storage classes, recurring jobs and the backup target of an installed Longhorn."""

import pulumi

from ..kubernetes_object import KubernetesObject
from ..options import child_options
from . import render
from .args import LonghornArgs

__all__ = ["LonghornStorage"]


class LonghornStorage(pulumi.ComponentResource):
    """What volumes are made like, what is done to them again and again, and where their backups go."""

    storage_classes: pulumi.Output[list[str]]
    """Names of the classes, which exist when this value does."""
    backup_target: pulumi.Output[str | None]
    """Name of the backup target."""

    def __init__(
        self,
        name: str,
        args: LonghornArgs,
        *,
        access_key_id: pulumi.Input[str] | None = None,
        secret_access_key: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the storage. A backup target in an S3-compatible store needs the two keys, which are secrets."""
        super().__init__("factory:longhorn:LonghornStorage", name, None, opts)
        target = args.backup_target
        before: list[pulumi.Resource] = []
        if target is not None:
            needs_keys = target.url.startswith("s3://")
            if needs_keys and (access_key_id is None or secret_access_key is None):
                message = f"backup_target {target.name}: an s3:// store needs access_key_id and secret_access_key"
                raise ValueError(message)
            keys: dict[str, pulumi.Input[str]] = {}
            if access_key_id is not None and secret_access_key is not None:
                keys = {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret_access_key}
            if target.endpoint is not None:
                keys["AWS_ENDPOINTS"] = target.endpoint
            secret = KubernetesObject(
                f"{name}-{target.name}-credentials",
                {**render.credential_secret(args, target), "stringData": keys},
                child_options(self, opts),
            )
            manifest = render.backup_target(target, args.namespace)
            before = [KubernetesObject(f"{name}-{target.name}", manifest, child_options(self, opts, after=[secret]))]
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
        self.register_outputs({"storageClasses": self.storage_classes, "backupTarget": self.backup_target})
