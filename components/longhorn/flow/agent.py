"""The recovery library as one file that a node's own Python (3.9 or newer) runs (LHR-015, LHR-180)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ..recovery.single_file import archive
from .interfaces import Clock, Completed, Node, NodeError
from .node_tools import run_long

__all__ = ["Agent", "AgentError"]


class AgentError(Exception):
    """The library refused on a node, or found damage there."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Agent:
    """The library on one node; sent there when it is first used."""

    def __init__(self, node: Node, clock: Clock, directory: str) -> None:
        self.node = node
        self._clock = clock
        self._directory = directory
        self._path = ""

    def call(self, *arguments: str, timeout: float, long: bool = False) -> Mapping[str, Any]:
        """Run a command of :mod:`..recovery.node_agent`. Raises AgentError and NodeError."""
        command = ("python3", "-B", self._sent(), *arguments)
        if long:
            done = run_long(self.node, command, clock=self._clock, timeout=timeout, directory=self._directory)
        else:
            done = self.node.run(command, timeout=timeout)
        return _result(self.node.name, arguments[0], done)

    def _sent(self) -> str:
        if not self._path:
            content = archive("node_agent")
            path = f"{self._directory}/longhorn-recover-{hashlib.sha256(content).hexdigest()[:16]}.pyz"
            if self.node.run(("test", "-f", path)).status:
                self.node.put(content, path)
            self._path = path
        return self._path


def _result(node: str, command: str, done: Completed) -> Mapping[str, Any]:
    try:
        found = json.loads(done.out)
    except ValueError:
        words = done.err.strip() or done.out.strip()
        message = f"{node}: {command} ended with {done.status} and no result: {words[-800:]}"
        raise NodeError(message) from None
    if "error" in found:
        raise AgentError(found["error"]["code"], f"{node}: {found['error']['message']}")
    result: Mapping[str, Any] = found
    return result
