"""What a role's document lays claim to on its host, so that two roles never fight over one thing. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Claim", "claims", "conflicts"]

_WHOLE_PATHS: Final = ("directories", "downloads", "links", "files")
_UNIT_PARTS: Final = ("enabled", "running", "masked")


@dataclass(frozen=True)
class Claim:
    """A thing on a host and who wants what of it."""

    kind: str
    key: str
    """The item of the document."""
    thing: tuple[str, ...]
    """The thing; what another claim adds to it lies inside."""
    value: Any = None
    """What it should be, for a thing that two roles may want alike; None for one that only one may have."""

    def contradicts(self, other: "Claim") -> bool:
        """Whether both cannot be had."""
        length = min(len(self.thing), len(other.thing))
        if self.thing[:length] != other.thing[:length]:
            return False
        return self.value is None or self.value != other.value


def claims(document: Mapping[str, Mapping[str, Any]]) -> Iterator[Claim]:
    """Yield what a document claims."""
    for kind, items in document.items():
        if kind in {"confirm", "steps"}:
            continue
        for key, item in items.items():
            if kind in _WHOLE_PATHS:
                yield Claim(kind, key, ("path", key))
            elif kind == "blocks":
                yield Claim(kind, key, ("path", item["path"], "block", key))
            elif kind == "merges":
                yield from _merged(key, item)
            elif kind == "units":
                yield from _unit(key, item)
            else:
                yield Claim(kind, key, (kind, key), dict(item))


def conflicts(one: Mapping[str, Mapping[str, Any]], other: Mapping[str, Mapping[str, Any]]) -> list[Claim]:
    """Return the claims of ``one`` that cannot be had beside ``other``, one for each item."""
    theirs: dict[tuple[str, ...], list[Claim]] = {}
    for claim in claims(other):
        theirs.setdefault(claim.thing[:2], []).append(claim)
    found = {
        (claim.kind, claim.key): claim
        for claim in claims(one)
        if any(claim.contradicts(their) for their in theirs.get(claim.thing[:2], ()))
    }
    return list(found.values())


def _merged(path: str, item: Mapping[str, Any]) -> Iterator[Claim]:
    """Yield the keys that are ours; values may be given by one role only, for a merge has one owner of each."""
    for keys in [*_leaves(item.get("values") or {}), *map(tuple, item.get("absent") or ())]:
        yield Claim("merges", path, ("path", path, "key", *keys))


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from ((key, *rest) for rest in _leaves(value))
        else:
            yield (key,)


def _unit(name: str, item: Mapping[str, Any]) -> Iterator[Claim]:
    """Yield a unit's file, each drop-in, and how it runs: that two roles may want alike."""
    if item.get("unit") is not None:
        yield Claim("units", name, ("unit", name, "file"))
    for drop_in in item.get("drop_ins") or {}:
        yield Claim("units", name, ("unit", name, "drop-in", drop_in))
    for part in _UNIT_PARTS:
        if item.get(part) is not None:
            yield Claim("units", name, ("unit", name, part), item[part])
    yield Claim("units", name, ("unit", name, "state"), item.get("state", "present"))
