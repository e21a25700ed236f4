"""The text of a guest's notes: one block of labels between two markers, and everything else untouched.

The block is replaced as a whole. What stands outside it is kept character by character, line ends included; a text that
a block was added to and removed from again is the text from before (TPX-130 to TPX-139).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .findings import abbreviated

__all__ = [
    "LIMIT",
    "Adopt",
    "Block",
    "Label",
    "LooseLine",
    "NotesError",
    "NotesUpdate",
    "extract",
    "find_block",
    "loose_lines",
    "merge",
    "read_labels",
    "render",
    "render_block",
    "same_text",
    "strip",
    "update",
]

Label = tuple[str, str]
"""A key and its value."""

LIMIT: Final = 8192
"""Proxmox VE stores at most so many characters of notes (TPX-121)."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_MARKER: Final = re.compile(r"[ \t]*<!-- factory labels (begin|end) (\S+) -->[ \t]*\r*")
_FENCE: Final = "```"
_LOOSE: Final = re.compile(r"""[ \t]*["']?(traefik\.[^\s=:"']+)["']?[ \t]*[=:][ \t]*(.*?)\r?""", re.IGNORECASE)
_HTTP: Final = "traefik.http."


class Adopt(StrEnum):
    """What becomes of label lines outside the block, which the gateway would mix with the block's (TPX-133)."""

    REFUSE = "refuse"
    """They are an error."""
    SAME = "same"
    """Those whose keys the block has are removed from the outer text; others are an error."""
    ALL = "all"
    """All of them are removed from the outer text."""


class NotesError(Exception):
    """The notes cannot be changed; nothing was. The message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block stands in a text: from the begin marker to the end marker, without its last line end."""

    name: str
    start: int
    end: int
    body: str
    """What stands between the markers."""


@dataclass(frozen=True, slots=True)
class LooseLine:
    """A label line outside the block."""

    number: int
    """Counted from 1."""
    key: str
    """In lower case."""
    value: str
    block: str
    """The name of the other block it stands in; empty if it stands in none."""


@dataclass(frozen=True, slots=True)
class NotesUpdate:
    """What a change of the notes comes to."""

    text: str
    """The notes afterwards."""
    changed: bool
    """Whether they have to be written at all (TPX-137)."""
    added: tuple[Label, ...]
    removed: tuple[Label, ...]
    """Labels of the block before that are not in it afterwards; a changed value is in both."""
    adopted: tuple[LooseLine, ...] = ()
    """Label lines that were taken out of the outer text."""


def render(labels: Iterable[Label]) -> str:
    """Write labels one a line, in the given order, each router and service under a comment (TPX-100 to TPX-110)."""
    lines: list[str] = []
    group, routers = "", 0
    for key, value in labels:
        head = _group(key)
        if head != group:
            routers += head.startswith(f"{_HTTP}routers.")
            lines += ["", _comment(head, routers)] if lines else [_comment(head, routers)]
            group = head
        lines.append(f"{key}={value}")
    return "".join(f"{line}\n" for line in lines)


def _group(key: str) -> str:
    """Return the beginning of a key up to its router's or service's name; empty for other labels."""
    return key[: key.find(".", key.find(".", len(_HTTP)) + 1)] if key.startswith(_HTTP) else ""


def _comment(group: str, number: int) -> str:
    """Introduce a router or a service: ASCII only, and never what a gateway could read as a label (TPX-109)."""
    _, _, kind, name = group.split(".", 3)
    shown = name.encode("ascii", "replace").decode()
    return f"# Router {number} : {shown}" if kind == "routers" else f"# {kind.removesuffix('s').title()} : {shown}"


def render_block(labels: Sequence[Label], *, fence: bool = True) -> str:
    """Write the body of a block, empty without labels. A fence keeps it readable where notes are shown as Markdown."""
    text = render(labels)
    return f"{_FENCE}\n{text}{_FENCE}\n" if text and fence else text


def read_labels(text: str) -> list[Label]:
    """Read the label lines of a rendered text; comments, empty lines and fences are none."""
    lines = (line.removesuffix("\r").strip() for line in text.split("\n"))
    return [
        (key.strip(), value.strip())
        for key, equals, value in (line.partition("=") for line in lines)
        if equals and key.lower().startswith("traefik.")
    ]


def find_block(existing: str, block_id: str) -> Block | None:
    """Find the block of this name. Raises NotesError with line numbers for damaged markers (TPX-134)."""
    _check_id(block_id)
    return next((block for block in _blocks(existing) if block.name == block_id), None)


def merge(existing: str, body: str, block_id: str) -> str:
    """Put a block into the notes, in the place of the one of this name or at the end; without a body, take it out.

    Raises NotesError for damaged markers or a bad name.
    """
    if not body:
        return strip(existing, block_id)
    found = find_block(existing, block_id)
    lines = (_marker("begin", block_id), body.removesuffix("\n"), _marker("end", block_id))
    block = "\n".join(lines)
    if found is not None:
        return existing[: found.start] + block + existing[found.end :]
    # The last line ends of the text move behind the block: that is how `strip` finds the very same text again.
    written = existing.rstrip("\r\n")
    return (f"{written}\n\n" if written else "") + block + existing[len(written) :]


def strip(existing: str, block_id: str) -> str:
    """Take the block and the empty line before it out of the notes (TPX-135). Raises NotesError."""
    found = find_block(existing, block_id)
    if found is None:
        return existing
    before, after = existing[: found.start], existing[found.end :]
    for gap in ("\r\n\r\n", "\n\n", "\r\n", "\n"):
        if before.endswith(gap):
            return before.removesuffix(gap) + after
    # The block stood at the top, so the line end behind it was its own, unless there is nothing but line ends.
    return re.sub(r"\A\r?\n", "", after) if after.strip("\r\n") else after


def extract(existing: str, block_id: str) -> list[Label]:
    """Read the labels of the block as they stand there now. Raises NotesError."""
    found = find_block(existing, block_id)
    return read_labels(found.body) if found else []


def loose_lines(existing: str, block_id: str) -> list[LooseLine]:
    """List the label lines outside the block, which a gateway mixes with the block's. Raises NotesError."""
    _check_id(block_id)
    blocks = _blocks(existing)
    found: list[LooseLine] = []
    for number, start, line in _lines(existing):
        name = next((block.name for block in blocks if block.start <= start < block.end), "")
        match = _LOOSE.fullmatch(line)
        if match and name != block_id:
            found.append(LooseLine(number, match[1].lower(), match[2].strip(), name))
    return found


def same_text(one: str, other: str) -> bool:
    """Whether two notes are the same once Proxmox VE has stored them: line ends do not count (TPX-127)."""
    return one.replace("\r\n", "\n").rstrip("\r\n") == other.replace("\r\n", "\n").rstrip("\r\n")


def update(
    existing: str,
    labels: Sequence[Label],
    block_id: str,
    *,
    adopt: Adopt = Adopt.REFUSE,
    fence: bool = True,
    limit: int = LIMIT,
) -> NotesUpdate:
    """Work out what the notes become with these labels; without labels, the block goes.

    Raises NotesError if the markers are damaged, a label cannot be written, label lines stand outside the block and
    are not to be adopted, or the result is longer than ``limit`` characters.
    """
    _check_labels(labels)
    before = extract(existing, block_id)
    adopted = _adopted(existing, labels, block_id, adopt) if labels else ()
    text = merge(_without(existing, adopted), render_block(labels, fence=fence), block_id)
    if len(text) > limit and labels:
        routers = len({_group(key) for key, _ in labels if key.startswith(f"{_HTTP}routers.")})
        block = len(text) - len(strip(text, block_id))
        raise NotesError(
            f"the notes would have {len(text)} characters, and Proxmox VE stores {limit} (TPX-121): the block of "
            f"{routers} routers has {block} of them. Shorten names or the other notes, or spread the services over "
            "several guests"
        )
    return NotesUpdate(
        text,
        changed=not same_text(existing, text),
        added=_missing(labels, before),
        removed=_missing(before, labels),
        adopted=adopted,
    )


def _missing(labels: Sequence[Label], other: Sequence[Label]) -> tuple[Label, ...]:
    there = set(other)
    return tuple(label for label in labels if label not in there)


def _adopted(existing: str, labels: Iterable[Label], block_id: str, adopt: Adopt) -> tuple[LooseLine, ...]:
    """Choose the lines to take out. Raises NotesError for those that may not be: nobody's label is lost in silence."""
    keys = {key.lower() for key, _ in labels}
    loose = loose_lines(existing, block_id)
    if taken := [line for line in loose if line.block and line.key in keys]:
        raise NotesError(f"another block has the same labels: {_shown(taken)}. Give the routers other names (TPX-99)")
    free = [line for line in loose if not line.block]
    chosen = [line for line in free if adopt is Adopt.ALL or (adopt is Adopt.SAME and line.key in keys)]
    if left := [line for line in free if line not in chosen]:
        raise NotesError(
            "labels stand outside the block, and the gateway would mix them with its own (TPX-133): "
            f"{_shown(left)}. Remove them, or set adopt to 'same' (lines the block replaces) or 'all'"
        )
    return tuple(chosen)


def _shown(lines: Iterable[LooseLine]) -> str:
    """Name lines without their values, which may be secrets."""
    return ", ".join(f"line {line.number} {abbreviated(line.key)}" for line in lines)


def _without(existing: str, lines: Iterable[LooseLine]) -> str:
    """Take lines out with their line ends."""
    gone = {line.number for line in lines}
    return "".join(line for number, _, line in _lines(existing, ends=True) if number not in gone) if gone else existing


def _check_labels(labels: Iterable[Label]) -> None:
    """Raise NotesError for what a line of notes cannot hold, or the gateway would not read as it was meant."""
    problems = []
    for key, value in labels:
        if not key.lower().startswith("traefik.") or "=" in key or any(char.isspace() for char in key):
            problems.append(f"{abbreviated(key)!r} is no key of a label")
        elif any(char in value for char in "\n\r\0"):
            problems.append(f"{abbreviated(key)}: the value holds a line end or a NUL (TPX-129)")
        elif value != value.strip() or value[:1] == '"' or value[-1:] == '"':
            problems.append(f"{abbreviated(key)}: the gateway cuts blanks and quotes off the ends of a value (TPX-128)")
    if problems:
        raise NotesError(f"these labels cannot be written: {'; '.join(problems)}")


def _check_id(block_id: str) -> None:
    if not _ID.fullmatch(block_id):
        raise NotesError(f"{abbreviated(block_id)!r} cannot name a block: use up to 63 letters, digits, '-' and '_'")


def _marker(kind: str, block_id: str) -> str:
    return f"<!-- factory labels {kind} {block_id} -->"


def _lines(text: str, *, ends: bool = False) -> Iterator[tuple[int, int, str]]:
    """Give number, start and text of each line; only LF ends a line, as in Proxmox VE."""
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        more = start + len(line) < len(text)
        yield number, start, line + "\n" if ends and more else line
        start += len(line) + 1


def _blocks(text: str) -> list[Block]:
    """Find all blocks, of whatever name. Raises NotesError if a marker is without its other half."""
    blocks: list[Block] = []
    problems: list[str] = []
    opened: tuple[str, int, int, int] | None = None
    for number, start, line in _lines(text):
        marker = _MARKER.fullmatch(line)
        if marker is None:
            continue
        kind, name = marker.groups()
        if kind == "begin":
            if opened is not None:
                problems.append(f"line {number}: a block begins inside {opened[0]}, which began in line {opened[1]}")
            if any(block.name == name for block in blocks):
                problems.append(f"line {number}: there is a second block {name}")
            opened = (name, number, start, start + len(line) + 1)
        elif opened is None or opened[0] != name:
            problems.append(f"line {number}: the block {name} ends, but did not begin")
        else:
            blocks.append(Block(name, opened[2], start + len(line.rstrip("\r")), text[opened[3] : start]))
            opened = None
    if opened is not None:
        problems.append(f"line {opened[1]}: the block {opened[0]} begins, but does not end")
    if problems:
        raise NotesError(
            f"the markers in the notes are damaged ({'; '.join(problems)}): repair or remove these lines by hand "
            "(TPX-134)"
        )
    return blocks
