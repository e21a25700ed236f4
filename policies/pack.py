"""The rules as a CrossGuard policy pack: the engine's objects in, the rules' sentences out."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policies.facts import Facts, read_facts
from policies.rules import RULES, Rule, judge
from policies.view import UNKNOWN, ProviderView, ResourceView, Value

PACK_NAME: Final = "factory"


def serve() -> None:
    """Serve every rule until the engine is done."""
    PolicyPack(PACK_NAME, [_policy(rule) for rule in RULES], enforcement_level=EnforcementLevel.MANDATORY)


def _policy(rule: Rule) -> ResourceValidationPolicy:
    return ResourceValidationPolicy(rule.id, rule.description, validate=partial(_validate, rule))


def _validate(rule: Rule, args: ResourceValidationArgs, report: ReportViolation) -> None:
    resource = _view(args)
    for violation in judge(rule, resource, _facts(json.dumps(args.get_config()))) or ():
        report(str(violation), None)


@lru_cache(maxsize=1)
def _facts(config: str) -> Facts:
    """Read what each rule is given anew for each resource, and is the same in all of a run."""
    return read_facts(json.loads(config))


def _view(args: ResourceValidationArgs) -> ResourceView:
    provider = args.provider
    return ResourceView(
        type=args.resource_type,
        name=args.name,
        props=_plain_mapping(args.props),
        provider=ProviderView(provider.resource_type, provider.name) if provider else None,
    )


def _plain_mapping(values: Mapping[str, object]) -> dict[str, Value]:
    return {key: _read(values, key) for key in values}


def _read(values: Any, key: Any) -> Value:  # noqa: ANN401 - a mapping by names or a sequence by positions
    """Read one value of a container of the Policy SDK, which raises for a value not known yet."""
    try:
        return _plain(values[key])
    except UnknownValueError:
        return UNKNOWN


def _plain(value: object) -> Value:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if isinstance(value, Sequence):
        return [_read(value, index) for index in range(len(value))]
    # Assets and archives: the text, path or address they are made of.
    return {key: _plain(inner) for key, inner in vars(value).items()}
