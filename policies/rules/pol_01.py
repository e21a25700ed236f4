"""POL-01: in a sandbox stack no input of a resource or provider names a production machine (SBX-10, SBX-18, CPL-30).

Addresses are found at any depth and inside URLs, networks, ranges and kubeconfigs; a host name counts when it is
one of production's or was resolved to production's address. `i_mean_prod` lifts the rule, but never for DNS, mail,
Vault and state. A container image may name production's registry: the sandbox may pull from it.
"""

import re
from collections.abc import Iterator
from itertools import chain

from policies.facts import Facts
from policies.production import find_production
from policies.rules.rule import Rule, Violation
from policies.view import Path, ResourceView

# DNS, mail, Vault and state: here the operator's word does not count.
_NEVER_LIFTED = (
    "cloudflare:",
    "gcp:",
    "kubernetes:secrets.hashicorp.com/",
    "ovh:",
    "pulumi:pulumi:StackReference",
    "vault:",
)

# A registry's host name (never an address), the repository, and perhaps a tag and a digest.
_IMAGE = re.compile(r"(?=[^/]*[A-Za-z])[\w-]+(?:\.[\w-]+)+(?::\d+)?/([\w./-]+(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?)")


def _applies(resource: ResourceView, facts: Facts) -> bool:
    return facts.in_sandbox and not (facts.i_mean_prod and _can_be_lifted(resource))


def _can_be_lifted(resource: ResourceView) -> bool:
    token = f"{resource.package}:" if resource.is_provider else resource.type
    return not token.startswith(_NEVER_LIFTED)


def _check(resource: ResourceView, facts: Facts) -> Iterator[Violation]:
    fix = "Use an address of the sandbox, or set factory:i_mean_prod if production is really meant."
    if not _can_be_lifted(resource):
        fix = "Use an address of the sandbox; i_mean_prod does not count for DNS, mail, Vault and state."
    for path, text in chain(resource.texts(), resource.keys()):
        for mark in find_production(_without_registry(path, text), facts):
            yield Violation(path, f"a sandbox stack names {mark}", fix)


def _without_registry(path: Path, text: str) -> str:
    image = _IMAGE.fullmatch(text) if path[-1] == "image" else None
    return image.group(1) if image else text


RULE = Rule(
    id="POL-01",
    description="A sandbox stack names no production machine.",
    applies=_applies,
    check=_check,
)
