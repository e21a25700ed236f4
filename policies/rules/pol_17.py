"""POL-17: no credential stands where everybody can read it: in a ConfigMap, or in the plain environment of a pod.

A credential is known by its form (a URL with a password, a private key) or by the name it stands under (CHART-40). The
engine does not tell a pack which values are secret, so this finds mistakes and is no proof of their absence.
"""

import re
from collections.abc import Iterator

from policies.facts import Facts
from policies.rules.rule import Rule, Violation
from policies.view import Path, ResourceView

_CONFIG_MAP = re.compile(r"kubernetes:core/v1:ConfigMap(Patch)?")
# A password that is a reference ($NAME, ${NAME}, {{ name }}) is filled in elsewhere.
_URL_WITH_PASSWORD = re.compile(r"\w://[^\s/:@]*:(?![$%{<])[^\s/@]+@")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_REFERENCE = re.compile(r"[$%{<].*")
_TELLING_NAME = re.compile(
    r"(?:.*[_.-])?(?:password|passwd|token|secret|(?:api|access|private|secret)[_-]?key)", re.IGNORECASE
)


def _applies(resource: ResourceView, facts: Facts) -> bool:
    del facts
    return resource.package == "kubernetes" and not resource.is_provider and any(_open_values(resource))


def _check(resource: ResourceView, facts: Facts) -> Iterator[Violation]:
    del facts
    for path, name, value in _open_values(resource):
        form = _form(name, value)
        if form is not None:
            yield Violation(path, f"{form} can be read by everybody who can read this object", "Move it into a Secret.")


def _open_values(resource: ResourceView) -> Iterator[tuple[Path, str, str]]:
    """Yield what is not meant to be secret: where it stands, the name it has, its text."""
    texts = list(resource.texts())
    names = {path[:-1]: text for path, text in texts if path[-1] == "name"}
    config_map = _CONFIG_MAP.fullmatch(resource.type)
    for path, text in texts:
        if config_map:
            if path[0] == "data":
                yield path, str(path[-1]), text
        elif path[-1] == "value" and "env" in path[-3:-1]:
            yield path, names.get(path[:-1], ""), text


def _form(name: str, value: str) -> str | None:
    if _URL_WITH_PASSWORD.search(value):
        return "a URL with a password"
    if _PRIVATE_KEY.search(value):
        return "a private key"
    if _TELLING_NAME.fullmatch(name) and value and not _REFERENCE.fullmatch(value):
        return "what is named like a credential"
    return None


RULE = Rule(
    id="POL-17",
    description="No credential stands in a ConfigMap or in the plain environment of a pod.",
    applies=_applies,
    check=_check,
)
