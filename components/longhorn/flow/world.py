"""Everything outside the flow that a run uses, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .agent import Agent
from .interfaces import Clock, Cluster, Document, Node, NodeError
from .journal import Journal
from .patience import PatientCluster
from .volumes import FlowSettings

__all__ = ["Consent", "Dumped", "World"]

Dumped = tuple[Document | None, Document | None]
"""PersistentVolume and claim of the last dump."""


@dataclass(frozen=True)
class Consent:
    """What a person agreed to: ``--yes``, and the volumes typed by name. Nothing destructive happens without both."""

    yes: bool = False
    named: frozenset[str] = frozenset()

    def covers(self, pv_name: str) -> bool:
        """Whether destructive steps may be taken for this volume."""
        return self.yes and pv_name in self.named


@dataclass
class World:
    """The cluster, the nodes, time, and the folder for journals and evidence."""

    cluster: Cluster
    nodes: Mapping[str, Node]
    clock: Clock
    state: Path
    settings: FlowSettings
    _agents: dict[str, Agent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read patiently from now on."""
        self.cluster = PatientCluster(self.cluster, self.clock)

    def journal(self, key: str) -> Journal:
        """Return the journal of a volume, by its key."""
        return Journal(self.state / "journal" / f"{key}.json")

    def agent(self, node: str) -> Agent:
        """Return the recovery library on a node. Raises NodeError for one that is not configured."""
        if node not in self.nodes:
            raise NodeError(f"{node}: no way to this node is configured")
        if node not in self._agents:
            self._agents[node] = Agent(self.nodes[node], self.clock, self.settings.work_directory)
        return self._agents[node]
