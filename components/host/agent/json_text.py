"""JSON, by the C half of ``json`` alone: the other half imports ``re``, which would be a third of the agent's start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPACE = " \t\r\n"


class _Usual:
    """How values are read when nothing special is asked for."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int


def _refuse(value: Any) -> Any:
    message = f"{type(value).__name__} cannot be written as JSON"
    raise TypeError(message)


try:
    from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

    _usual: Any = _Usual
    _scan = make_scanner(_usual)
    _write, _write_ascii = (
        make_encoder(None, _refuse, quoted, None, ":", ",", False, False, True)  # noqa: FBT003 takes no names
        for quoted in (encode_basestring, encode_basestring_ascii)
    )
except (ImportError, TypeError):  # a Python without that half, or with another one
    import json

    def loads(text: str) -> Any:
        """Read one value; raises ValueError for anything else."""
        return json.loads(text)

    def dumps(value: Any, *, ascii_only: bool = False) -> str:
        """Write a value without spaces."""
        return json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only)

else:

    def loads(text: str) -> Any:
        """Read one value; raises ValueError for anything else."""
        text = text.strip(_SPACE)
        try:
            value, end = _scan(text, 0)
        except StopIteration:
            end = -1
        if end != len(text):
            raise ValueError("not one JSON value")
        return value

    def dumps(value: Any, *, ascii_only: bool = False) -> str:
        """Write a value without spaces."""
        return "".join((_write_ascii if ascii_only else _write)(value, 0))
