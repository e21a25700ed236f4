"""Configuration files of the system, from values. A control character in a value is refused: it would begin a line."""

from __future__ import annotations

from .errors import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_FIRST, _LAST = "Unit", "Install"


def unit(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Write a systemd unit or drop-in: ``Unit`` first, ``Install`` last, directives by name."""
    order = sorted(sections, key=lambda name: (name == _LAST, name != _FIRST, name))
    parts = []
    for section in order:
        lines = [f"[{line(section)}]"]
        for directive in sorted(sections[section]):
            values = sections[section][directive]
            each = values if isinstance(values, (list, tuple)) else [values]
            lines += [f"{line(directive)}={line(value)}" for value in each]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def sections(text: str) -> dict[str, dict[str, Any]]:
    """Read a unit file back, to show what it really says; what is no directive is left out."""
    found: dict[str, dict[str, Any]] = {}
    section: dict[str, Any] = {}
    for text_line in text.splitlines():
        if text_line.startswith("[") and text_line.endswith("]"):
            section = found.setdefault(text_line[1:-1], {})
        elif "=" in text_line and text_line[0] not in "#;":
            name, _, value = text_line.partition("=")
            section.setdefault(name.strip(), []).append(value.strip())
    return {
        name: {key: values[0] if len(values) == 1 else values for key, values in directives.items()}
        for name, directives in found.items()
    }


def repository(entry: Mapping[str, Any], key_path: str) -> str:
    """Write a deb822 source of packages."""
    fields = {
        "Types": "deb",
        "URIs": " ".join(entry["uris"]),
        "Suites": " ".join(entry["suites"]),
        "Components": " ".join(entry.get("components", ())),
        "Architectures": " ".join(entry.get("architectures", ())),
        "Signed-By": key_path if entry.get("signing_key") else "",
        "Trusted": "yes" if entry.get("trusted") else "",
    }
    return "".join(f"{name}: {line(value)}\n" for name, value in fields.items() if value)


def line(value: Any) -> str:
    """Give a value that fits on one line; raises Refusal for a control character in it."""
    text = str(value)
    if any(sign < " " or sign == "\x7f" for sign in text):
        raise Refusal(f"the value {text!r} holds a control character, which would begin another line: remove it")
    return text
