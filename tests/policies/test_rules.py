"""Every rule against every fixture, and the proof that the fixtures notice a rule which does nothing."""

from dataclasses import replace

import pytest

from policies.facts import read_facts
from policies.rules import RULES, Rule, judge
from policies.view import ROOT_STACK_TYPE, ResourceView
from tests.support.policies import BASE, FIXTURES, KINDS, Fixture, fixtures

by_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


@pytest.mark.parametrize("fixture", fixtures(), ids=str)
def test_fixture(fixture: Fixture) -> None:
    fixture.verdict(fixture.rule)


@pytest.mark.parametrize("fixture", fixtures("fail"), ids=str)
def test_fail_fixture_turns_red_without_the_body_of_its_rule(fixture: Fixture) -> None:
    idle = replace(fixture.rule, check=lambda _resource, _facts: iter(()))
    with pytest.raises(AssertionError, match="lets it pass"):
        fixture.verdict(idle)


@by_rule
def test_not_applicable_fixtures_turn_red_without_the_scope_of_their_rule(rule: Rule) -> None:
    boundless = replace(rule, applies=lambda _resource, _facts: True)
    noticed = [
        fixture
        for fixture in fixtures("not-applicable")
        if fixture.rule is rule and judge(boundless, fixture.resource, fixture.facts)
    ]
    assert noticed, "no fixture of a resource that would be a violation if the rule were about it"


@by_rule
@pytest.mark.parametrize("kind", KINDS)
def test_each_rule_has_fixtures_of_each_kind(rule: Rule, kind: str) -> None:
    assert any(fixture.rule is rule for fixture in fixtures(kind))


def test_each_fixture_belongs_to_a_rule() -> None:
    folders = {path.name for path in FIXTURES.glob("pol_*")}
    assert folders == {rule.id.lower().replace("-", "_") for rule in RULES}


@by_rule
@pytest.mark.parametrize("missing", ["environment", "fingerprints"])
def test_without_facts_each_rule_refuses_the_stack_itself(rule: Rule, missing: str) -> None:
    facts = read_facts({key: value for key, value in BASE.items() if key != missing})
    assert judge(rule, ResourceView(ROOT_STACK_TYPE, "site-sandbox"), facts)


@by_rule
def test_with_facts_no_rule_refuses_the_stack_itself(rule: Rule) -> None:
    assert not judge(rule, ResourceView(ROOT_STACK_TYPE, "site-sandbox"), read_facts(BASE))
