"""The workload, where this program is its writer."""

import pulumi

from ..kubernetes_object import KubernetesObject
from ..options import child_options
from . import render_workload
from .app import App, AppError
from .args import AppStackArgs
from .platform import PlatformArgs

__all__ = ["AppWorkload"]


class AppWorkload(pulumi.ComponentResource):
    """ConfigMap, Deployment, Service, Ingresses and autoscaler of an application with ``delivery: pulumi``."""

    image: pulumi.Output[str]
    """Image with tag or digest."""
    hosts: pulumi.Output[list[str]]
    """Hosts at which the application is served."""

    def __init__(
        self,
        name: str,
        args: AppStackArgs,
        platform: PlatformArgs,
        *,
        namespace: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Run the application ``name`` in ``namespace``, by default the one it is named after.

        What ``opts`` depends on, the objects wait for. Raises :class:`~components.app_stack.app.AppError` for an
        application which ArgoCD delivers: its objects have another writer.
        """
        super().__init__("factory:app:AppWorkload", name, None, opts)
        app = App.of(name, args, platform)
        if not app.writes_workload:
            message = (
                f"application {name!r}: delivery {args.delivery!s} in mode {args.mode!s} leaves the workload to others"
            )
            raise AppError(message)
        config, deployment, service, *others = render_workload.manifests(app)
        # Each waits for what it is ready by: a Service for pods, an Ingress for its Service. Without this order those
        # of many applications would take all that runs at a time, and wait for what is never begun.
        behind = child_options(self, opts)
        for manifest in (config, deployment, service):
            last = KubernetesObject(manifest["metadata"]["name"], manifest, behind, namespace=namespace)
            behind = child_options(self, opts, after=[last])
        for manifest in others:
            KubernetesObject(manifest["metadata"]["name"], manifest, behind, namespace=namespace)
        self.image = pulumi.Output.from_input(render_workload.image(app))
        self.hosts = pulumi.Output.from_input(list(app.all_hosts))
        self.register_outputs({"image": self.image, "hosts": self.hosts})
