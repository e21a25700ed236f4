"""Inputs as a program gives them, completed and validated beyond their types."""

from toolchain.plugins.kit import UNKNOWN, Context, Failure, Properties, ProviderError

from .discovery import Kind, Resource
from .manifest import AUTONAMED, PREFIX, annotation, metadata_of
from .readiness import wait_for
from .replacement import is_autonamed

PROPAGATION = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}
"""The values of ``pulumi.com/deletionPropagationPolicy``, and the API's words for them."""


def complete(
    context: Context, resource: Resource, olds: Properties, news: Properties, namespace: str
) -> tuple[Properties, list[Failure]]:
    """Fill in apiVersion, kind, name and namespace; ``namespace`` is that of objects which name none."""
    kind = Kind.of_token(context.token)
    inputs = {**news, "apiVersion": kind.api_version, "kind": kind.kind}
    failures = [
        Failure(key, f"{context.token} has the {key} {inputs[key]!r}, not {news[key]!r}")
        for key in ("apiVersion", "kind")
        if news.get(key, inputs[key]) not in {inputs[key], UNKNOWN}
    ]
    if news.get("metadata") is UNKNOWN:
        return inputs, failures
    metadata = dict(metadata_of(news))
    if not resource.namespaced and metadata.get("namespace") is not None:
        failures.append(Failure("metadata.namespace", f"a {kind.kind} is cluster-wide: leave metadata.namespace out"))
    if metadata.get("generateName") is not None:
        reason = "is not supported by this local plugin: without a name, one is generated"
        failures.append(Failure("metadata.generateName", reason))
    if metadata.get("name") is None:
        metadata |= _generated(metadata, olds, context)
    if resource.namespaced and metadata.get("namespace") is None:
        metadata["namespace"] = namespace
    inputs["metadata"] = metadata
    return inputs, failures + _annotation_failures(inputs)


def _generated(metadata: Properties, olds: Properties, context: Context) -> Properties:
    """Keep the name which was generated before, or generate one; an annotation tells that it was."""
    if metadata.get("annotations") is UNKNOWN:
        return {"name": UNKNOWN}
    before = metadata_of(olds).get("name") if is_autonamed(olds) else None
    annotations = {**metadata.get("annotations", {}), AUTONAMED: "true"}
    return {"name": before or context.generated_name(), "annotations": annotations}


def _annotation_failures(inputs: Properties) -> list[Failure]:
    found: dict[str, str] = {}
    seconds = annotation(inputs, "timeoutSeconds")
    if seconds is not None and not (seconds.isdecimal() and int(seconds) > 0):
        found["timeoutSeconds"] = f"{seconds!r} is not a positive number of seconds"
    policy = annotation(inputs, "deletionPropagationPolicy")
    if policy is not None and policy.lower() not in PROPAGATION:
        found["deletionPropagationPolicy"] = f"{policy!r} is none of {', '.join(PROPAGATION)}"
    condition = annotation(inputs, "waitFor")
    if condition is not None:
        try:
            wait_for(condition)
        except (ProviderError, ValueError) as error:
            found["waitFor"] = str(error)
    return [Failure(f'metadata.annotations["{PREFIX}{name}"]', reason) for name, reason in found.items()]
