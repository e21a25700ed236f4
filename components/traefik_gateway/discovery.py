"""Which containers run on a machine, and with which labels: asked over a transport, by one fixed inspection.

The inspection prints names, states and labels only: the environment of a container, where secrets lie, stays on the
machine. It never needs a terminal (TPX-221) and finds out by itself whether the engine needs ``sudo`` (TPX-44).
"""

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from ..host.transport import HostError, Transport
from .labels import Container

__all__ = [
    "ENGINES",
    "DiscoveryError",
    "Reason",
    "containers_from",
    "discover",
    "discover_all",
    "inspection",
    "read_listing",
]

ENGINES: Final = ("docker", "podman")
"""Engines whose inspections look alike, in the order in which they are looked for (TPX-242)."""
SECONDS: Final = 60.0
"""How long one machine may take."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""More than this is no list of containers."""
_NO_ENGINE: Final = 90
_REFUSED: Final = 91
_BROKEN: Final = 92
_TITLE: Final = "factory-containers"
_END: Final = "factory-end"
_TEMPLATE: Final = (
    '{"name":{{json .Name}},"state":{{json .State.Status}},"labels":{{json .Config.Labels}},'
    '"network":{{json .HostConfig.NetworkMode}},"ports":{{json .NetworkSettings.Ports}}}'
)
_SUDOERS: Final = "ALL=(ALL) NOPASSWD: /usr/bin/docker"
_Item = TypeVar("_Item")

_SCRIPT: Final = """\
export LC_ALL=C PATH="$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
for engine in @ENGINES@; do command -v "$engine" >/dev/null 2>&1 && break; engine=; done
[ -n "$engine" ] || exit @NO_ENGINE@
list() { "$@" ps --quiet --no-trunc </dev/null; }
if ids=$(list "$engine" 2>/dev/null); then set -- "$engine"
elif command -v sudo >/dev/null 2>&1 && ids=$(list sudo -n "$engine" 2>/dev/null); then set -- sudo -n "$engine"
else
  said=$(list "$engine" 2>&1 >/dev/null)
  printf '%s\\n' "$said" >&2
  case $said in *[Pp]ermission\\ denied*) exit @REFUSED@;; esac
  exit @BROKEN@
fi
# A container that ends between the two questions is no error: ask again.
for try in 1 2 3; do
  found=
  [ -z "$ids" ] || found=$("$@" inspect --type container --format '@TEMPLATE@' $ids </dev/null) || {
    [ "$try" != 3 ] && ids=$(list "$@") && continue
    exit @BROKEN@
  }
  printf '%s %s\\n' @TITLE@ "$engine"
  [ -z "$found" ] || printf '%s\\n' "$found"
  echo @END@
  exit 0
done
"""


class Reason(StrEnum):
    """Why nothing is known of a machine's containers. None of these is "no labels" (TPX-50)."""

    UNREACHABLE = "unreachable"
    """The machine does not answer."""
    NO_ENGINE = "no-engine"
    """Neither Docker nor Podman is there (TPX-41)."""
    REFUSED = "refused"
    """The login may not use the engine (TPX-220)."""
    BROKEN = "broken"
    """The engine does not answer."""
    MALFORMED = "malformed"
    """What was answered is no list of containers (TPX-222)."""


class DiscoveryError(Exception):
    """Nothing is known of the machine's containers: one sentence with what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def inspection() -> str:
    """Return the program of the inspection, for a POSIX shell; it can be installed on the machine (TPX-208)."""
    script = _SCRIPT
    for name, value in {
        "ENGINES": " ".join(ENGINES),
        "NO_ENGINE": str(_NO_ENGINE),
        "REFUSED": str(_REFUSED),
        "BROKEN": str(_BROKEN),
        "TITLE": _TITLE,
        "END": _END,
        "TEMPLATE": _TEMPLATE,
    }.items():
        script = script.replace(f"@{name}@", value)
    return script


async def discover(transport: Transport, command: str | None = None, *, seconds: float = SECONDS) -> list[Container]:
    """Ask one machine for its running containers, sorted by name (TPX-51).

    ``command`` is a program there which prints what :func:`inspection` prints, started with ``sudo -n``. Raises
    DiscoveryError.
    """
    started = f"sudo -n -- {shlex.quote(command)}" if command else shlex.join(["sh", "-c", inspection()])
    try:
        async with asyncio.timeout(seconds):
            output, status, words = await _run(transport, started)
    except HostError as error:
        raise DiscoveryError(Reason.UNREACHABLE, str(error)) from None
    except TimeoutError:
        message = f"{transport.place}: the inspection of its containers did not end within {seconds:g} s"
        raise DiscoveryError(Reason.UNREACHABLE, message) from None
    if status != 0:
        raise _failure(transport.place, status, words)
    return read_listing(output, transport.place)


async def discover_all(
    machines: Mapping[str, _Item], ask: Callable[[_Item], Awaitable[list[Container]]]
) -> dict[str, list[Container] | DiscoveryError]:
    """Ask several machines at once; one that fails does not hide the others (TPX-196)."""

    async def one(machine: _Item) -> list[Container] | DiscoveryError:
        try:
            return await ask(machine)
        except DiscoveryError as error:
            return error

    found = await asyncio.gather(*(one(machine) for machine in machines.values()))
    return dict(zip(machines, found, strict=True))


def read_listing(output: bytes, place: str) -> list[Container]:
    """Read what the inspection printed. Raises DiscoveryError if that is cut off or something else."""
    # Only LF ends a line: a label may hold what Unicode calls a line's end.
    lines = output.decode("utf-8", "replace").removesuffix("\n").split("\n")
    if len(lines) < 2 or lines[0].partition(" ")[0] != _TITLE or lines[-1] != _END:  # noqa: PLR2004 - title and end
        raise _malformed(place, "its first or last line is missing")
    found = []
    for number, line in enumerate(lines[1:-1], 2):
        try:
            found.append(_container(json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise _malformed(place, f"line {number}: {error}") from None
    return _sorted(found)


def containers_from(text: str, place: str) -> list[Container]:
    """Read a JSON list of containers, for use without a machine (TPX-251): ``[{name, labels, state}, ...]``.

    The output of ``docker inspect`` is understood too. Raises DiscoveryError.
    """
    try:
        return _sorted([_container(_flat(item)) for item in _list(json.loads(text))])
    except (ValueError, RecursionError) as error:
        message = (
            f"{place}: no list of containers ({error}): write a JSON list of objects with name, labels and state, or "
            "what `docker inspect` prints"
        )
        raise DiscoveryError(Reason.MALFORMED, message) from None


def _list(document: object) -> list[object]:
    if not isinstance(document, list):
        raise ValueError("it is no list")  # noqa: TRY004 - a malformed text
    return document


def _sorted(containers: list[Container]) -> list[Container]:
    return sorted((each for each in containers if each.state == "running"), key=lambda each: each.name)


def _flat(item: object) -> object:
    """Turn an element of ``docker inspect``, or labels as a Compose file lists them, into the short form."""
    if not isinstance(item, Mapping):
        return item
    labels = item.get("labels")
    if isinstance(labels, list) and all(isinstance(label, str) for label in labels):
        # A value may hold any number of `=` (TPX-64).
        return {**item, "labels": {key: value for key, _, value in (label.partition("=") for label in labels)}}
    if "Name" not in item:
        return item

    def inner(section: str, key: str) -> Any:  # noqa: ANN401 - checked below
        part = item.get(section)
        return part.get(key) if isinstance(part, Mapping) else None

    return {
        "name": item["Name"],
        "labels": inner("Config", "Labels"),
        "state": inner("State", "Status") or "running",
        "network": inner("HostConfig", "NetworkMode"),
        "ports": inner("NetworkSettings", "Ports"),
    }


def _container(item: object) -> Container:
    """Raise ValueError for anything but a container."""
    if not isinstance(item, Mapping):
        raise ValueError("a container must be an object with name and labels")  # noqa: TRY004 - a malformed text
    name, labels, state = item.get("name"), item.get("labels"), item.get("state", "running")
    if not isinstance(name, str) or not name.strip("/"):
        raise ValueError("a container has no name")
    name = name.strip("/")
    labels = {} if labels is None else labels
    if not isinstance(labels, Mapping) or not all(isinstance(value, str) for value in labels.values()):
        message = f"the labels of {name!r} must be an object of texts"
        raise ValueError(message)
    if not isinstance(state, str):
        message = f"the state of {name!r} must be a text"
        raise ValueError(message)  # noqa: TRY004 - a malformed text
    if not _is_text(name, *labels, *labels.values()):
        message = f"{name!a} or its labels hold half a character"
        raise ValueError(message)
    return Container(name, dict(labels), state, _published(item))


def _is_text(*words: str) -> bool:
    """Whether these can be written: JSON can hold halves of characters, which nothing else can."""
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        return False
    return True


def _published(item: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return the TCP ports that others than the machine itself can reach; None if that is not known."""
    ports = item.get("ports")
    if item.get("network") == "host" or not isinstance(ports, Mapping):
        return None
    found = set()
    for port, bindings in ports.items():
        for binding in bindings if isinstance(bindings, list) and str(port).endswith("/tcp") else []:
            if not isinstance(binding, Mapping):
                continue
            address, number = str(binding.get("HostIp", "")), str(binding.get("HostPort", ""))
            if number.isdecimal() and not address.startswith("127.") and address != "::1":
                found.add(int(number))
    return tuple(sorted(found))


async def _run(transport: Transport, command: str) -> tuple[bytes, int | None, str]:
    channel = await transport.start(command)
    output = bytearray()
    try:
        while len(output) <= MAX_BYTES and (piece := await channel.receive()):
            output += piece
        if len(output) <= MAX_BYTES:
            return (bytes(output), *await channel.ended())
    except BaseException:
        channel.kill()
        raise
    channel.kill()
    raise _malformed(transport.place, f"more than {MAX_BYTES // 2**20} MiB")


def _failure(place: str, status: int | None, words: str) -> DiscoveryError:
    said = " ".join(words.split())[-300:] or "it said nothing"
    if status == _NO_ENGINE:
        message = f"{place}: neither {' nor '.join(ENGINES)} is installed; install one, or leave this guest out"
        return DiscoveryError(Reason.NO_ENGINE, message)
    if status == _REFUSED:
        message = (
            f"{place}: the login may not use the container engine ({said}): put it into the engine's group, or add a "
            f"line to sudoers like `USER {_SUDOERS}`, or install the inspection (docs/traefik-gateway.md)"
        )
        return DiscoveryError(Reason.REFUSED, message)
    if status == _BROKEN:
        return DiscoveryError(Reason.BROKEN, f"{place}: the container engine does not answer: {said}")
    return DiscoveryError(Reason.BROKEN, f"{place}: the inspection ended with status {status} ({said})")


def _malformed(place: str, what: str) -> DiscoveryError:
    message = f"{place}: what came back is no list of containers ({what}): run the inspection there by hand"
    return DiscoveryError(Reason.MALFORMED, message)
