"""How a cluster's nodes are reached, and what is the same for all their volumes: plain values, nothing is opened."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import Field, model_validator

from ...host.remote_host import RemoteHost, Sudo
from ...model import Model, about
from .volumes import FlowSettings

__all__ = ["BECOME", "SiteArgs"]

BECOME: Final[Mapping[Sudo, tuple[str, ...]]] = MappingProxyType({Sudo.NONE: (), Sudo.PASSWORDLESS: ("sudo", "-n")})
"""What stands before a command, by how the login becomes root there."""


class SiteArgs(Model):
    """How a cluster and its nodes are reached, and what is the same for all its volumes."""

    settings: FlowSettings = Field(description="Paths, limits and names.", json_schema_extra=about("VAR"))
    hosts: dict[str, RemoteHost] = Field(
        description="By Longhorn's name of a node: how it is reached.", json_schema_extra=about("LHR-181, DEF-28")
    )

    @model_validator(mode="after")
    def _agrees(self) -> SiteArgs:
        nodes, hosts = set(self.settings.nodes), set(self.hosts)
        problems = [f"hosts.{name}: settings.nodes does not name it" for name in sorted(hosts - nodes)]
        problems += [f"settings.nodes: {name} has no entry in hosts" for name in sorted(nodes - hosts)]
        problems += [
            f"hosts.{name}.sudo: password is not supported here, only root's login or sudo without one"
            for name, host in self.hosts.items()
            if host.sudo not in BECOME
        ]
        if problems:
            message = f"{'; '.join(problems)}: let nodes and hosts agree"
            raise ValueError(message)
        return self
