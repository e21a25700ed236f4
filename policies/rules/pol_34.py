"""POL-34: in a sandbox stack, a place that is not known yet at preview counts as production.

A place is a property whose name says host, address, zone and the like. The engine hands unknown values over as
sentinels; the Policy SDK raises when one is read and then only warns, so the pack turns them into `UNKNOWN` first.
"""

import re
from collections.abc import Iterator

from policies.facts import Facts
from policies.rules.rule import Rule, Violation
from policies.view import Path, ResourceView

_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")

_PLACE = re.compile(
    r"address(es)?|bucket|cidr|connection|domains?|endpoints?|fqdn|host(name)?s?|ips?|kubeconfig|servers?|ur[il]s?|zones?"
)
_ATTRIBUTES = frozenset({"id", "name"})


def _applies(resource: ResourceView, facts: Facts) -> bool:
    del resource
    return facts.in_sandbox


def _check(resource: ResourceView, facts: Facts) -> Iterator[Violation]:
    del facts
    for path in resource.unknowns():
        if _is_place(path):
            yield Violation(
                path,
                "where it leads is not known before the run, so a sandbox stack might reach production",
                "Build it from the stack's configuration, which is known, and not from the output of another resource.",
            )


def _is_place(path: Path) -> bool:
    """Tell whether a property is a place: `host`, `baseUrl`, `zoneId`, `addresses[0]`."""
    key = next((step for step in reversed(path) if isinstance(step, str)), "")
    words = [word.lower() for word in _WORD.findall(key)]
    if len(words) > 1 and words[-1] in _ATTRIBUTES:
        words.pop()
    return bool(words) and _PLACE.fullmatch(words[-1]) is not None


RULE = Rule(
    id="POL-34",
    description="In a sandbox stack, no host, zone or address is unknown when the run is previewed.",
    applies=_applies,
    check=_check,
)
