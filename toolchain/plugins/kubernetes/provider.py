"""The plugin: its configuration and the types of its resources."""

import importlib
from collections.abc import Mapping

from toolchain.plugins.kit import UNKNOWN, Backend, Failure, InputTypes, Properties, Provider, ProviderError

from .client import REQUEST_SECONDS, Client, Rate
from .discovery import Discovery, Kind
from .handler import KubernetesObject, Options
from .kubeconfig import access
from .objects import Objects
from .replacement import Mutability

_PACKAGE = "pulumi_kubernetes"
_REFUSED = {
    "renderYamlToDirectory": "this local plugin has no render mode",
    "alwaysRender": "this local plugin has no render mode",
    "skipUpdateUnreachable": "this local plugin cannot check inputs without the cluster",
}


class KubernetesTypes(InputTypes):
    """The SDK's types; a kind of a group which the SDK does not have is a custom resource.

    The SDK leaves the ``spec`` of those open; the server validates it, in a preview too.
    """

    def __init__(self) -> None:
        super().__init__(_PACKAGE)

    def resource(self, token: str, inputs: Properties) -> list[Failure]:
        """Failures of a resource's inputs."""
        kind = Kind.of_token(token)
        if kind.kind.endswith(("Patch", "List")) and super()._resource_class(token) is not None:
            return [Failure("", f"{token} is not served by this local plugin, which has no Patch and List resources")]
        return super().resource(token, inputs)

    def _resource_class(self, token: str) -> type | None:
        found = super()._resource_class(token)
        if found is not None or any(known.startswith(token.rpartition(":")[0] + ":") for known in self._resources):
            return found
        custom: type = importlib.import_module(f"{_PACKAGE}.apiextensions").CustomResourceArgs
        return custom


class KubernetesProvider(Provider):
    """Serves ``pulumi_kubernetes``."""

    package = _PACKAGE
    types = KubernetesTypes()

    def check_config(self, config: Properties) -> list[Failure]:
        """Refuse what this plugin does not do, and a kubeconfig which cannot be used."""
        failures = [
            Failure(key, f"{reason}: leave {key} out")
            for key, reason in _REFUSED.items()
            if config.get(key) not in (None, False)
        ]
        if config.get("enableServerSideApply") is False:
            failures.append(Failure("enableServerSideApply", "this local plugin always applies on the server"))
        if config.get("kubeconfig") is None:
            # Never an ambient cluster: it may be the production one.
            failures.append(Failure("kubeconfig", "is needed: content or path of a kubeconfig; no default one is used"))
        elif UNKNOWN not in (config["kubeconfig"], config.get("context"), config.get("cluster")):
            try:
                access(config["kubeconfig"], config.get("context"), config.get("cluster"))
            except ProviderError as error:
                failures.append(Failure("kubeconfig", str(error)))
        return failures

    def configure(self, config: Properties) -> Backend:
        """Set up the client; the first request opens the connection."""
        found = access(config["kubeconfig"], config.get("context"), config.get("cluster"))
        settings: Mapping[str, float] = config.get("kubeClientSettings") or {}
        rate = Rate(settings["qps"], int(settings.get("burst", 1))) if settings.get("qps") else None
        client = Client(found, timeout=settings.get("timeout") or REQUEST_SECONDS, rate=rate)
        discovery = Discovery(client)
        options = Options(
            namespace=config.get("namespace") or found.namespace,
            force=config.get("enablePatchForce") is True,
            upsert=config.get("upsertExistingObjects") is True,
            delete_unreachable=config.get("deleteUnreachable") is True,
            show_deprecations=config.get("suppressDeprecationWarnings") is not True,
            mutability=Mutability(
                secrets=config.get("enableSecretMutable") is True,
                config_maps=config.get("enableConfigMapMutable") is True,
            ),
        )
        handler = KubernetesObject(Objects(client, discovery), discovery, options)
        return Backend(lambda _token: handler)

    def close(self) -> None:
        """Nothing outlives the process: its connections end with it."""
