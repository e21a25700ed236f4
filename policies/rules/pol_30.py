"""POL-30: a pack that was not told everything allows nothing (fail closed).

It is asked about the root stack, the first resource of every run, so a run ends before anything is touched, and about
each provider.
"""

from collections.abc import Iterator

from policies.facts import Facts
from policies.rules.rule import Rule, Violation
from policies.view import ResourceView

_FIX = "Give the pack the file which policies.pack_config makes, with --policy-pack-config FILE."


def _applies(resource: ResourceView, facts: Facts) -> bool:
    del facts
    return resource.is_root_stack or resource.is_provider


def _check(resource: ResourceView, facts: Facts) -> Iterator[Violation]:
    del resource
    if facts.problems:
        yield Violation((), f"the policy pack's configuration is incomplete: {'; '.join(facts.problems)}", _FIX)


RULE = Rule(
    id="POL-30",
    description="Nothing is allowed unless the environment and the marks of production are known.",
    applies=_applies,
    check=_check,
    judges_facts=True,
)
