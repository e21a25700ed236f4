"""A local provider plugin in a process of its own, driven as the engine does: over gRPC, with the secrets marked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from toolchain.paths import ROOT
from toolchain.plugins.kit.values import Paths, Properties, decode, encode

NOTHING: Paths = frozenset()


@dataclass
class Resource:
    """What the engine keeps of a resource between two calls."""

    urn: str
    identity: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    secret_inputs: Paths = NOTHING
    secret_outputs: Paths = NOTHING
    initialization_errors: list[str] = field(default_factory=list)


class RefusedError(Exception):
    """The plugin answered with an error; its text is what a user would see."""


class CheckFailedError(RefusedError):
    """The inputs were refused: `path: reason` per line."""


class PluginProcess:
    """One configured plugin."""

    def __init__(self, package: str, port: int) -> None:
        self._package = package
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)

    def configure(self, config: Properties) -> None:
        """Check and set the configuration; everything but strings travels as JSON text, as the SDKs send it."""
        wire = encode({key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()})
        with _refusals():
            checked = self._stub.CheckConfig(provider_pb2.CheckRequest(urn=self.urn("provider", "p"), news=wire))
            _raise_failures(checked.failures)
            self._stub.Configure(provider_pb2.ConfigureRequest(args=checked.inputs, acceptSecrets=True))

    def urn(self, token: str, name: str) -> str:
        """A resource's URN."""
        return f"urn:pulumi:test::plugins::{token}::{name}"

    def check(
        self, token: str, name: str, inputs: Properties, old: Resource | None = None, secrets: Paths = NOTHING
    ) -> Resource:
        """Check inputs; returns the resource as far as it is known."""
        urn = self.urn(token, name)
        with _refusals():
            answer = self._stub.Check(
                provider_pb2.CheckRequest(
                    urn=urn,
                    news=encode(inputs, secrets),
                    olds=encode(old.inputs) if old else None,
                    randomSeed=b"\x01\x02\x03\x04",
                )
            )
        _raise_failures(answer.failures)
        checked, secret = decode(answer.inputs)
        return Resource(urn, inputs=checked, secret_inputs=secret)

    def create(
        self, token: str, name: str, inputs: Properties, *, preview: bool = False, timeout: float = 0
    ) -> Resource:
        """Check and create."""
        made = self.check(token, name, inputs)
        request = provider_pb2.CreateRequest(
            urn=made.urn, properties=encode(made.inputs, made.secret_inputs), preview=preview, timeout=timeout
        )
        with _partial(made), _refusals():
            answer = self._stub.Create(request)
            made.identity = answer.id
            made.outputs, made.secret_outputs = decode(answer.properties)
        return made

    def diff(self, old: Resource, inputs: Properties) -> provider_pb2.DiffResponse:
        """Check and compare."""
        new = self.check(old.urn.split("::")[2], old.urn.split("::")[3], inputs, old)
        with _refusals():
            answer: provider_pb2.DiffResponse = self._stub.Diff(
                provider_pb2.DiffRequest(
                    urn=old.urn,
                    id=old.identity,
                    olds=encode(old.outputs, old.secret_outputs),
                    old_inputs=encode(old.inputs, old.secret_inputs),
                    news=encode(new.inputs, new.secret_inputs),
                )
            )
            return answer

    def update(self, old: Resource, inputs: Properties, *, preview: bool = False, timeout: float = 0) -> Resource:
        """Check and change in place."""
        new = self.check(old.urn.split("::")[2], old.urn.split("::")[3], inputs, old)
        new.identity = old.identity
        with _partial(new), _refusals():
            answer = self._stub.Update(
                provider_pb2.UpdateRequest(
                    urn=old.urn,
                    id=old.identity,
                    olds=encode(old.outputs, old.secret_outputs),
                    old_inputs=encode(old.inputs, old.secret_inputs),
                    news=encode(new.inputs, new.secret_inputs),
                    preview=preview,
                    timeout=timeout,
                )
            )
            new.outputs, new.secret_outputs = decode(answer.properties)
        return new

    def read(self, old: Resource) -> Resource | None:
        """Refresh; None if it is gone."""
        found = Resource(old.urn, old.identity)
        with _partial(found), _refusals():
            answer = self._stub.Read(
                provider_pb2.ReadRequest(
                    urn=old.urn,
                    id=old.identity,
                    inputs=encode(old.inputs, old.secret_inputs),
                    properties=encode(old.outputs, old.secret_outputs),
                )
            )
            if not answer.id:
                return None
            found.identity = answer.id
            found.inputs, found.secret_inputs = decode(answer.inputs)
            found.outputs, found.secret_outputs = decode(answer.properties)
        return found

    def delete(self, old: Resource, *, timeout: float = 0) -> None:
        """Delete."""
        with _refusals():
            self._stub.Delete(
                provider_pb2.DeleteRequest(
                    urn=old.urn,
                    id=old.identity,
                    properties=encode(old.outputs, old.secret_outputs),
                    old_inputs=encode(old.inputs, old.secret_inputs),
                    timeout=timeout,
                )
            )

    def close(self) -> None:
        """End the connection."""
        self._channel.close()


@contextmanager
def plugin_process(name: str, config: Properties) -> Iterator[PluginProcess]:
    """Run `python -m toolchain.plugins.<name>`, configured."""
    with subprocess.Popen(
        [sys.executable, "-m", f"toolchain.plugins.{name}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            plugin = PluginProcess(name, int(process.stdout.readline()))
            plugin.configure(config)
            yield plugin
            plugin.close()
        finally:
            process.terminate()


def _raise_failures(failures: object) -> None:
    lines = [f"{failure.property}: {failure.reason}" for failure in failures]  # type: ignore[attr-defined]
    if lines:
        raise CheckFailedError("\n".join(lines))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        if b"ErrorResourceInitFailed" in _status_details(error):
            raise
        raise RefusedError(error.details()) from None


@contextmanager
def _partial(resource: Resource) -> Iterator[None]:
    """Keep the state which comes with a failed initialization, as the engine does."""
    try:
        yield
    except grpc.RpcError as error:
        status = status_pb2.Status.FromString(_status_details(error))
        kept = provider_pb2.ErrorResourceInitFailed()
        status.details[0].Unpack(kept)
        resource.identity = kept.id
        resource.inputs, resource.secret_inputs = decode(kept.inputs)
        resource.outputs, resource.secret_outputs = decode(kept.properties)
        resource.initialization_errors = list(kept.reasons)


def _status_details(error: grpc.RpcError) -> bytes:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return bytes(value)
    return b""
