"""The API server, through the official client. The package is imported when a cluster is opened, and not before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from yaml import YAMLError

from .interfaces import KINDS, ClusterError, Document, Ref

__all__ = ["KubernetesCluster"]

_TIMEOUT_SECONDS: Final = 30
_EXECUTE_SECONDS: Final = 600
_BAD: Final = 400
_PAGE: Final = 500
_MERGE: Final = "application/merge-patch+json"
_JSON_PATCH: Final = "application/json-patch+json"
_FIELD_MANAGER: Final = "factory-recovery"


class KubernetesCluster:
    """One cluster. Holds a client and its credentials, so it never enters a state or a closure (DRV-005)."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - the official client publishes no types
        self._client = client

    @classmethod
    def from_file(cls, kubeconfig: Path, context: str | None = None) -> KubernetesCluster:
        """Open the cluster of a context of a kubeconfig file. Raises ClusterError when it cannot be used."""
        config = _configuration()
        try:
            return cls(config.new_client_from_config(config_file=str(kubeconfig), context=context))
        except (config.ConfigException, OSError) as error:
            message = f"{kubeconfig}: {error}"
            raise ClusterError(_BAD, message) from error

    @classmethod
    def from_document(cls, kubeconfig: Mapping[str, Any], context: str | None = None) -> KubernetesCluster:
        """Open the cluster of a parsed kubeconfig. Raises ClusterError when it cannot be used."""
        config = _configuration()
        try:
            return cls(config.new_client_from_config_dict(dict(kubeconfig), context=context))
        except config.ConfigException as error:
            message = f"the kubeconfig cannot be used: {error}"
            raise ClusterError(_BAD, message) from error

    def get(self, ref: Ref) -> Document | None:
        """Return an object, or ``None`` when it, or its kind, does not exist."""
        try:
            return self._ask("GET", ref.path)
        except ClusterError as error:
            if error.missing:
                return None
            raise

    def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Document]:
        """Return all objects of a kind, page by page, each with its own kind in it."""
        known, found, more = KINDS[kind], [], ""
        while True:
            query = {"limit": str(_PAGE), "labelSelector": labels, "continue": more}
            answer = self._ask("GET", known.path(namespace), {key: value for key, value in query.items() if value})
            if "items" not in answer:
                raise ClusterError(0, f"GET {known.path(namespace)}: the answer is no list")
            # A list does not repeat them in each item.
            found += [{**item, "apiVersion": known.api_version, "kind": known.kind} for item in answer["items"] or ()]
            more = (answer.get("metadata") or {}).get("continue", "")
            if not more:
                return found

    def create(self, ref: Ref, body: Document) -> Document:
        """Create an object; an unknown field is an error, not silently dropped."""
        path = KINDS[ref.kind].path(ref.namespace)
        return self._ask("POST", path, {"fieldManager": _FIELD_MANAGER, "fieldValidation": "Strict"}, body)

    def patch(self, ref: Ref, body: Mapping[str, Any] | Sequence[Mapping[str, Any]], subresource: str = "") -> Document:
        """Change an object: a mapping is a merge patch, a list a JSON patch."""
        content_type = _MERGE if isinstance(body, Mapping) else _JSON_PATCH
        plain: Any = dict(body) if isinstance(body, Mapping) else [dict(item) for item in body]
        return self._ask("PATCH", _below(ref, subresource), {"fieldManager": _FIELD_MANAGER}, plain, content_type)

    def delete(self, ref: Ref, *, uid: str = "", grace_seconds: int | None = None) -> None:
        """Delete an object, only the one with this id if given."""
        options: Document = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self._ask("DELETE", ref.path, {}, options)
        except ClusterError as error:
            if not error.missing:
                raise

    def replace(self, ref: Ref, body: Document, subresource: str = "") -> Document:
        """Replace an object or its subresource."""
        return self._ask("PUT", _below(ref, subresource), {"fieldManager": _FIELD_MANAGER}, body)

    def execute(self, namespace: str, pod: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a pod's first container."""
        from kubernetes.client import CoreV1Api  # noqa: PLC0415 - only where a cluster is opened
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - likewise
        from kubernetes.stream import stream  # noqa: PLC0415 - likewise
        from websocket import WebSocketException  # noqa: PLC0415 - as the official client, which uses it

        api = CoreV1Api(self._client)
        try:
            connection = stream(
                api.connect_get_namespaced_pod_exec,
                pod,
                namespace,
                command=list(command),
                stderr=True,
                stdin=False,
                stdout=True,
                tty=False,
                _preload_content=False,
            )
            connection.run_forever(timeout=_EXECUTE_SECONDS)
        except ApiException as error:
            raise ClusterError(
                int(error.status or 0), f"the command in pod {pod} could not be run: {error.reason}"
            ) from error
        except (WebSocketException, OSError) as error:
            raise ClusterError(0, f"the connection to the command in pod {pod} was lost: {error}") from error
        output = str(connection.read_all())
        try:
            status = connection.returncode
        except (TypeError, LookupError, ValueError, YAMLError) as error:
            # Without the last word of the stream the client has nothing to read the status from.
            raise ClusterError(0, f"the command in pod {pod} ended without a status") from error
        if status is None:
            connection.close()
            raise ClusterError(0, f"the command in pod {pod} still runs after {_EXECUTE_SECONDS} s")
        return status, output

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,  # noqa: ANN401 - JSON
        content_type: str = "application/json",
    ) -> Document:
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - only where a cluster is opened
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - as the official client, which uses it

        headers = {"Accept": "application/json", "Content-Type": content_type}
        target = path + (f"?{urlencode(query)}" if query else "")
        try:
            request = self._client.param_serialize(
                method, target, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            answer = self._client.call_api(*request, _request_timeout=_TIMEOUT_SECONDS)
            content = answer.read()
        except (ApiException, HTTPError, OSError) as error:
            message = f"{method} {path}: no answer from the API server: {error}"
            raise ClusterError(0, message) from error
        if answer.status >= _BAD:
            raise ClusterError(answer.status, f"{method} {path}: {answer.status} {_words(content)}")
        try:
            result = json.loads(content)
        except ValueError:
            result = None
        if not isinstance(result, dict):
            raise ClusterError(0, f"{method} {path}: the answer is no object, or was cut off")
        return result


def _configuration() -> Any:  # noqa: ANN401 - the official client publishes no types
    from kubernetes import config  # noqa: PLC0415 - only where a cluster is opened

    return config


def _below(ref: Ref, subresource: str) -> str:
    return f"{ref.path}/{subresource}" if subresource else ref.path


def _words(content: bytes) -> str:
    """Read what the server says in its Status object."""
    try:
        return str(json.loads(content).get("message", ""))
    except (ValueError, AttributeError):
        return content[:300].decode("utf-8", "replace")
