"""From inputs to the object which is applied, and from a live object to outputs and inputs."""

import base64
import binascii
import copy
import hashlib

from toolchain.plugins.kit import Properties, Value

from .client import Object
from .discovery import Kind

PREFIX = "pulumi.com/"
AUTONAMED = PREFIX + "autonamed"
MANAGER = "__fieldManager"
INITIAL_VERSION = "__initialApiVersion"
UNREADY = "__unready"
"""Outputs of our own: who owns the fields (absent until we applied once), the first apiVersion, a wait which failed."""

SECRET = Kind("", "v1", "Secret")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SERVER_METADATA = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)


def manifest(inputs: Properties) -> Object:
    """Return the object to apply: without nulls, whole numbers as such, a Secret's ``stringData`` moved into ``data``.

    Applied as ``stringData``, a key which is later removed would stay in the object: the server forgets its owner.
    """
    item: Object = _clean(inputs)
    if item.get("kind") == SECRET.kind and item.get("apiVersion") == SECRET.api_version and "stringData" in item:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in item.pop("stringData").items()}
        item["data"] = {**item.get("data", {}), **encoded}
    return item


def outputs(live: Object, inputs: Properties, manager: str | None) -> Properties:
    """Return the state's outputs: the live object without the bookkeeping of field managers."""
    result = copy.deepcopy(live)
    metadata = result.get("metadata", {})
    metadata.pop("managedFields", None)
    # kubectl keeps a whole copy of the object there, a Secret's values included.
    metadata.get("annotations", {}).pop(_LAST_APPLIED, None)
    if string_data := inputs.get("stringData"):
        result["stringData"] = {key: _text(result.get("data", {}).get(key)) for key in string_data}
    result[INITIAL_VERSION] = live["apiVersion"]
    if manager is not None:
        result[MANAGER] = manager
    return result


def described(live: Object) -> Properties:
    """Return inputs which describe the whole object: for an import, where nothing is known of what the user wants."""
    result = {key: value for key, value in live.items() if key != "status"}
    metadata = {key: value for key, value in live["metadata"].items() if key not in _SERVER_METADATA}
    if annotations := {k: v for k, v in metadata.pop("annotations", {}).items() if k != _LAST_APPLIED}:
        metadata["annotations"] = annotations
    return copy.deepcopy({**result, "metadata": metadata})


def with_string_data(seen: Object, wanted: Properties) -> Properties:
    """Undo what :func:`manifest` does to a Secret: keys which were given as ``stringData`` are shown there."""
    keys = wanted.get("stringData")
    if not keys or not isinstance(keys, dict):  # a preview may not know it
        return seen
    data = dict(seen.get("data", {}))
    texts = {key: text for key in keys if (text := _text(data.get(key))) is not None}
    rest = {key: value for key, value in data.items() if key not in texts}
    result = {key: value for key, value in seen.items() if key != "data"}
    result |= {"stringData": {**seen.get("stringData", {}), **texts}}
    return result | ({"data": rest} if rest or "data" in wanted else {})


def metadata_of(inputs: Properties) -> Properties:
    """Return the metadata, empty if absent or unknown."""
    metadata = inputs.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def annotations_of(inputs: Properties) -> Properties:
    """Return the annotations, empty if absent or unknown."""
    annotations = metadata_of(inputs).get("annotations")
    return annotations if isinstance(annotations, dict) else {}


def annotation(inputs: Properties, name: str) -> str | None:
    """Return the value of one of our own annotations (``pulumi.com/<name>``)."""
    value = annotations_of(inputs).get(PREFIX + name)
    return value if isinstance(value, str) else None


def is_true(value: str | None) -> bool:
    """Whether an annotation says yes."""
    return value is not None and value.strip().lower() == "true"


def field_manager(urn: str) -> str:
    """Return the field manager of a resource: the same again when a run was killed before the state was written."""
    return f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"


def redacted(message: str, item: Object) -> str:
    """Hide a Secret's values, plain and encoded, where the server repeats one in a message."""
    if item.get("kind") != SECRET.kind:
        return message
    encoded = {value for value in item.get("data", {}).values() if isinstance(value, str) and value}
    values = encoded | {text for value in encoded if (text := _text(value))}
    for value in sorted(values, key=len, reverse=True):
        message = message.replace(value, "[secret]")
    return message


def _text(encoded: str | None) -> str | None:
    try:
        return base64.b64decode(encoded or "", validate=True).decode() if encoded is not None else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _clean(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
