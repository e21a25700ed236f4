"""What the cluster has before any stack is applied: definitions, namespaces, machines, a storage class.

Applied at every start by server-side apply, so it is idempotent and heals what was deleted.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml

from sandbox.backends.kubernetes import Cluster
from sandbox.errors import SandboxError

FIELD_MANAGER = "factory-sandbox"
HERE = Path(__file__).resolve().parent.parent
CRD_DIRECTORY = HERE / "crds"
CLUSTER_OBJECTS = HERE / "objects" / "cluster.yaml"

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_TIMEOUT_SECONDS = 15
_CLUSTER_SCOPED = frozenset({"Namespace", "Node", "StorageClass", "CSIDriver", "CustomResourceDefinition"})
Document = dict[str, Any]


def path_of(document: Document) -> str:
    """Derive the address of an object below the API server from the object itself."""
    api_version, kind = document["apiVersion"], document["kind"]
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    plural = kind.lower() + ("es" if kind.endswith("s") else "s")
    metadata = document["metadata"]
    namespace = "" if kind in _CLUSTER_SCOPED else f"/namespaces/{metadata.get('namespace', 'default')}"
    return f"{root}{namespace}/{plural}/{metadata['name']}"


def client(cluster: Cluster) -> httpx.AsyncClient:
    """Return the administrator's client."""
    context = ssl.create_default_context(cafile=str(cluster.authority.files.certificate))
    context.load_cert_chain(str(cluster.admin.certificate), str(cluster.admin.key))
    return httpx.AsyncClient(base_url=cluster.server, verify=context, timeout=_TIMEOUT_SECONDS, trust_env=False)


async def answers(api: httpx.AsyncClient) -> bool:
    """Tell whether the API server is ready, its roles and storage included."""
    try:
        return (await api.get("/readyz")).is_success
    except httpx.TransportError:
        return False


async def heal_definitions(api: httpx.AsyncClient) -> None:
    """Let the API server establish anew what a crash interrupted.

    A definition whose names were accepted just before a crash stays "Installing" for ever: the server looks at it again
    only when names remain to be accepted, so that status is cleared. To be called before anything is applied.
    """
    ours = {definition["metadata"]["name"] for definition in definitions()}
    for item in (await api.get(_DEFINITIONS)).raise_for_status().json()["items"]:
        name = item["metadata"]["name"]
        if name in ours and not _holds(item, "Established"):
            answer = await api.patch(
                f"{_DEFINITIONS}/{name}/status",
                content=json.dumps({"status": {"acceptedNames": {"kind": "", "plural": ""}, "conditions": []}}),
                headers={"Content-Type": "application/merge-patch+json"},
            )
            answer.raise_for_status()


async def free_machines(api: httpx.AsyncClient) -> None:
    """Take the machines from a kwok that has ended: until its leases are over, another would leave their pods alone."""
    (await api.delete(_LEASES)).raise_for_status()


async def apply_all(api: httpx.AsyncClient) -> None:
    """Apply everything: namespaces before what lies in them, the rest side by side."""
    objects = cluster_objects()
    await _apply(api, [item for item in objects if item["kind"] == "Namespace"])
    await _apply(api, [*(item for item in objects if item["kind"] != "Namespace"), *definitions()])


async def established(api: httpx.AsyncClient) -> bool:
    """Tell whether the API server serves every definition."""
    answer = await api.get(_DEFINITIONS)
    served = {
        item["metadata"]["name"] for item in answer.raise_for_status().json()["items"] if _holds(item, "Established")
    }
    return all(definition["metadata"]["name"] in served for definition in definitions())


async def nodes_ready(api: httpx.AsyncClient) -> bool:
    """Tell whether every machine reports Ready."""
    items = (await api.get("/api/v1/nodes")).raise_for_status().json()["items"]
    return bool(items) and all(_holds(item, "Ready") for item in items)


async def accounts_made(api: httpx.AsyncClient) -> bool:
    """Tell whether the controller manager has given a shared namespace its ServiceAccount."""
    return (await api.get("/api/v1/namespaces/tools/serviceaccounts/default")).is_success


@cache
def definitions() -> Sequence[Document]:
    """Return the custom resource definitions, by file name."""
    return tuple(item for path in sorted(CRD_DIRECTORY.glob("*.yaml")) for item in _documents(path))


@cache
def cluster_objects() -> Sequence[Document]:
    """Return the other objects."""
    return tuple(_documents(CLUSTER_OBJECTS))


def _holds(item: Document, condition: str) -> bool:
    # A new object may have no status, or a status whose conditions are null.
    found = (item.get("status") or {}).get("conditions") or []
    return any(entry["type"] == condition and entry["status"] == "True" for entry in found)


def _documents(path: Path) -> Iterable[Document]:
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


async def _apply(api: httpx.AsyncClient, documents: Iterable[Document]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for document in documents:
            tasks.create_task(_apply_one(api, document))


async def _apply_one(api: httpx.AsyncClient, document: Document) -> None:
    answer = await api.patch(
        path_of(document),
        content=json.dumps(document),
        headers={"Content-Type": "application/apply-patch+yaml"},
        params={"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"},
    )
    if not answer.is_success:
        raise SandboxError(
            f"the API server refused {document['kind']} {document['metadata']['name']}: {answer.text[:500]}"
        )
