"""Volumes for the storage class of the sandbox: real PersistentVolume objects with nothing behind them.

The API server's own binder does the binding, so a claim behaves as on a cluster with a storage system.
"""

from __future__ import annotations

from typing import Any

import httpx

from sandbox.errors import SandboxError

PROVISIONER = "volumes.sandbox.factory"
_VOLUMES = "/api/v1/persistentvolumes"
_STALE = frozenset({"Released", "Failed"})


async def provision(api: httpx.AsyncClient) -> None:
    """Make a volume for each claim that waits for one; remove volumes whose claim is gone.

    Raises `SandboxError` with the API server's answer when it refuses.
    """
    claims = await _list(api, "/api/v1/persistentvolumeclaims")
    waiting = [claim for claim in claims if not claim["spec"].get("volumeName")]
    volumes = [volume for volume in await _list(api, _VOLUMES) if made_here(volume)]
    if waiting:
        classes = await _list(api, "/apis/storage.k8s.io/v1/storageclasses")
        ours = {item["metadata"]["name"]: item for item in classes if item["provisioner"] == PROVISIONER}
        exists = {volume["metadata"]["name"] for volume in volumes}
        for claim in waiting:
            storage_class = ours.get(claim["spec"].get("storageClassName", ""))
            if storage_class and volume_name(claim) not in exists:
                _check(await api.post(_VOLUMES, json=volume_for(claim, storage_class["reclaimPolicy"])))
    for volume in volumes:
        policy = volume["spec"]["persistentVolumeReclaimPolicy"]
        if volume["status"].get("phase") in _STALE and policy == "Delete":
            await api.delete(f"{_VOLUMES}/{volume['metadata']['name']}")


def made_here(volume: dict[str, Any]) -> bool:
    """Tell whether this provisioner made a volume."""
    annotations = volume["metadata"].get("annotations", {})
    return bool(annotations.get("pv.kubernetes.io/provisioned-by") == PROVISIONER)


def volume_name(claim: dict[str, Any]) -> str:
    """Return the name of a claim's volume, the same however often it is asked for."""
    return f"pvc-{claim['metadata']['uid']}"


def volume_for(claim: dict[str, Any], reclaim_policy: str) -> dict[str, Any]:
    """Return the volume a claim asks for, reserved for it."""
    metadata, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(claim),
            "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
        },
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "persistentVolumeReclaimPolicy": reclaim_policy,
            "storageClassName": spec["storageClassName"],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "csi": {"driver": PROVISIONER, "volumeHandle": metadata["uid"]},
        },
    }


async def _list(api: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = _check(await api.get(path)).json()["items"]
    return items


def _check(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise SandboxError(f"volumes: {answer.request.method} {answer.request.url.path}: {answer.text[:500]}")
    return answer
