"""Text of configuration files: templates for what nginx and its like read, serializers for the rest. Pure."""

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["digest", "env_file", "filled", "json_text", "script", "secret_digest", "template", "yaml_text"]

_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = Environment(  # noqa: S701 - configuration files, no HTML: escaping would corrupt them
    loader=FileSystemLoader(_HERE / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1}


class _Dumper(yaml.SafeDumper):
    """Indented lists, text of several lines as a block, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - the signature is PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002 - PyYAML's
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def template(name: str, **values: object) -> str:
    """Fill the template ``<name>.j2``; a value that is missing is an error."""
    return _TEMPLATES.get_template(f"{name}.j2").render(values)


def script(name: str) -> str:
    """Read a program of ours that runs on the device."""
    return (_HERE / name).read_text(encoding="utf-8")


def yaml_text(value: object) -> str:
    """Write YAML; maps keep their order."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def json_text(value: object) -> str:
    """Write JSON; maps keep their order."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def env_file(values: Mapping[str, str]) -> str:
    """Write variables for a container.

    Raises ValueError for a value that the format cannot hold, without telling it.
    """
    for name, value in values.items():
        # In single quotes a backslash is one, but before the closing quote Compose takes both for an inner quote.
        if value.endswith("\\") or any(character in value for character in "'\n\0"):
            wrong = "holds a single quote or a line break, or ends with a backslash"
            message = f"the value of {name} {wrong}: give one without"
            raise ValueError(message)
    return "".join(f"{name}='{values[name]}'\n" for name in sorted(values))


def filled(content: Any, secrets: Mapping[str, str], values: Mapping[str, str]) -> Any:  # noqa: ANN401 - any document
    """Put secrets into a document: ``secrets`` maps a dotted key to a name, ``values`` the name to the secret."""
    for key, name in secrets.items():
        content = _put(content, key.split("."), values[name])
    return content


def digest(*texts: str) -> str:
    """Give a short mark that changes with the texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def secret_digest(purpose: str, value: str) -> str:
    """Give a mark of a secret that may be seen: finding the secret by trying costs too much."""
    return _scrypt(purpose, value, **_SCRYPT)


@functools.cache
def _scrypt(purpose: str, value: str, **cost: int) -> str:
    return hashlib.scrypt(value.encode(), salt=purpose.encode(), dklen=8, **cost).hex()


def _put(content: Any, keys: list[str], value: str) -> dict[str, Any]:  # noqa: ANN401 - any document
    there: dict[str, Any] = dict(content) if isinstance(content, Mapping) else {}
    first, *rest = keys
    there[first] = _put(there.get(first), rest, value) if rest else value
    return there
