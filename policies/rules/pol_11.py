"""POL-11: a Kubernetes provider leads only where its environment may go (SBX-16).

The kubeconfig must be the content itself: behind a file name the API server cannot be seen. Its context is one of
the allowed, its server one of the allowed (where such a list is given) and never production's in a sandbox stack.
"""

from collections.abc import Iterator

from policies import kubeconfig
from policies.facts import Facts
from policies.production import find_production
from policies.rules.rule import Rule, Violation
from policies.view import UNKNOWN, ResourceView

_RENDERS_FILES = "renderYamlToDirectory"


def _applies(resource: ResourceView, facts: Facts) -> bool:
    del facts
    connects = _RENDERS_FILES not in resource.props
    # What is not known yet is POL-34's concern, and is judged here when `up` knows it.
    known = resource.props.get("kubeconfig") is not UNKNOWN
    return resource.is_provider and resource.package == "kubernetes" and connects and known


def _check(resource: ResourceView, facts: Facts) -> Iterator[Violation]:
    target = kubeconfig.target(resource.text("kubeconfig") or "", resource.text("context"), resource.text("cluster"))
    if target is None:
        yield Violation(
            ("kubeconfig",),
            "it holds no kubeconfig, so the API server cannot be checked",
            "Pass the content of a kubeconfig, not a file name and not nothing.",
        )
        return
    if target.context not in facts.kube_contexts:
        allowed = ", ".join(sorted(facts.kube_contexts)) or "none"
        yield Violation(
            ("context",),
            f"context {target.context!r} is not allowed in environment {facts.environment} (allowed: {allowed})",
            "Use an allowed context, or add this one to the stack's allow-list.",
        )
    yield from _check_server(target.server, facts)


def _check_server(server: str | None, facts: Facts) -> Iterator[Violation]:
    path = ("kubeconfig",)
    if server is None:
        yield Violation(
            path, "the context leads to no cluster with a server", "Name a context whose cluster is in the file."
        )
        return
    if facts.kube_servers and server.rstrip("/") not in facts.kube_servers:
        allowed = ", ".join(sorted(facts.kube_servers))
        yield Violation(
            path,
            f"its API server is not allowed in environment {facts.environment} (allowed: {allowed})",
            "Use the kubeconfig of this environment's cluster.",
        )
    if facts.in_sandbox:
        for mark in find_production(server, facts):
            yield Violation(path, f"its API server is {mark}", "Use the kubeconfig of the sandbox's cluster.")


RULE = Rule(
    id="POL-11",
    description="A Kubernetes provider uses only a context and an API server allowed in its environment.",
    applies=_applies,
    check=_check,
)
