"""Opens the real cluster and the real nodes, from plain configuration. Nothing of it is ever kept in a state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from ...host.remote_host import RemoteHost, Sudo
from ...host.transport import Transport
from ...model import Model, about
from .interfaces import Cluster, ClusterError, SystemClock
from .kubernetes_cluster import KubernetesCluster
from .transport_node import TransportNode
from .volumes import FlowSettings, InvalidInputError, explain
from .world import World

__all__ = ["SiteArgs", "open_cluster", "open_world", "read_site"]

_BECOME: Mapping[Sudo, tuple[str, ...]] = {Sudo.NONE: (), Sudo.PASSWORDLESS: ("sudo", "-n")}


class SiteArgs(Model):
    """How a cluster and its nodes are reached, and what is the same for all its volumes."""

    settings: FlowSettings = Field(description="Paths, limits and names.", json_schema_extra=about("VAR"))
    hosts: dict[str, RemoteHost] = Field(
        description="By Longhorn's name of a node: how it is reached.", json_schema_extra=about("LHR-181, DEF-28")
    )


def read_site(document: Any) -> SiteArgs:  # noqa: ANN401 - any YAML
    """Validate a site. Raises InvalidInputError with all mistakes."""
    try:
        site = SiteArgs.model_validate(document)
    except ValidationError as error:
        raise InvalidInputError(explain("site", error)) from error
    nodes, hosts = set(site.settings.nodes), set(site.hosts)
    problems = [f"site.hosts.{name}: settings.nodes does not name it" for name in sorted(hosts - nodes)]
    problems += [f"site.settings.nodes: {name} has no entry in hosts" for name in sorted(nodes - hosts)]
    problems += [
        f"site.hosts.{name}.sudo: password is not supported here; log in as root or allow sudo without one"
        for name, host in site.hosts.items()
        if host.sudo not in _BECOME
    ]
    if problems:
        raise InvalidInputError(problems)
    return site


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
def open_world(
    site: SiteArgs, kubeconfig: str, state: Path, *, context: str | None = None, private_key: str | None = None
) -> Iterator[World]:
    """Open everything a run needs, and close it afterwards. Hosts are reached with pinned keys only (DEF-28)."""
    cluster = open_cluster(kubeconfig, context)
    nodes = {
        name: TransportNode(name, _transport(host, private_key), become=_BECOME[host.sudo])
        for name, host in site.hosts.items()
    }
    try:
        yield World(cluster, nodes, SystemClock(), state, site.settings)
    finally:
        for node in nodes.values():
            node.close()


def _transport(host: RemoteHost, private_key: str | None) -> Transport:
    from ...host.transport_ssh import Login, SshTransport  # noqa: PLC0415 - asyncssh, only where a host is opened

    return SshTransport(host, Login(private_key=private_key))
