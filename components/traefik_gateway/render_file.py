"""The same model as a file of Traefik's file provider: no limit of length, no plugin, TCP and UDP as well (TPX-246)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from .args import TransformArgs
from .findings import Finding
from .labels import Element, LabelModel, parse_labels
from .routers import own_name
from .schema import Kind, Option, Origin, Value, sort_key
from .streams import stream_elements, told_apart
from .transform import transform_all

__all__ = ["GatewayFile", "Machine", "configuration", "document", "to_yaml"]

_HEADER: Final = "# Written by factory from the labels of the machines' containers; changes are lost.\n"
_SERVER: Final = "loadbalancer.server."


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine whose containers the gateway publishes."""

    name: str
    address: str
    """The address or host name under which the gateway reaches it."""
    model: LabelModel
    args: TransformArgs


@dataclass(frozen=True, slots=True)
class GatewayFile:
    """A dynamic configuration and what there is to say about it."""

    document: Mapping[str, Any]
    findings: Mapping[str, tuple[Finding, ...]]
    """By machine."""


def configuration(machines: Sequence[Machine]) -> GatewayFile:
    """Make the configuration of a gateway: the routers of the machines, over the networks of each (TPX-246)."""
    args = {machine.name: machine.args for machine in machines}
    done = transform_all({machine.name: machine.model for machine in machines}, args)
    streams = {machine.name: stream_elements(machine.model.containers, machine.args) for machine in machines}
    apart, clashes = told_apart({name: elements for name, (elements, _) in streams.items()}, args)
    found: dict[str, Any] = {}
    said: dict[str, tuple[Finding, ...]] = {}
    for machine in machines:
        name = machine.name
        declared, _ = parse_labels(name, dict(done[name].labels))
        _merge(found, document([*declared.elements.values(), *apart[name]], machine.address))
        said[name] = (*done[name].findings, *streams[name][1], *clashes[name])
    return GatewayFile(found, said)


def to_yaml(file: Mapping[str, Any]) -> str:
    """Write a configuration as YAML, in the order it has."""
    return _HEADER + yaml.safe_dump(dict(file), sort_keys=False, allow_unicode=True, width=10**9)


def document(elements: Iterable[Element], address: str) -> dict[str, Any]:
    """Turn elements into the objects of a file, with every option of theirs that files have.

    ``address`` is where the servers are of services that name a port only. Options that are malformed or unknown are
    left out; reading the labels has told of them.
    """
    found: dict[str, Any] = {}
    for element in sorted(elements, key=lambda one: one.key):
        body = _body(element, address)
        spelled = _SPELLING.get(element.section, element.section)
        if element.section == "certificates":
            found.setdefault(element.protocol, {}).setdefault(spelled, []).append(body)
        elif body:
            found.setdefault(element.protocol, {}).setdefault(spelled, {})[element.name] = body
    return found


_SPELLING: Final = {"serverstransports": "serversTransports"}


def _body(element: Element, address: str) -> dict[str, Any]:
    body: dict[str, Any] = {}
    off = tuple(f"{path}." for path in element.options if _kind(element, path) is Kind.FLAG and not element.get(path))
    for path in sorted(element.options, key=sort_key):
        option, value = element.option(path), element.get(path)
        if option is None or value is None or option.origin in {Origin.LABEL, Origin.PLUGIN}:
            continue
        if not f"{path}.".startswith(off):
            _place(body, option, path, _referring(path, value))
    server = _server(element, address)
    if server:
        body.setdefault("loadBalancer", {})["servers"] = [server]
    return dict(_listed(body))


def _kind(element: Element, path: str) -> Kind | None:
    option = element.option(path)
    return option.kind if option else None


def _referring(path: str, value: Value) -> object:
    """Read a value for a file: what one container calls ``x@docker`` is ``x`` here; empty objects stand for flags."""
    if path == "service" and isinstance(value, str):
        return own_name(value)
    if path == "middlewares" and isinstance(value, tuple):
        return [own_name(name) for name in value]
    return list(value) if isinstance(value, tuple) else value


def _place(body: dict[str, Any], option: Option, path: str, value: object) -> None:
    """Put a value where the option's path leads, spelled as files spell it."""
    names = path.split(".")
    target: Any = body
    for place, spelled in enumerate(option.path):
        last = place == len(option.path) - 1
        name = ".".join(names[place:]) if spelled == "**" else names[place]
        key: Any = name if spelled in {"*", "**"} else spelled.removesuffix("[]")
        if spelled.endswith("[]"):
            items = target.setdefault(key, {})
            target, key = items, int(name.partition("[")[2].removesuffix("]"))
        if not last:
            target = target.setdefault(key, {})
        elif option.kind is Kind.FLAG:
            target.setdefault(key, {})
        else:
            target[key] = value


def _listed(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Turn what was collected by index into lists."""
    for key, value in body.items():
        if not isinstance(value, dict):
            yield key, value
        elif value and all(isinstance(index, int) for index in value):
            yield key, [dict(_listed(value[index])) for index in sorted(value)]
        else:
            yield key, dict(_listed(value))


def _server(element: Element, address: str) -> dict[str, Any]:
    """Make the server of a service that names its port or its address by label; empty for others."""
    given = {path.removeprefix(_SERVER): element.get(path) for path in element.options if path.startswith(_SERVER)}
    if element.section != "services" or not given.keys() & {"port", "url", "ip"}:
        return {}
    host = given.get("ip") or address
    place = f"[{host}]" if ":" in str(host) else str(host)
    if element.protocol != "http":
        server: dict[str, Any] = {"address": f"{place}:{given.get('port', '')}"}
        return server | ({"tls": True} if given.get("tls") is True else {})
    scheme = given.get("scheme") or "http"
    port = given.get("port") or ("443" if scheme == "https" else "80")
    server = {"url": given.get("url") or f"{scheme}://{place}:{port}"}
    more = {"weight": given.get("weight"), "preservePath": given.get("preservepath")}
    return server | {key: value for key, value in more.items() if value is not None}


def _merge(target: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add the objects of one machine; names of machines do not meet, or were told of as errors."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target.setdefault(key, value)
