"""Graphs of declared applications, as the component tests look at them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from components.app_stack import AppStack, PlatformArgs
from tests.support.mocks import Graph, build
from tests.support.site import application, options, platform

Stack = Callable[..., Graph]


@pytest.fixture(scope="session")
def stack() -> Stack:
    """Build one application; keywords replace sections of its declaration."""

    def built(
        name: str = "webapp",
        *,
        site: PlatformArgs | None = None,
        secrets: dict[str, Any] | None = None,
        arguments: dict[str, Any] | None = None,
        **overrides: Any,
    ) -> Graph:
        args = application(**overrides)
        given = {key: f"value of {key}" for key in args.vault.config_keys} if secrets is None else secrets

        def program() -> dict[str, Any]:
            created = AppStack(name, args, site or platform(), kv_config=given, opts=options(), **(arguments or {}))
            return created.outputs()

        return build(program)

    return built


@pytest.fixture(scope="session")
def webapp(stack: Stack) -> Graph:
    """Hold an application with a database, delivered by this program."""
    return stack()


@pytest.fixture(scope="session")
def by_argocd(stack: Stack) -> Graph:
    """Hold the same application, delivered by ArgoCD."""
    return stack(delivery="argocd", image={})
