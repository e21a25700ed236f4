"""A configuration on its way to being accepted, and how the rules across its sections name what they find in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from components.app_stack.args import AppStackArgs
from components.app_stack.platform import PlatformArgs
from components.host.machine_args import MachineArgs

from . import guards
from .explain import problem_at
from .guards import Fingerprints
from .problems import Path, Problem, did_you_mean, set_secret
from .yaml_file import StackFile

__all__ = ["Draft"]


@dataclass(frozen=True)
class Draft:
    """A configuration whose sections are valid one by one, or absent: as written (`raw`) and typed (`valid`)."""

    source: StackFile
    raw: Mapping[str, Any]
    valid: Mapping[str, Any]
    production: Fingerprints

    @property
    def environment(self) -> guards.Environment | None:
        """What the stack is, if that is known."""
        return self.valid.get("environment")

    @property
    def embedded(self) -> bool:
        """Whether the connections come from the running sandbox."""
        return self.valid.get("backends") == "embedded"

    @property
    def apps(self) -> Mapping[str, AppStackArgs]:
        """The applications that are valid on their own."""
        apps: Mapping[str, AppStackArgs] = self.valid.get("apps", {})
        return apps

    @property
    def hosts(self) -> Mapping[str, MachineArgs]:
        """The machines that are valid on their own."""
        hosts: Mapping[str, MachineArgs] = self.valid.get("hosts", {})
        return hosts

    @property
    def platform(self) -> PlatformArgs | None:
        """The platform, if it is valid."""
        return self.valid.get("platform")

    def unknown(self, section: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield the names that nothing of a section has, each with what to do.

        None of a section that is no mapping: that is told elsewhere, and what it should have had is unknown.
        """
        known = self.raw.get(section) or {}
        if isinstance(known, Mapping):
            yield from ((name, did_you_mean(name, known)) for name in names if name not in known)

    def problem(self, path: Path, rule: str, fix: str, value: object = None) -> Problem:
        """Make a problem with its place in the file."""
        return problem_at(self.source, path, rule, fix, value=value)

    def missing_secret(self, path: Path, rule: str) -> Problem:
        """Report a secret that is not there.

        Before `stack init` a file cannot hold one, so it is then still to be completed.
        """
        initialised = self.source.initialised
        fix = f"Run {set_secret(self.source.name, path, initialised=initialised)}"
        return replace(self.problem(path, rule, fix), pending=not initialised)
