"""The plan as it grows: actions in the order of work, what stands against them, and who owns what."""

from __future__ import annotations

import binascii

from .digest import sha256_of
from .errors import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Operation = tuple[Any, ...]
    """One thing to do, by name and arguments: the methods of :class:`.operations.Operations`."""

CHANGING = ("create", "update", "delete", "run")
"""What makes services restart."""


def is_unit_file(field: str) -> bool:
    """Whether a changed field of a unit is its file or a drop-in, for which it must restart."""
    return field == "unit" or field.startswith("drop_ins.")


class Action:
    """What happens to one item."""

    __slots__ = ("changes", "disowns", "do", "item", "maybe", "operations", "owns", "why")

    def __init__(
        self,
        item: str,
        do: str,
        changes: dict[str, Any] | None = None,
        operations: Sequence[Operation] = (),
        *,
        why: Sequence[str] = (),
        owns: Any = None,
        disowns: bool = False,
        maybe: bool = False,
    ) -> None:
        self.item = item
        self.do = do
        self.changes = changes or {}
        self.operations = list(operations)
        self.why = list(why)
        self.owns = owns
        self.disowns = disowns
        self.maybe = maybe

    def matters(self) -> bool:
        """Whether its change restarts services and triggers steps; a mere mark of a unit does not."""
        if self.item.startswith("units:") and self.do == "update":
            return any(map(is_unit_file, self.changes))
        return self.do in CHANGING

    def targets(self) -> list[str]:
        """Name the paths beside which its temporary files may lie."""
        return [operation[1] for operation in self.operations if operation[0] in ("write", "link", "edit", "download")]

    def public(self) -> dict[str, Any]:
        """Give what is sent."""
        shown = {"item": self.item, "do": self.do, "changes": self.changes, "why": self.why}
        return {key: value for key, value in shown.items() if value}


class Planning:
    """One plan in the making. The planners of the kinds read ``document`` and ``facts`` and add what is to be done."""

    def __init__(
        self,
        document: Mapping[str, Any],
        facts: Mapping[str, Any],
        owned: Mapping[str, Mapping[str, Any]],
        *,
        resource: str = "",
        keyed_hash: Callable[[str], str] = lambda digest: digest,
    ) -> None:
        self.document = document
        self.facts = facts
        self.owned = {kind: dict(items) for kind, items in owned.items()}
        self.resource = resource
        self.actions: list[Action] = []
        self.problems: list[dict[str, str]] = []
        self.keyed_hash = keyed_hash
        journal = facts.get("journal") or {}
        self.owed: list[str] = list(journal.get("changing", ()))
        self.served: list[str] = list(journal.get("served", ()))

    def wanted(self, kind: str) -> Mapping[str, Any]:
        """Give the document's items of a kind."""
        return self.document.get(kind, {})  # type: ignore[no-any-return]

    def fact(self, kind: str, key: str) -> Any:
        """Give what the host has of an item; None for nothing."""
        return self.facts.get(kind, {}).get(key)

    def file(self, path: str) -> Any:
        """Give what stands at a path; None for nothing."""
        return self.fact("paths", path)

    def owns(self, item: str) -> bool:
        """Whether this resource created an item."""
        kind, _, key = item.partition(":")
        return key in self.owned.get(kind, {})

    def add(
        self,
        item: str,
        do: str,
        changes: dict[str, Any] | None = None,
        operations: Sequence[Operation] = (),
        **options: Any,
    ) -> None:
        """Add an action."""
        self.actions.append(Action(item, do, changes, operations, **options))

    def refuse(self, item: str, reason: str) -> None:
        """Note why something cannot be done; the plan is refused as a whole."""
        self.problems.append({"item": item, "message": reason})

    def changed(self) -> set[str]:
        """Give the items that this plan changes surely."""
        return {action.item for action in self.actions if action.matters()}

    def unsure(self) -> set[str]:
        """Give the items of which only their turn tells whether they change."""
        return {action.item for action in self.actions if action.do == "maybe"}

    def needs(self) -> list[str]:
        """Name the blobs that the operations use, in their order."""
        written = [each[2] for action in self.actions for each in action.operations if each[0] == "write"]
        return [content.sha256 for content in written if content.data is None]

    def busy(self) -> bool:
        """Whether anything is planned so far that may bring along what is not there yet."""
        return any(action.item.startswith(("packages:", "steps:")) for action in self.actions)


class Content:
    """What a file is to hold: bytes at hand, or a blob that is sent when it is needed."""

    __slots__ = ("blob", "data", "secret", "sha256", "size")

    def __init__(self, data: bytes | None, *, secret: bool = False, sha256: str = "", size: int = 0) -> None:
        self.data = data
        self.blob = data is None
        self.secret = secret
        self.sha256 = sha256 if data is None else sha256_of(data)
        self.size = size if data is None else len(data)

    def __repr__(self) -> str:
        return f"<{self.size} bytes>"  # never the content: this text may end up in a message


def content_of(entry: Mapping[str, Any]) -> Content:
    """Find a file's content in its entry; raises Refusal if there is none."""
    secret = bool(entry.get("secret"))
    if "content_sha256" in entry:
        return Content(None, secret=secret, sha256=entry["content_sha256"], size=entry["content_size"])
    if "content" in entry:
        return Content(entry["content"].encode("utf-8", "surrogatepass"), secret=secret)
    if "content_base64" in entry:
        try:
            return Content(binascii.a2b_base64(entry["content_base64"]), secret=secret)
        except binascii.Error as error:
            raise Refusal(f"content_base64 is not base64 ({error})") from error
    raise Refusal("it has no content: give content, content_base64, or the component's keyword argument")


def text_content(text: str) -> Content:
    """Make content of a text that the agent wrote itself."""
    return Content(text.encode("utf-8", "surrogateescape"))


def file_change(
    planning: Planning, path: str, entry: Mapping[str, Any], content: Content
) -> tuple[str, dict[str, Any], list[Operation]] | None:
    """Compare a file with what it should be: what to do, the changes and the operations; None where all is right.

    Raises Refusal if something else than a file is in the way.
    """
    there = planning.file(path)
    owner, group = _owner(planning, entry)
    mode = entry.get("mode", "0644")
    write: Operation = ("write", path, content, (mode, owner, group), entry.get("validate_with"))
    if there is None:
        return "create", {}, [write]
    expect("file", there)
    changes = _attribute_changes(there, mode, owner, group)
    if there["sha256"] != content.sha256:
        digests = there["sha256"], content.sha256
        hidden = [f"hmac:{planning.keyed_hash(each)}" for each in digests] if content.secret else None
        changes["content"] = hidden or [f"sha256:{each}" for each in digests]
        return "update", changes, [write]
    return ("update", changes, [_attributes(path, changes)]) if changes else None


def directory_change(
    planning: Planning, path: str, entry: Mapping[str, Any]
) -> tuple[str, dict[str, Any], list[Operation]] | None:
    """Compare a directory with what it should be, see :func:`file_change`."""
    there = planning.file(path)
    owner, group = _owner(planning, entry)
    mode = entry.get("mode", "0755")
    if there is None:
        return "create", {}, [("make_directory", path, (mode, owner, group))]
    expect("directory", there)
    changes = _attribute_changes(there, mode, owner, group)
    return ("update", changes, [_attributes(path, changes)]) if changes else None


def _owner(planning: Planning, entry: Mapping[str, Any]) -> tuple[str, str]:
    """Without a name, files belong to whom the agent runs as: root on a host, the user in a sandbox."""
    itself = planning.facts["self"]
    return entry.get("owner") or itself["owner"], entry.get("group") or itself["group"]


def _attribute_changes(there: Mapping[str, Any], mode: str, owner: str, group: str) -> dict[str, Any]:
    wanted = {"mode": mode, "owner": owner, "group": group}
    return {field: [there[field], value] for field, value in wanted.items() if there[field] != value}


def _attributes(path: str, changes: Mapping[str, Any]) -> Operation:
    wanted = (changes[field][1] if field in changes else None for field in ("mode", "owner", "group"))
    return ("attributes", path, tuple(wanted))


def expect(kind: str, there: Mapping[str, Any]) -> None:
    """Raise Refusal if something else than this kind is there."""
    if there["type"] == kind:
        return
    if there["type"] == "link":
        raise Refusal(
            f"a symbolic link to {there['target']!r} is in the way, and nothing is written through one: "
            "remove it, or name the place it leads to"
        )
    what = {"directory": "a directory", "file": "a file"}.get(there["type"], "something that is no file")
    raise Refusal(f"{what} is in the way of this {kind}: move it away, or give another path")
