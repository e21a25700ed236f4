"""POL-03: the Vault of production is configured in production stacks only (SBX-12).

That is the address of the provider, and the one a VaultConnection sends the secrets operator to.
"""

import re
from collections.abc import Iterator

from policies.facts import Environment, Facts
from policies.production import find_production
from policies.rules.rule import Rule, Violation
from policies.view import Path, ResourceView

_CONNECTION = re.compile(r"kubernetes:secrets\.hashicorp\.com/\w+:VaultConnection")


def _applies(resource: ResourceView, facts: Facts) -> bool:
    return facts.environment is not Environment.PROD and _address(resource) is not None


def _check(resource: ResourceView, facts: Facts) -> Iterator[Violation]:
    found = _address(resource)
    if found is None:
        return
    path, address = found
    for mark in find_production(address, facts):
        yield Violation(
            path,
            f"this Vault connection leads to {mark}, and environment is {facts.environment}",
            "Point factory:vault at the sandbox's own Vault; i_mean_prod does not count for Vault.",
        )


def _address(resource: ResourceView) -> tuple[Path, str] | None:
    """Return where a Vault address stands and what it is, for the resources that have one."""
    path: Path
    if resource.is_provider and resource.package == "vault":
        path, value = ("address",), resource.props.get("address")
    elif _CONNECTION.fullmatch(resource.type):
        spec = resource.props.get("spec")
        path, value = ("spec", "address"), spec.get("address") if isinstance(spec, dict) else None
    else:
        return None
    return (path, value) if isinstance(value, str) else None


RULE = Rule(
    id="POL-03",
    description="Production's Vault is managed by production stacks only.",
    applies=_applies,
    check=_check,
)
