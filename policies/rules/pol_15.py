"""POL-15: a Vault policy reaches no further than it reads, and a JWT role is bound to one repository.

A `*` stands only at the end and right behind a `/`: `app*` would also open the secrets of `application` (VAULT-72). No
segment is `+`, which any application fits. No policy has `sudo`. A role checks the token's audience and claims, for any
identity of the forge has a token (VAULT-71).
"""

import json
import re
from collections.abc import Iterator

from policies.facts import Facts
from policies.rules.rule import Rule, Violation
from policies.view import ResourceView

_POLICY = "vault:index/policy:Policy"
_JWT_ROLE = "vault:jwt/authBackendRole:AuthBackendRole"

_COMMENT = re.compile(r"(?m)^\s*(?:#|//).*$")
# The word may stand in quotes, and no space needs to follow it.
_HCL_PATH = re.compile(r'\bpath"?\s*"([^"]*)"\s*\{')
_SUDO = re.compile(r'"sudo"')
_NARROW = re.compile(r"[^*]+|[^*]*[^*/]/\*")
_ANY_SEGMENT = "+"


def _applies(resource: ResourceView, facts: Facts) -> bool:
    del facts
    # Without any property a resource is shown that a run narrowed to others (`--only`, `--target`) does not make.
    return resource.type in {_POLICY, _JWT_ROLE} and bool(resource.props)


def _check(resource: ResourceView, facts: Facts) -> Iterator[Violation]:
    del facts
    if resource.type == _JWT_ROLE:
        for key, meaning in (("boundAudiences", "audience"), ("boundClaims", "repository")):
            if not resource.props.get(key):
                yield Violation((key,), f"a token of any {meaning} can log in", f"Bind the role with {key}.")
    elif (text := resource.text("policy")) is not None:
        yield from _check_policy(_COMMENT.sub("", text))


def _check_policy(text: str) -> Iterator[Violation]:
    where = ("policy",)
    paths = _paths(text)
    if not paths:
        yield Violation(where, "no path can be read from it", "Write path blocks in Vault's policy language.")
    for path in paths:
        if not _NARROW.fullmatch(path) or _ANY_SEGMENT in path.split("/"):
            yield Violation(
                where,
                f"path {path!r} reaches further than it reads",
                "Name each segment; let a * stand only at the end and right behind a /, below a named path.",
            )
    if _SUDO.search(text):
        yield Violation(where, "it grants sudo", "Name the capabilities which are needed, without sudo.")


def _paths(text: str) -> list[str]:
    """Return the paths of a policy, in either of the two languages Vault reads."""
    try:
        document = json.loads(text)
    except ValueError:
        return _HCL_PATH.findall(text)
    blocks = document.get("path") if isinstance(document, dict) else None
    return list(blocks) if isinstance(blocks, dict) else []


RULE = Rule(
    id="POL-15",
    description="Vault policies and JWT roles open one application's secrets to one repository.",
    applies=_applies,
    check=_check,
)
