"""What `./factory notes` does: files in, text or JSON out; the work is in `components.traefik_gateway`."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from cli.errors import CommandError, InputError
from cli.reporting import report
from components import traefik_gateway as gateway
from components.host.remote_host import RemoteHost
from components.host.transport import Transport
from components.host.transport_local import LocalTransport
from components.host.transport_ssh import SshTransport
from components.traefik_gateway import Adopt, Container, Finding, Guest, LabelModel, NotesError, Prediction
from components.traefik_gateway.discovery import DiscoveryError, containers_from, discover
from components.traefik_gateway.findings import abbreviated, errors, warning
from components.traefik_gateway.notes import LIMIT
from components.traefik_gateway.plugin import PINNED, Version, parse_version

_HOST = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<address>\[[^\]]+\]|[^:\s]+)(?::(?P<port>\d+))?")
_ADDRESS = re.compile(r"[A-Za-z0-9_.:-]+")
_BAD = 2
"""The exit status if something has to be resolved first."""


class _Guest(BaseModel):
    """One guest in a JSON list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    vmid: int
    node: str = "node"
    notes: str = ""
    addresses: tuple[str, ...] | None = None
    kind: str = "qemu"
    running: bool = True


def render(labels: Path, mode: str, settings: Sequence[str], address: str | None, *, as_json: bool) -> int:
    """Print the gateway's labels, or with an address the file. Returns the exit status; raises InputError."""
    model, args = _model(labels), _args(mode, settings)
    if address is not None:
        if not _ADDRESS.fullmatch(address):
            raise InputError(f"--address {address!r} is no host name and no IP address")
        made = gateway.configuration([gateway.Machine(labels.stem, address, model, args)])
        if as_json:
            _json(made.document)
        else:
            _out(gateway.to_yaml(made.document))
        return _tell(made.findings[labels.stem])
    result = gateway.transform(model, args)
    text = gateway.render(result.labels)
    if len(text) > LIMIT:
        said = f"these labels have {len(text)} characters, and notes hold {LIMIT}: write the file, with --address"
        result = replace(result, findings=(*result.findings, warning("TPX-121", "", "", said)))
    if as_json:
        _json(result.as_data())
        return _BAD if result.errors else 0
    _out(text)
    _summary(model, result)
    return _tell(result.findings)


def merge(
    labels: Path, notes: Path, mode: str, settings: Sequence[str], *, block: str, adopt: str, as_json: bool
) -> int:
    """Print the merged notes. Returns the exit status; raises InputError with what is in the way."""
    if adopt not in set(Adopt):
        raise InputError(f"--adopt {adopt!r} is none of {', '.join(Adopt)}")
    result = gateway.transform(_model(labels), _args(mode, settings))
    if result.errors:
        _tell(result.findings)
        raise InputError("the labels cannot be published like this; the notes stay as they are")
    try:
        done = gateway.update(_text(notes), result.labels, block, adopt=Adopt(adopt))
    except NotesError as problem:
        raise InputError(f"{notes}: {problem}") from None
    if as_json:
        _json(
            {
                "text": done.text,
                "changed": done.changed,
                "length": len(done.text),
                "added": [list(label) for label in done.added],
                "removed": [list(label) for label in done.removed],
                "adopted": [line.key for line in done.adopted],
                "warnings": [finding.as_data() for finding in result.findings],
            }
        )
        return 0
    _out(done.text)
    report(f"{len(done.added)} labels added, {len(done.removed)} removed, {len(done.text)} characters")
    return _tell(result.findings)


def lint(guests: Sequence[Path], plugin: str | None, block: str, *, as_json: bool) -> int:
    """Print the findings. Returns the exit status; raises InputError."""
    prediction = _prediction(guests, plugin, block)
    if as_json:
        _json([finding.as_data() for finding in prediction.findings])
    else:
        _out("".join(f"{finding}\n" for finding in prediction.findings))
        report(f"{len(prediction.findings)} findings, {len(errors(prediction.findings))} of them errors")
    return _BAD if errors(prediction.findings) else 0


def predict(guests: Sequence[Path], plugin: str | None, block: str, html: Path | None, *, as_json: bool) -> int:
    """Print the routes, and write the page. Returns the exit status; raises InputError."""
    prediction = _prediction(guests, plugin, block)
    if html is not None:
        html.write_text(gateway.routes_page(prediction, "Routes of the gateway"), "utf-8")
        report(f"wrote {html}")
    if as_json:
        _json(prediction.as_data())
        return _BAD if errors(prediction.findings) else 0
    urls = {(service.guest, service.name): service.url for service in prediction.services}
    for router in prediction.routers:
        servers = " or ".join(urls.get((router.guest, name), name) for name in router.services)
        place = " ".join(router.urls) or router.rule
        _out(f"{router.name}  {place}  ->  {servers}  ({router.guest}, priority {router.priority})\n")
    report(f"{len(prediction.routers)} routers, {len(prediction.services)} services")
    return _tell(prediction.findings)


def find_containers(host: str | None, host_key: str | None, inspection: str | None, *, as_json: bool) -> int:
    """Print the containers of a machine. Returns the exit status; raises CommandError, and InputError."""
    transport = LocalTransport() if host is None else _transport(host, host_key)
    try:
        containers = asyncio.run(_ask(transport, inspection))
    except DiscoveryError as error:
        raise CommandError(str(error)) from None
    model = gateway.parse(containers)
    if as_json:
        _json([{"name": one.name, "labels": dict(one.labels), "state": one.state} for one in containers])
    else:
        _out(f"{model.discovered}\n")
        _out("".join(f"{one.name}  {', '.join(_routers(one))}\n" for one in containers))
    _tell(model.findings)
    return 0


async def _ask(transport: Transport, inspection: str | None) -> list[Container]:
    try:
        return await discover(transport, inspection)
    finally:
        await transport.close()


def _routers(container: Container) -> Iterable[str]:
    model = gateway.parse([container])
    return [name for one in model.containers for _, section, name in one.elements if section == "routers"]


def _transport(host: str, host_key: str | None) -> Transport:
    found = _HOST.fullmatch(host)
    if found is None or host_key is None:
        raise InputError(
            f"{host!r}: name the machine as USER@HOST:PORT, and its public key with --host-key (see `factory host-key`)"
        )
    named = {key: value for key, value in found.groupdict().items() if value is not None}
    named["address"] = named["address"].strip("[]")
    try:
        return SshTransport(RemoteHost.model_validate(named | {"host_key": host_key}))
    except ValidationError as problem:
        raise InputError(_problems(host, problem)) from None


def _prediction(files: Sequence[Path], plugin: str | None, block: str) -> Prediction:
    version: Version = PINNED
    try:
        version = parse_version(plugin) if plugin else PINNED
    except ValueError as problem:
        raise InputError(f"--plugin {problem}") from None
    guests = [guest for number, file in enumerate(files) for guest in _guests(file, number)]
    if twice := sorted(label for label, count in Counter(guest.label for guest in guests).items() if count > 1):
        raise InputError(f"{', '.join(twice)}: given twice; give each guest once")
    return gateway.predict(guests, version, block)


def _guests(file: Path, number: int) -> list[Guest]:
    text = _text(file)
    if file.suffix != ".json":
        return [Guest(file.stem, number, "node", text, addresses=None)]
    try:
        document = json.loads(text)
        if not isinstance(document, list):
            raise InputError(f"{file}: this is no list of guests")
        return [Guest(**_Guest.model_validate(one).model_dump()) for one in document]
    except ValidationError as problem:
        raise InputError(_problems(str(file), problem)) from None
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{file}: this is no JSON: {problem}") from None


def _model(file: Path) -> LabelModel:
    try:
        return gateway.parse(containers_from(_text(file), str(file)))
    except DiscoveryError as problem:
        raise InputError(str(problem)) from None


def _args(mode: str, settings: Sequence[str]) -> gateway.TransformArgs:
    values: dict[str, Any] = {"mode": mode}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting!r}: write it as KEY=VALUE")
        try:
            values[key] = json.loads(value)
        except ValueError:
            values[key] = value
    try:
        return gateway.TransformArgs.model_validate(values)
    except ValidationError as problem:
        raise InputError(_problems("the options", problem)) from None


def _problems(place: str, error: ValidationError) -> str:
    """Write all problems, each with its key, the value and the rule."""
    lines = [
        f"  {'.'.join(map(str, one['loc'])) or 'all'}: {abbreviated(repr(one['input']))}: {one['msg']}"
        for one in error.errors(include_url=False)
    ]
    return "\n".join([f"{place}:", *lines])


def _text(file: Path) -> str:
    """Read a file, or the input, without touching its line ends. Raises InputError."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start} is no UTF-8") from None


def _summary(model: LabelModel, result: gateway.Transformed) -> None:
    dropped = ", ".join(f"{count} {reason}" for reason, count in result.dropped.items())
    report(f"{model.discovered}; {model.counts}")
    report(
        f"{result.kept} kept, {result.distinct} distinct, {len(result.labels)} written; dropped: {dropped or 'none'}"
    )


def _tell(findings: Iterable[Finding]) -> int:
    found = list(findings)
    for finding in found:
        report(str(finding))
    return _BAD if errors(found) else 0


def _json(value: object) -> None:
    _out(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _out(text: str) -> None:
    typer.echo(text.encode(), nl=False)
