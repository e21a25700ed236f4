"""POL-02: the PostgreSQL server of production is configured in production stacks only (SBX-14)."""

from collections.abc import Iterator

from policies.facts import Environment, Facts
from policies.production import find_production
from policies.rules.rule import Rule, Violation
from policies.view import ResourceView


def _applies(resource: ResourceView, facts: Facts) -> bool:
    return resource.is_provider and resource.package == "postgresql" and facts.environment is not Environment.PROD


def _check(resource: ResourceView, facts: Facts) -> Iterator[Violation]:
    for mark in find_production(resource.text("host") or "", facts):
        yield Violation(
            ("host",),
            f"this superuser connection leads to {mark}, and environment is {facts.environment}",
            "Point factory:postgres at the sandbox's own server.",
        )


RULE = Rule(
    id="POL-02",
    description="Production's PostgreSQL server is managed by production stacks only.",
    applies=_applies,
    check=_check,
)
