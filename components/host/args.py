"""What one role wants of one host: the desired document of a ``HostState``.

Everything is a map keyed by path or name, so that a diff names what changed and one secret hides only itself. What no
document names stays untouched on the host. Content that is secret or comes from another resource is a keyword argument
of the component, which puts it into the document at ``files[path].content``, ``steps[name].stdin`` and the like.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import Model, about
from .args_files import BlockArgs, DirectoryArgs, DownloadArgs, FileArgs, LinkArgs, MergeArgs
from .args_services import ConfirmArgs, Sections, Stage, StepArgs, UnitArgs
from .args_system import (
    AuthorizedKeysArgs,
    GroupArgs,
    ModuleArgs,
    MountArgs,
    PackageArgs,
    RepositoryArgs,
    SysctlArgs,
    UserArgs,
)
from .args_values import AbsolutePath, ItemName, ItemRef, State, SystemName, UnitName

__all__ = [
    "KINDS",
    "AuthorizedKeysArgs",
    "BlockArgs",
    "ConfirmArgs",
    "DirectoryArgs",
    "DownloadArgs",
    "FileArgs",
    "GroupArgs",
    "HostStateArgs",
    "ItemRef",
    "LinkArgs",
    "MergeArgs",
    "ModuleArgs",
    "MountArgs",
    "PackageArgs",
    "RepositoryArgs",
    "Sections",
    "Stage",
    "State",
    "StepArgs",
    "SysctlArgs",
    "UnitArgs",
    "UserArgs",
]

PackageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?$")]
SysctlName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_*/-]+(\.[A-Za-z0-9_*/-]+)+$")]
ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class HostStateArgs(Model):
    """The desired state of one role on one host."""

    repositories: dict[ItemName, RepositoryArgs] = Field(
        default={}, description="Repositories of packages by name.", json_schema_extra=about("section 3")
    )
    packages: dict[PackageName, PackageArgs] = Field(
        default={}, description="Packages by name.", json_schema_extra=about("SYS-13, CM5-105")
    )
    groups: dict[SystemName, GroupArgs] = Field(
        default={}, description="Groups by name.", json_schema_extra=about("section 3")
    )
    users: dict[SystemName, UserArgs] = Field(
        default={}, description="Users by name.", json_schema_extra=about("SYS-02")
    )
    authorized_keys: dict[SystemName, AuthorizedKeysArgs] = Field(
        default={}, description="SSH keys by user.", json_schema_extra=about("section 3")
    )
    modules: dict[ModuleName, ModuleArgs] = Field(
        default={}, description="Kernel modules by name.", json_schema_extra=about("SYS-13")
    )
    mounts: dict[AbsolutePath, MountArgs] = Field(
        default={}, description="Mounts by mount point.", json_schema_extra=about("SYS-06")
    )
    directories: dict[AbsolutePath, DirectoryArgs] = Field(
        default={}, description="Directories by path.", json_schema_extra=about("SYS-14, CM5-104")
    )
    downloads: dict[AbsolutePath, DownloadArgs] = Field(
        default={}, description="Downloads by path.", json_schema_extra=about("CM5-107")
    )
    links: dict[AbsolutePath, LinkArgs] = Field(
        default={}, description="Symbolic links by path.", json_schema_extra=about("section 3")
    )
    files: dict[AbsolutePath, FileArgs] = Field(
        default={}, description="Files by path.", json_schema_extra=about("section 3")
    )
    blocks: dict[ItemName, BlockArgs] = Field(
        default={},
        description="Managed blocks in foreign files, by a name of ours.",
        json_schema_extra=about("section 3"),
    )
    merges: dict[AbsolutePath, MergeArgs] = Field(
        default={}, description="Keys in foreign JSON and INI files, by path.", json_schema_extra=about("DOCKER-10")
    )
    sysctl: dict[SysctlName, SysctlArgs] = Field(
        default={}, description="Kernel parameters by name.", json_schema_extra=about("section 3")
    )
    units: dict[UnitName, UnitArgs] = Field(
        default={}, description="systemd units by name.", json_schema_extra=about("SYS-03, SYS-13")
    )
    steps: dict[ItemName, StepArgs] = Field(
        default={}, description="Commands by a name of ours.", json_schema_extra=about("section 3")
    )
    confirm: ConfirmArgs | None = Field(
        default=None, description="Changes which must be confirmed.", json_schema_extra=about("section 3")
    )

    def document(self) -> dict[str, Any]:
        """Give the document as plain JSON values: no empty kinds, no fields without a value, defaults spelt out."""
        dumped = self.model_dump(mode="json", exclude_none=True)
        return {kind: items for kind, items in dumped.items() if items}

    @model_validator(mode="after")
    def _references_lead_somewhere(self) -> Self:
        wrong = [
            f"{where} names {ref!r}, which this document does not have"
            for where, ref in self._references()
            if not self._has(ref)
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @model_validator(mode="after")
    def _steps_have_an_order(self) -> Self:
        for name, step in self.steps.items():
            for other in step.after:
                if other not in self.steps or self.steps[other].stage is not step.stage:
                    message = f"steps.{name}.after names {other!r}, which is no step of the stage {step.stage.value!r}"
                    raise ValueError(message)
        done: set[str] = set()
        while left := [name for name in self.steps if name not in done]:
            ready = [name for name in left if done.issuperset(self.steps[name].after)]
            if not ready:
                message = f"the steps {', '.join(sorted(left))} wait for each other: break the circle in after"
                raise ValueError(message)
            done.update(ready)
        return self

    @model_validator(mode="after")
    def _finishing_steps_restart_nothing(self) -> Self:
        for name, unit in self.units.items():
            for ref in (*unit.restart_on, *unit.reload_on):
                kind, _, key = ref.partition(":")
                if kind == "steps" and self.steps[key].stage is Stage.FINISH:
                    message = f"units.{name} restarts on {ref!r}, which runs after the services: give it another stage"
                    raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _a_path_has_one_item(self) -> Self:
        seen: dict[str, str] = {}
        for kind in ("directories", "downloads", "links", "files", "merges"):
            for path in getattr(self, kind):
                if path in seen:
                    message = f"{path!r} is in {seen[path]} and in {kind}: keep one"
                    raise ValueError(message)
                seen[path] = kind
        for name, block in self.blocks.items():
            if block.path in seen and seen[block.path] != "merges":
                message = f"blocks.{name} is in {block.path!r}, which {seen[block.path]} has whole: put it in there"
                raise ValueError(message)
        return self

    def _references(self) -> Iterator[tuple[str, str]]:
        for name, unit in self.units.items():
            yield from ((f"units.{name}.restart_on", ref) for ref in unit.restart_on)
            yield from ((f"units.{name}.reload_on", ref) for ref in unit.reload_on)
        for name, step in self.steps.items():
            yield from ((f"steps.{name}.on_change", ref) for ref in step.on_change)
        if self.confirm is not None:
            yield from (("confirm.items", ref) for ref in self.confirm.items)

    def _has(self, ref: str) -> bool:
        kind, _, key = ref.partition(":")
        return key in getattr(self, kind)


KINDS: Final = tuple(name for name in HostStateArgs.model_fields if name != "confirm")
"""The kinds of items, in the order in which they are applied (steps by their stage)."""
