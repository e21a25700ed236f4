"""Fixtures of the policy rules: a resource, the facts it is judged by, and what must be said about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from policies.facts import Facts, read_facts
from policies.rules import RULES, Rule, judge
from policies.view import UNKNOWN, ProviderView, ResourceView, Unknown, show
from toolchain.paths import ROOT

FIXTURES = ROOT / "tests" / "policies"
KINDS = ("pass", "fail", "not-applicable")


class _Loader(yaml.SafeLoader):
    """YAML with `!unknown` for a value the engine does not know yet."""


def _unknown(_loader: yaml.SafeLoader, _node: yaml.Node) -> Unknown:
    return UNKNOWN


_Loader.add_constructor("!unknown", _unknown)


def load(path: Path) -> Any:
    """Read one YAML file of the fixtures."""
    return _Loader(path.read_text("utf-8")).get_single_data()


BASE: dict[str, Any] = load(FIXTURES / "facts.yaml")


@dataclass(frozen=True)
class Fixture:
    """One file below `tests/policies/<rule>/<kind>/`."""

    path: Path

    @property
    def kind(self) -> str:
        return self.path.parent.name

    @property
    def rule(self) -> Rule:
        wanted = self.path.parent.parent.name.upper().replace("_", "-")
        return next(rule for rule in RULES if rule.id == wanted)

    def __str__(self) -> str:
        return str(self.path.relative_to(FIXTURES).with_suffix(""))

    def verdict(self, rule: Rule) -> None:
        """Judge the fixture by a rule and fail when the answer is not the one its folder and content promise."""
        content = load(self.path)
        said = judge(rule, self.resource, self.facts)
        match self.kind:
            case "not-applicable":
                assert said is None, said
            case "pass":
                assert said == [], said
            case "fail":
                assert said, f"{rule.id} lets it pass"
                assert [show(violation.path) for violation in said] == [
                    wanted["property"] for wanted in content["expect"]
                ]
                for violation, wanted in zip(said, content["expect"], strict=True):
                    for mention in wanted["mentions"]:
                        assert mention in str(violation)
                    for secret in content.get("never_shown", ()):
                        assert secret not in str(violation)

    @property
    def resource(self) -> ResourceView:
        declared = load(self.path)["resource"]
        provider = declared.get("provider")
        return ResourceView(
            declared["type"],
            declared["name"],
            declared.get("props", {}),
            ProviderView(provider["type"], provider["name"]) if provider else None,
        )

    @property
    def facts(self) -> Facts:
        content = load(self.path)
        return read_facts(content["config"] if "config" in content else BASE | content.get("facts", {}))


def fixtures(*kinds: str) -> list[Fixture]:
    """Return all fixtures of some kinds, in a steady order."""
    return [Fixture(path) for kind in kinds or KINDS for path in sorted(FIXTURES.glob(f"pol_*/{kind}/*.yaml"))]
