"""Pure edits of line-oriented files that belong to somebody else. Every one is idempotent and keeps all other lines.

Each takes the old text (None: no file) and gives the new one (None: no file). Refusal says why nothing is done.
"""

from __future__ import annotations

from .errors import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_FSTAB_FIELDS = 6
_LEAST_FSTAB_FIELDS = 4
_ESCAPES = {"\\": "\\134", " ": "\\040", "\t": "\\011", "\n": "\\012"}
_KEY_TYPES = ("ssh-", "ecdsa-", "sk-")


def block(text: str | None, name: str, comment: str, content: str | None) -> str | None:
    """Put ``content`` between the markers of a name, at the end where there are none; None takes the block out."""
    begin, end = f"{comment} BEGIN factory {name}", f"{comment} END factory {name}"
    lines = (text or "").splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if line.rstrip("\r\n") == begin]
    ends = [number for number, line in enumerate(lines) if line.rstrip("\r\n") == end]
    if len(starts) > 1 or len(starts) != len(ends) or (starts and starts[0] > ends[0]):
        raise Refusal(f"its markers of the block {name!r} are not one pair: repair {begin!r} and {end!r} by hand")
    first, last = (starts[0], ends[0] + 1) if starts else (len(lines), len(lines))
    if content is None:
        return text if not starts else "".join(lines[:first] + lines[last:])
    before = lines[:first]
    if before and not before[-1].endswith("\n"):
        before[-1] += "\n"
    body = content if not content or content.endswith("\n") else f"{content}\n"
    return "".join([*before, f"{begin}\n", body, f"{end}\n", *lines[last:]])


def fstab(text: str | None, point: str, fields: Sequence[str] | None) -> str | None:
    """Make the one line of a mount point have these six fields (unescaped); None removes it."""
    lines = (text or "").splitlines(keepends=True)
    ours = [number for number, line in enumerate(lines) if _mount_point(line) == _escape(point)]
    if len(ours) > 1:
        raise Refusal(f"it has {len(ours)} lines for {point!r}: leave one")
    if fields is None:
        return text if not ours else "".join(line for number, line in enumerate(lines) if number not in ours)
    line = "\t".join(map(_escape, fields)) + "\n"
    if ours:
        if fstab_fields(text, point) != list(fields):
            lines[ours[0]] = line
        return "".join(lines)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return "".join([*lines, line])


def fstab_fields(text: str | None, point: str) -> list[str] | None:
    """Read the fields of a mount point's line, unescaped, the two left out ones as ``0``; None for no line."""
    for line in (text or "").splitlines():
        if _mount_point(line) == _escape(point):
            fields = [unescape(field) for field in line.split()[:_FSTAB_FIELDS]]
            return fields + ["0"] * (_FSTAB_FIELDS - len(fields))
    return None


def _mount_point(line: str) -> str | None:
    fields = line.split()
    return fields[1] if len(fields) >= _LEAST_FSTAB_FIELDS and not fields[0].startswith("#") else None


def _escape(field: str) -> str:
    return "".join(_ESCAPES.get(sign, sign) for sign in field)


def unescape(field: str) -> str:
    """Undo the octal escapes that fstab and the kernel's mount tables use."""
    for sign, escape in reversed(_ESCAPES.items()):
        field = field.replace(escape, sign)
    return field


def authorized_keys(
    text: str | None, wanted: Iterable[str], unwanted: Iterable[str] = (), *, exclusive: bool = False
) -> str | None:
    """Make these lines be there and those keys not; ``exclusive`` drops every other key. A key is known by its body."""
    want = {key_body(line): line for line in wanted}
    drop = {key_body(line) for line in unwanted} - set(want)
    kept = []
    for line in (text or "").splitlines():
        body = key_body(line)
        if body in want:
            kept.append(want.pop(body))
        elif body is None or not (exclusive or body in drop):
            kept.append(line)
    kept += want.values()
    return "".join(f"{line}\n" for line in kept) if kept or text is not None else None


def key_body(line: str) -> str | None:
    """Find the base64 body in a line of ``authorized_keys``, which may begin with options; None for a comment."""
    if line.lstrip().startswith("#"):
        return None
    words = line.split()
    for number, word in enumerate(words[:-1]):
        if word.startswith(_KEY_TYPES):
            return words[number + 1]
    return None


def missing_keys(text: str | None, keys: Mapping[str, str]) -> list[str]:
    """Name the keys whose exact line is not in the text."""
    lines = set((text or "").splitlines())
    return sorted(name for name, line in keys.items() if line not in lines)


def shown_keys(text: str | None) -> list[str]:
    """Give the lines that hold keys, for a report of what changes."""
    return [line for line in (text or "").splitlines() if key_body(line) is not None]
