"""The ArgoCD Application of an application which ArgoCD delivers."""

import pulumi

from ..kubernetes_object import KubernetesObject
from ..options import child_options
from . import render_argocd
from .app import App
from .args import AppStackArgs
from .platform import PlatformArgs

__all__ = ["AppDelivery"]


class AppDelivery(pulumi.ComponentResource):
    """A project of its own and the Application in it (ARGO-03 to ARGO-09, ARGO-24)."""

    application: pulumi.Output[str]
    """Name of the Application."""

    def __init__(
        self,
        name: str,
        args: AppStackArgs,
        platform: PlatformArgs,
        *,
        repository_url: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Deploy the chart of the application ``name``.

        ``repository_url`` stands in for the derived address where the repository is a resource too: the Application
        then waits for it. What ``opts`` depends on, the objects wait for (APP-06).
        """
        super().__init__("factory:app:AppDelivery", name, None, opts)
        app = App.of(name, args, platform)
        child = child_options(self, opts)
        project_manifest, manifest = render_argocd.app_project(app), render_argocd.application(app)
        if repository_url is not None:
            project_manifest["spec"]["sourceRepos"] = [repository_url]
            manifest["spec"]["source"]["repoURL"] = repository_url
        project = KubernetesObject(f"{name}-project", project_manifest, child)
        # The image updater writes the image there.
        updated = ["spec.source.helm", "spec.source.kustomize"] if args.image.auto_update else None
        KubernetesObject(name, manifest, child_options(self, opts, after=[project], ignore_changes=updated))
        self.application = pulumi.Output.from_input(app.names.application)
        self.register_outputs({"application": self.application})
