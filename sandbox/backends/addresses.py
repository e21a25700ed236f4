"""Addresses for what waits for one: here no ingress controller and no load balancer runs, whose duty it would be.

Without an address an Ingress counts as not ready, and everybody who waits for it waits for nothing.
"""

from __future__ import annotations

from typing import Any

import httpx

from sandbox.errors import SandboxError

ADDRESS = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}
_KINDS = ("/apis/networking.k8s.io/v1/ingresses", "/api/v1/services")


async def publish(api: httpx.AsyncClient) -> None:
    """Give each Ingress and each Service of type LoadBalancer that has no address the loopback one.

    Raises `SandboxError` with the API server's answer when it refuses.
    """
    for collection in _KINDS:
        group, _, plural = collection.rpartition("/")
        for item in _check(await api.get(collection)).json()["items"]:
            if waits(item, plural):
                metadata = item["metadata"]
                path = f"{group}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}/status"
                headers = {"Content-Type": "application/merge-patch+json"}
                _check(await api.patch(path, json={"status": ADDRESS}, headers=headers), gone=True)


def waits(item: dict[str, Any], plural: str) -> bool:
    """Tell whether an object of this collection still needs an address."""
    if plural == "services" and item["spec"].get("type") != "LoadBalancer":
        return False
    return not item.get("status", {}).get("loadBalancer", {}).get("ingress")


def _check(answer: httpx.Response, *, gone: bool = False) -> httpx.Response:
    if not answer.is_success and not (gone and answer.status_code == httpx.codes.NOT_FOUND):
        raise SandboxError(f"addresses: {answer.request.method} {answer.request.url.path}: {answer.text[:500]}")
    return answer
