"""What to verify on a machine, as data: a request to its agent, what must be seen, and where to look if it is not.

`./factory doctor hosts` asks them over the machine's one connection; nothing here runs anything.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import Model, Port, Seconds, about
from .args import HostStateArgs
from .args_values import AbsolutePath, Argv, State, UnitName

__all__ = ["CheckResult", "HostCheck", "as_data", "expected_of", "judge"]

_SOURCE: Final = "section 3"
_KINDS: Final = ("command", "http", "port", "unit", "file")
_PARTICULARS: Final = {"status": ("command", "http"), "insecure": ("http",), "address": ("port",)}
"""Fields that have a meaning for some questions only."""
_OK: Final = 200
_SHOWN: Final = 200
"""So much of an output is shown of a check that failed."""


Page = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+([/?][^\s#]*)?$")]
"""A web address, with or without a query."""


class HostCheck(Model):
    """One thing to verify. It changes nothing: a command must only look."""

    command: Argv | None = Field(
        default=None,
        description="A command, read by no shell, that ends with `status`.",
        json_schema_extra=about(_SOURCE),
    )
    http: Page | None = Field(
        default=None,
        description="A page that answers with `status`, asked for on the machine.",
        json_schema_extra=about(_SOURCE, unit="URL"),
    )
    port: Port | None = Field(
        default=None, description="A TCP port that accepts connections.", json_schema_extra=about(_SOURCE)
    )
    unit: UnitName | None = Field(
        default=None, description="A systemd unit that is active.", json_schema_extra=about(_SOURCE)
    )
    file: AbsolutePath | None = Field(default=None, description="A path that exists.", json_schema_extra=about(_SOURCE))
    address: str = Field(
        default="127.0.0.1",
        pattern=r"^[A-Za-z0-9_.:%-]+$",
        description="Where the port is, as the machine sees it.",
        json_schema_extra=about(_SOURCE),
    )
    insecure: bool = Field(
        default=False,
        description="Accept any certificate of the page.",
        json_schema_extra=about(_SOURCE),
    )
    status: int | None = Field(
        default=None,
        ge=0,
        le=599,
        description="Exit status of the command (0) or status of the answer (200).",
        json_schema_extra=about(_SOURCE),
    )
    contains: str | None = Field(
        default=None,
        min_length=1,
        description="What the output of the command, or the page, contains.",
        json_schema_extra=about(_SOURCE),
    )
    timeout: Seconds = Field(
        default=10, description="How long it may take.", json_schema_extra=about(_SOURCE, unit="seconds")
    )
    likely_cause: str = Field(default="", description="Where to look if it fails.", json_schema_extra=about(_SOURCE))

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            advice = f"keep one of {', '.join(given)}" if given else "add one"
            message = f"a check asks exactly one of {', '.join(_KINDS)}: {advice}"
            raise ValueError(message)
        if self.contains is not None and given[0] not in {"command", "http"}:
            message = f"a {given[0]} has no text: remove contains, or ask a command or a page"
            raise ValueError(message)
        for field, kinds in _PARTICULARS.items():
            if getattr(self, field) != type(self).model_fields[field].default and given[0] not in kinds:
                message = f"{field} says nothing about a {given[0]}: remove it, or ask a {' or '.join(kinds)}"
                raise ValueError(message)
        return self

    @property
    def kind(self) -> str:
        """Which of the questions it is."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def subject(self) -> str:
        """What is looked at, in one line."""
        value = getattr(self, self.kind)
        if self.kind == "port":
            return f"port {value} of {self.address}"
        return f"{self.kind} {' '.join(value) if isinstance(value, tuple) else value}"

    def request(self) -> dict[str, Any]:
        """Write it as the agent's protocol does (request ``check``)."""
        asked = self.model_dump(mode="json", include={self.kind, "timeout"})
        if self.kind == "port":
            asked["address"] = self.address
        if self.kind == "http":
            asked["insecure"] = self.insecure
        return asked


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of one check."""

    name: str
    subject: str
    ok: bool
    expected: str
    actual: str
    likely_cause: str
    """Empty when all is well."""


def expected_of(desired: HostStateArgs) -> dict[str, HostCheck]:
    """Derive checks from a role: what it wants to run is active, what it wants to be there exists."""
    return dict(_derived(desired))


def judge(checks: Mapping[str, HostCheck], observed: Mapping[str, Mapping[str, Any]]) -> list[CheckResult]:
    """Compare what the agent observed with what must be; a check without an observation has failed."""
    return [_judged(name, check, observed.get(name) or {}) for name, check in checks.items()]


def as_data(results: list[CheckResult]) -> list[dict[str, object]]:
    """Write results as plain values."""
    return [asdict(result) for result in results]


def _derived(desired: HostStateArgs) -> Iterator[tuple[str, HostCheck]]:
    for name, unit in desired.units.items():
        if unit.running:
            cause = f"systemctl status {name}; journalctl --unit {name}"
            yield f"unit {name}", HostCheck(unit=name, likely_cause=cause)
    for kind in ("directories", "downloads", "links", "files", "merges"):
        for path, item in getattr(desired, kind).items():
            if getattr(item, "state", State.PRESENT) is State.PRESENT:
                yield f"path {path}", HostCheck(file=path, likely_cause="not applied yet, or removed by hand: run up")


def _judged(name: str, check: HostCheck, seen: Mapping[str, Any]) -> CheckResult:
    error = seen.get("error") if seen else "nothing was observed"
    ok, actual = (False, str(error)) if error else _SEEN[check.kind](check, seen)
    expected = _EXPECTED[check.kind](check)
    return CheckResult(name, check.subject, ok, expected, actual, "" if ok else check.likely_cause)


def _command(check: HostCheck, seen: Mapping[str, Any]) -> tuple[bool, str]:
    output = str(seen["stdout"])
    right = seen["status"] == (check.status or 0) and (check.contains or "") in output
    said = (output.strip() or str(seen["stderr"]).strip())[-_SHOWN:]
    return right, f"exit status {seen['status']}{f', {said!r}' if said else ''}"


def _http(check: HostCheck, seen: Mapping[str, Any]) -> tuple[bool, str]:
    body = str(seen["body"])
    right = seen["status"] == (check.status or _OK) and (check.contains or "") in body
    return right, f"status {seen['status']}{f', {body[:_SHOWN]!r}' if body and not right else ''}"


def _port(_check: HostCheck, seen: Mapping[str, Any]) -> tuple[bool, str]:
    return bool(seen["open"]), "open" if seen["open"] else "refused"


def _unit(_check: HostCheck, seen: Mapping[str, Any]) -> tuple[bool, str]:
    # A unit that nobody knows is told apart from one that is stopped.
    state = seen["active"] if seen["load"] == "loaded" else seen["load"]
    return state == "active", f"{state} ({seen['result']})" if state == "failed" else str(state)


def _file(_check: HostCheck, seen: Mapping[str, Any]) -> tuple[bool, str]:
    return seen["type"] is not None, str(seen["type"] or "missing")


def _text(check: HostCheck, status: str) -> str:
    return f"{status}{f', containing {check.contains!r}' if check.contains else ''}"


_SEEN: Final[Mapping[str, Callable[[HostCheck, Mapping[str, Any]], tuple[bool, str]]]] = {
    "command": _command,
    "http": _http,
    "port": _port,
    "unit": _unit,
    "file": _file,
}
_EXPECTED: Final[Mapping[str, Callable[[HostCheck], str]]] = {
    "command": lambda check: _text(check, f"exit status {check.status or 0}"),
    "http": lambda check: _text(check, f"status {check.status or _OK}"),
    "port": lambda _check: "open",
    "unit": lambda _check: "active",
    "file": lambda _check: "there",
}
