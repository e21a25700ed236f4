"""POL-33: every provider is explicit, and says itself where it connects to.

A default provider, or one that lacks its address, takes it from environment variables or files of the
user, where no other rule can see it.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from policies.facts import Facts
from policies.rules.rule import Rule, Violation
from policies.view import ResourceView

# What each kind of provider must be given: every group needs one of its properties.
_REQUIRED: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "cloudflare": (("apiToken", "apiKey"),),
        "command": (),  # each command carries its own connection
        "factory-host": (),  # each host carries its own connection
        "gcp": (("project",), ("credentials", "accessToken")),
        "kubernetes": (("kubeconfig", "renderYamlToDirectory"),),
        "postgresql": (("host",),),
        "pulumi-python": (),  # dynamic resources connect by their own inputs
        "vault": (("address",),),
    }
)

_ENGINE_ITSELF = "pulumi"


def _applies(resource: ResourceView, facts: Facts) -> bool:
    del facts
    return resource.package != _ENGINE_ITSELF and (resource.is_provider or resource.provider is not None)


def _check(resource: ResourceView, facts: Facts) -> Iterator[Violation]:
    del facts
    provider = resource.name if resource.is_provider or resource.provider is None else resource.provider.name
    # The engine names its own default providers so, and takes every such name for one of them.
    if provider.startswith("default"):
        yield Violation(
            (),
            f"it uses {provider!r}, a default provider of package {resource.package}",
            'Pass an explicit provider, and keep pulumi:disable-default-providers at ["*"].',
        )
    if resource.is_provider:
        yield from _check_inputs(resource)


def _check_inputs(provider: ResourceView) -> Iterator[Violation]:
    groups = _REQUIRED.get(provider.package)
    if groups is None:
        yield Violation(
            (),
            f"nothing is known about what a provider of package {provider.package} reads from its surroundings",
            "Add the package, with the inputs which make it explicit, to policies/rules/pol_33.py.",
        )
        return
    for group in groups:
        if all(provider.props.get(key) in (None, "") for key in group):
            yield Violation(
                (group[0],),
                f"{' or '.join(group)} is not given, so the provider takes it from the environment or the user's files",
                "Give it in stacks/providers.py.",
            )


RULE = Rule(
    id="POL-33",
    description="Every provider is explicit and names what it connects to.",
    applies=_applies,
    check=_check,
)
