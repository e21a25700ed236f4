"""What a planner hands to the component: the desired document of one role, and the files whose content is secret."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..host.args import HostStateArgs, StepArgs
from ..host.args_services import Stage

__all__ = ["PREPARE", "Role", "SecretFile", "refuse_unless", "shell"]

PREPARE = Stage.PREPARE


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file of a role whose text is made of secrets."""

    secrets: frozenset[str]
    """Names of the secrets it is made of."""
    text: Callable[[Mapping[str, str]], str]
    """From their values to the text. Raises ValueError for a value that the file cannot hold."""
    public: bool = False
    """Whether the text tells no secret: it only changes when one does."""


@dataclass(frozen=True, slots=True)
class Role:
    """One subsystem of the gateway."""

    desired: HostStateArgs
    after: tuple[str, ...] = ()
    """Names of the roles it waits for (section 5.3)."""
    secret_files: Mapping[str, SecretFile] = field(default_factory=dict)
    """By path: files of ``desired`` that have no content there."""
    protect: bool = False
    """Whether its removal needs a decision of its own (CM5-275)."""


def shell(script: str, *arguments: str) -> tuple[str, ...]:
    """Run a line of shell; ``arguments`` are its ``$1``, ``$2``, ... and no shell reads them."""
    return ("sh", "-c", script, "sh", *arguments)


def refuse_unless(holds: tuple[str, ...], cause: str, action: str) -> StepArgs:
    """Stop before anything is changed unless a command succeeds, with cause and action (CM5-254)."""
    return StepArgs(run=shell('echo "$1" >&2; exit 1', f"{cause}: {action}"), unless=holds, stage=PREPARE)
