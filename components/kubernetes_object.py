"""An object of the cluster as a resource, made of its manifest."""

from collections.abc import Mapping
from typing import Any, Final

import pulumi

__all__ = ["KubernetesObject", "Manifest"]

Manifest = Mapping[str, Any]
"""An object as the API server takes it; values may be outputs."""

_SECRET: Final = ("data", "stringData")
"""What holds the values of a Secret."""


class KubernetesObject(pulumi.CustomResource):
    """The resource that the official SDK's class of this kind registers, with the same type and properties.

    Those classes come with the types of all their neighbours: importing the few that an application needs took a third
    of the whole program's processor time. The provider checks the manifest all the same, field by field.
    """

    metadata: pulumi.Output[Mapping[str, Any]]
    """The object's metadata; a value of it makes its user wait for the object."""
    data: pulumi.Output[Mapping[str, Any]]
    """What the API server holds in a Secret (base64) or a ConfigMap."""

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        opts: pulumi.ResourceOptions,
        *,
        namespace: pulumi.Input[str] | None = None,
    ) -> None:
        """Register ``manifest`` under ``name``; a namespace given as an output makes the object wait for it."""
        metadata = dict(manifest["metadata"])
        if namespace is not None:
            metadata["namespace"] = namespace
        properties = {"data": None, **manifest, "metadata": metadata}
        kind, version = manifest["kind"], manifest["apiVersion"]
        if kind == "Secret":
            properties |= {key: pulumi.Output.secret(manifest[key]) for key in _SECRET if key in manifest}
            opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=list(_SECRET)))
        group = version if "/" in version else f"core/{version}"
        super().__init__(f"kubernetes:{group}:{kind}", name, properties, opts)
