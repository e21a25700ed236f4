"""The canary: the helper of all component tests fails when it should. Each program here is wrong in its own way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pulumi_vault as vault
import pytest

from tests.support.mocks import GraphError, build, render


def policy(name: str = "one", **options: Any) -> vault.Policy:
    return vault.Policy(name, name=name, policy="", opts=pulumi.ResourceOptions(**options))


def wrong(value: object) -> None:
    raise AssertionError(f"seen {value}")


class Part(pulumi.ComponentResource):
    def __init__(self, name: str, output: pulumi.Input[str]) -> None:
        super().__init__("test:index:Part", name)
        self.register_outputs({"output": output})


def failing_apply() -> None:
    policy().name.apply(wrong)


def failing_apply_of_an_apply() -> None:
    policy().name.apply(str).apply(wrong)


def failing_export() -> Mapping[str, Any]:
    return {"value": policy().name.apply(wrong)}


def failing_assertion() -> None:
    policy()
    raise AssertionError("seen")


def failing_task() -> None:
    async def later() -> None:
        await asyncio.sleep(0)
        wrong("later")

    asyncio.ensure_future(later())  # noqa: RUF006 - nobody keeps it: that is what is wrong here


def unknown_export() -> Mapping[str, Any]:
    unknown = pulumi.Output[str](set(), asyncio.sleep(0, "x"), asyncio.sleep(0, False))
    return {"value": unknown}


def unknown_input() -> None:
    unknown = pulumi.Output[str](set(), asyncio.sleep(0, "x"), asyncio.sleep(0, False))
    vault.Policy("one", name=unknown, policy="")


def unknown_component_output() -> None:
    Part("one", pulumi.Output[str](set(), asyncio.sleep(0, "x"), asyncio.sleep(0, False)))


def same_urn_twice() -> None:
    policy()
    policy()


def look_up() -> None:
    vault.get_policy_document()


@pytest.mark.parametrize(
    "program",
    [
        failing_apply,
        failing_apply_of_an_apply,
        failing_export,
        failing_assertion,
        failing_task,
        unknown_export,
        unknown_input,
        unknown_component_output,
        same_urn_twice,
        look_up,
    ],
    ids=lambda program: program.__name__,
)
def test_a_wrong_program_fails(program: Callable[[], Mapping[str, Any] | None]) -> None:
    with pytest.raises(GraphError):
        build(program)


def test_the_programs_own_refusal_passes_through() -> None:
    def program() -> None:
        raise ValueError("a bad argument")

    with pytest.raises(ValueError, match="a bad argument"):
        build(program)


def test_a_failure_leaves_nothing_for_the_next_program() -> None:
    with pytest.raises(GraphError):
        build(failing_apply)
    assert [node.name for node in build(lambda: {"id": policy("good").id})] == ["good"]


def test_a_graph_holds_what_was_declared() -> None:
    def program() -> Mapping[str, Any]:
        provider = vault.Provider("vault", address="https://vault.example.test", token=pulumi.Output.secret("t"))
        first = policy("first", provider=provider, protect=True)
        second = vault.Policy(
            "second",
            name=first.name.apply(lambda name: f"{name}-second"),
            policy=pulumi.Output.secret("text"),
            opts=pulumi.ResourceOptions(provider=provider, parent=first, protect=False, ignore_changes=["policy"]),
        )
        return {"id": second.id, "secret": second.policy, "plain": 3}

    graph = build(program)
    first, second = graph.one("vault:index/policy:Policy", "first"), graph.one("vault:index/policy:Policy", "second")
    assert (first.protect, second.protect) == (True, False)
    assert second.get("name") == "first-second"
    assert second.is_secret("policy")
    assert not second.is_secret("name")
    assert second.parent == first.urn
    assert second.urn.endswith("::vault:index/policy:Policy$vault:index/policy:Policy::second")
    assert second.provider == graph.one("pulumi:providers:vault").urn
    assert second.ignore_changes == ("policy",)
    assert graph.waits_for(second, first)
    assert not graph.waits_for(first, second)
    assert graph.exports == {"id": "second-id", "secret": {"secret": "text"}, "plain": 3}
    text = render(graph, providers=False)
    assert "depends_on:\n  - vault:index/policy:Policy first" in text
    assert "policy: <secret>" in text
    assert "pulumi:providers:vault vault" in text


def test_questions_without_an_answer_are_errors() -> None:
    graph = build(lambda: {"id": policy().id})
    with pytest.raises(
        GraphError, match=r"0 resources are other \(any name\); there are:\n  vault:index/policy:Policy one"
    ):
        graph.one("other")
    with pytest.raises(GraphError, match=r"has no input 'missing'; it has \['name', 'policy'\]"):
        graph.one("vault:index/policy:Policy").get("missing")
