"""The rules, one module each, and the one function that asks them."""

from typing import Final

from policies.facts import Facts
from policies.rules import pol_01, pol_02, pol_03, pol_11, pol_15, pol_17, pol_30, pol_33, pol_34
from policies.rules.rule import Rule, Violation
from policies.view import ResourceView

__all__ = ["RULES", "Rule", "Violation", "judge"]

RULES: Final[tuple[Rule, ...]] = tuple(
    module.RULE for module in (pol_30, pol_01, pol_02, pol_03, pol_11, pol_15, pol_17, pol_33, pol_34)
)

_UNDECIDED = Violation((), "the rule cannot decide, the policy pack's configuration is incomplete", "See POL-30.")


def judge(rule: Rule, resource: ResourceView, facts: Facts) -> list[Violation] | None:
    """Ask one rule about one resource; None means that the rule is not about it.

    With incomplete facts nothing can be decided: each rule refuses the root stack, which ends the run there.
    """
    if facts.problems and not rule.judges_facts:
        return [_UNDECIDED] if resource.is_root_stack else None
    if not rule.applies(resource, facts):
        return None
    return list(rule.check(resource, facts))
