"""Opens the real cluster and the real nodes, from plain configuration. Nothing of it is ever kept in a state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ...host.remote_host import RemoteHost
from ...host.transport import Transport
from .interfaces import Cluster, ClusterError, Node
from .kubernetes_cluster import KubernetesCluster
from .site import BECOME, SiteArgs
from .system_clock import SystemClock
from .transport_node import TransportNode
from .volumes import InvalidInputError, explain
from .world import World

__all__ = ["open_cluster", "open_nodes", "open_world", "read_site"]


def read_site(document: Any) -> SiteArgs:  # noqa: ANN401 - any YAML
    """Validate a site. Raises InvalidInputError with all mistakes."""
    try:
        return SiteArgs.model_validate(document)
    except ValidationError as error:
        raise InvalidInputError(explain("site", error)) from error


def open_cluster(kubeconfig: str, context: str | None = None) -> Cluster:
    """Open a cluster from the text of a kubeconfig, or from the file it names. Raises ClusterError."""
    if "\n" not in kubeconfig:
        return KubernetesCluster.from_file(Path(kubeconfig).expanduser(), context)
    try:
        document = yaml.safe_load(kubeconfig)
    except yaml.YAMLError as error:
        raise ClusterError(400, "the kubeconfig is no YAML") from error
    if not isinstance(document, dict):
        raise ClusterError(400, "the kubeconfig is no mapping")
    return KubernetesCluster.from_document(document, context)


@contextmanager
def open_nodes(site: SiteArgs, *, private_key: str | None = None) -> Iterator[dict[str, Node]]:
    """Make the ways to the nodes, and close them afterwards. Hosts are reached with pinned keys only (DEF-28)."""
    nodes = {
        name: TransportNode(name, _transport(host, private_key), become=BECOME[host.sudo])
        for name, host in site.hosts.items()
    }
    try:
        yield dict(nodes)
    finally:
        for node in nodes.values():
            node.close()


@contextmanager
def open_world(
    site: SiteArgs, kubeconfig: str, state: Path, *, context: str | None = None, private_key: str | None = None
) -> Iterator[World]:
    """Open everything a run needs, and close it afterwards."""
    cluster = open_cluster(kubeconfig, context)
    with open_nodes(site, private_key=private_key) as nodes:
        yield World(cluster, nodes, SystemClock(), state, site.settings)


def _transport(host: RemoteHost, private_key: str | None) -> Transport:
    from ...host.transport_ssh import Login, SshTransport  # noqa: PLC0415 - asyncssh, only where a host is opened

    return SshTransport(host, Login(private_key=private_key))
