"""Where a kubeconfig leads: the context that is used and the URL of its API server."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """What the Kubernetes provider will talk to; None for what the kubeconfig does not say."""

    context: str | None
    server: str | None


def target(content: str, context: str | None = None, cluster: str | None = None) -> Target | None:
    """Return where inline kubeconfig `content` (YAML or JSON) leads, or None if it is not a kubeconfig.

    `context` and `cluster` are the provider's own inputs, which win over the file's.
    """
    import yaml  # noqa: PLC0415 - only stacks with a Kubernetes provider pay for the parser

    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError:
        return None
    if not isinstance(document, Mapping) or "clusters" not in document:
        return None
    used = context or _text(document, "current-context")
    named = cluster or _text(_entry(document, "contexts", used, "context"), "cluster")
    return Target(used, _text(_entry(document, "clusters", named, "cluster"), "server"))


def _entry(document: Mapping[object, object], section: str, name: str | None, body: str) -> Mapping[object, object]:
    entries = document.get(section)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, Mapping) and name is not None and entry.get("name") == name:
            found = entry.get(body)
            return found if isinstance(found, Mapping) else {}
    return {}


def _text(mapping: Mapping[object, object], key: str) -> str | None:
    value = mapping.get(key)
    return value if isinstance(value, str) and value else None
