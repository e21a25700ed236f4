"""What a host's desired document says about services, ordered steps and confirmation."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import Model, Seconds, about
from .args_values import AbsolutePath, Argv, ItemName, ItemRef, Line, State, Stateful

__all__ = ["ConfirmArgs", "Sections", "Stage", "StepArgs", "UnitArgs"]

_TAKEN_BACK: Final = frozenset({"files", "links", "downloads", "blocks", "merges", "units"})

SectionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]*$")]
Directive = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]*$")]

Sections = dict[SectionName, dict[Directive, Line | tuple[Line, ...]]]
"""A systemd unit file: section to directive to value; several values are several lines, an empty one resets a list."""


class UnitArgs(Stateful):
    """A systemd unit: its file and drop-ins where they are ours, and how it is run.

    A field without a value stays as it is on the host. A changed file of its own restarts a running unit too.
    """

    unit: Sections | None = Field(
        default=None,
        description="The unit file, written to /etc/systemd/system. Default: a package brings it.",
        json_schema_extra=about("section 3"),
    )
    drop_ins: dict[ItemName, Sections] = Field(
        default={}, description="Drop-ins by name (without `.conf`).", json_schema_extra=about("section 3")
    )
    enabled: bool | None = Field(
        default=None, description="Whether it starts with the host.", json_schema_extra=about("SYS-03, SYS-13")
    )
    running: bool | None = Field(
        default=None, description="Whether it runs now.", json_schema_extra=about("SYS-03, SYS-13")
    )
    masked: bool | None = Field(
        default=None, description="Whether nothing can start it.", json_schema_extra=about("section 3")
    )
    restart_on: tuple[ItemRef, ...] = Field(
        default=(),
        description="Items whose change restarts it, once, at the end, if it runs.",
        json_schema_extra=about("DOCKER-05"),
    )
    reload_on: tuple[ItemRef, ...] = Field(
        default=(),
        description="Items whose change reloads it, unless it restarts.",
        json_schema_extra=about("section 3"),
    )
    order: int = Field(
        default=0,
        description="Turn among the services at the end; equal ones by name.",
        json_schema_extra=about("section 3"),
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.masked and (self.enabled or self.running):
            raise ValueError("a masked unit can neither be enabled nor run: remove masked, or enabled and running")
        if self.masked and self.unit is not None:
            raise ValueError("a masked unit has no file of its own: remove unit, or masked")
        if self.state is State.ABSENT and (self.unit or self.drop_ins or self.enabled or self.running):
            raise ValueError("an absent unit has no file and does not run: remove those fields, or state")
        return self


class Stage(StrEnum):
    """When a step runs."""

    PREPARE = "prepare"
    """After packages and users, before mounts and files."""
    CONFIGURE = "configure"
    """After all files, before services start and restart."""
    FINISH = "finish"
    """After the services."""


class StepArgs(Model):
    """A command for what no other item can say. It needs a guard, so that a second run changes nothing."""

    run: Argv = Field(description="The command, read by no shell.", json_schema_extra=about("section 3"))
    stage: Stage = Field(default=Stage.CONFIGURE, description="When it runs.", json_schema_extra=about("section 5.3"))
    after: tuple[ItemName, ...] = Field(
        default=(), description="Steps of the same stage that come first.", json_schema_extra=about("section 5.3")
    )
    creates: AbsolutePath | None = Field(
        default=None, description="Runs only while this path is missing.", json_schema_extra=about("section 3")
    )
    unless: Argv | None = Field(
        default=None, description="Runs only while this command fails.", json_schema_extra=about("section 3")
    )
    only_if: Argv | None = Field(
        default=None, description="Runs only while this command succeeds.", json_schema_extra=about("section 3")
    )
    once_for: str | None = Field(
        default=None,
        description="Runs once for each value of this text; the host remembers its hash.",
        json_schema_extra=about("section 3"),
    )
    on_change: tuple[ItemRef, ...] = Field(
        default=(), description="Runs when one of these items changed.", json_schema_extra=about("section 3")
    )
    stdin: str | None = Field(
        default=None,
        description="What the command reads; the place for a secret.",
        json_schema_extra=about("section 3"),
    )
    environment: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str] = Field(
        default={},
        description="Variables beside a minimal environment, which has the root prefix as FACTORY_ROOT.",
        json_schema_extra=about("section 3"),
    )
    directory: AbsolutePath | None = Field(
        default=None, description="Where it runs. Default: the root.", json_schema_extra=about("section 3")
    )
    timeout: Seconds = Field(
        default=300, description="Longest time.", json_schema_extra=about("section 3", unit="seconds")
    )
    secret: bool = Field(
        default=False,
        description="Its output may hold a secret: it is told in no error and no log.",
        json_schema_extra=about("CM5-214"),
    )

    @model_validator(mode="after")
    def _is_guarded(self) -> Self:
        if not (self.creates or self.unless or self.only_if or self.once_for is not None or self.on_change):
            raise ValueError(
                "a step without a guard would run each time: add creates, unless, only_if, once_for or on_change"
            )
        return self


class ConfirmArgs(Model):
    """Commit-confirm: the host takes these changes back by itself unless a fresh connection confirms them.

    What is taken back: content, mode and owner of the named files, links, blocks, merges and units; then systemd reads
    its units again, the services that this run restarted for them restart again, and ``undo`` runs.
    """

    items: Annotated[tuple[ItemRef, ...], Field(min_length=1)] = Field(
        description="The dangerous items: network, SSH, firewall.", json_schema_extra=about("CM5-142")
    )
    timeout: Seconds = Field(
        default=60, ge=5, description="How long the host waits.", json_schema_extra=about("section 3", unit="seconds")
    )
    undo: tuple[Argv, ...] = Field(
        default=(), description="Commands after the files are back.", json_schema_extra=about("section 3")
    )

    @model_validator(mode="after")
    def _can_be_taken_back(self) -> Self:
        if wrong := [ref for ref in self.items if ref.partition(":")[0] not in _TAKEN_BACK]:
            message = (
                f"items names {', '.join(wrong)}: only files, links, downloads, blocks, merges and units "
                "can be taken back"
            )
            raise ValueError(message)
        return self
