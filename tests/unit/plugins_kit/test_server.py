"""The service between engine and handlers, with a handler which only remembers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from toolchain.plugins.kit import (
    UNKNOWN,
    Backend,
    Context,
    Created,
    Diff,
    Failure,
    Handler,
    InitializationError,
    InputTypes,
    Path,
    Paths,
    Properties,
    Provider,
    ProviderError,
    State,
    by_token,
)
from toolchain.plugins.kit.server import Server
from toolchain.plugins.kit.values import decode, encode

TOKEN = "command:local:Command"
URN = f"urn:pulumi:dev::project::parent:type:Parent${TOKEN}::name"
SECRET: Paths = frozenset({("stdin",)})
BOTH_SECRET: Paths = frozenset({("stdin",), ("stdout",)})


class Remembering(Handler):
    """Answers with its inputs; `create` tells how to fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def check(self, context: Context, olds: Properties, news: Properties) -> tuple[Properties, list[Failure]]:
        self.calls.append(("check", context, olds, news))
        return {"dir": "/default", **news}, []

    def diff(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        self.calls.append(("diff", context, identity, old_outputs))
        return Diff.between(old_inputs, news, replace_on=["environment"])

    def create(self, context: Context, inputs: Properties) -> Created:
        self.calls.append(("create", context, inputs))
        if inputs.get("create") == "partial":
            raise InitializationError("id", {**inputs, "stdout": "half"}, ["it never became ready"])
        if inputs.get("create") == "refused":
            raise ProviderError("The backend at 127.0.0.1:1 refuses: go away.")
        if inputs.get("create") == "mistake":
            raise KeyError(inputs["stdin"])
        if inputs.get("create") == "misread":
            int(inputs["stdin"])
        return Created("" if context.preview else "id", {**inputs, "stdout": UNKNOWN if context.preview else "made"})

    def read(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> State | None:
        self.calls.append(("read", context, identity, old_inputs, old_outputs))
        return None if identity == "gone" else State(identity, {"stdin": "now"}, {"stdin": "now", "stdout": "x"})

    def update(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Properties:
        self.calls.append(("update", context, identity, old_inputs, old_outputs, news))
        return news

    def delete(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> None:
        self.calls.append(("delete", context, identity, old_inputs, old_outputs))

    def secrets(self, token: str, secret_inputs: Paths) -> frozenset[Path]:
        del token
        return frozenset({("stdout",)}) if secret_inputs else frozenset()


class Plugin(Provider):
    package = "pulumi_command"
    types = InputTypes("pulumi_command")

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.configured: Properties | None = None

    def check_config(self, config: Properties) -> list[Failure]:
        return [Failure("x", "no")] if "x" in config else []

    def configure(self, config: Properties) -> Backend:
        self.configured = config
        return Backend(by_token({TOKEN: self.handler}), {"command:local:run": lambda _c, a: {**a, "stdout": "ran"}})

    def close(self) -> None:
        """Nothing outlives it."""


@pytest.fixture
def handler() -> Remembering:
    return Remembering()


@pytest.fixture
def engine(handler: Remembering) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    server = grpc.server(ThreadPoolExecutor(4))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Server(Plugin(handler)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        stub.Configure(provider_pb2.ConfigureRequest(args=encode({"version": "1.2.1"})))
        yield stub
    server.stop(None)


def create(engine: provider_pb2_grpc.ResourceProviderStub, **inputs: Any) -> Any:
    return engine.Create(provider_pb2.CreateRequest(urn=URN, properties=encode(inputs, SECRET), timeout=7))


def test_it_says_who_it_is(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    assert engine.GetPluginInfo(empty_pb2.Empty()).version == "1.2.1"
    hands = engine.Handshake(provider_pb2.ProviderHandshakeRequest())
    assert (hands.accept_secrets, hands.accept_outputs, hands.accept_resources) == (True, False, False)
    configured = engine.Configure(provider_pb2.ConfigureRequest())
    assert (configured.acceptSecrets, configured.supportsPreview) == (True, True)


def test_types_are_checked_before_the_handler_is_asked(
    engine: provider_pb2_grpc.ResourceProviderStub, handler: Remembering
) -> None:
    bad = engine.Check(provider_pb2.CheckRequest(urn=URN, news=encode({"creat": "x"})))
    assert [(each.property, each.reason) for each in bad.failures] == [
        ("creat", f"{TOKEN} has no property creat (did you mean create?)")
    ]
    assert handler.calls == []
    good = engine.Check(provider_pb2.CheckRequest(urn=URN, news=encode({"stdin": "s"}, SECRET), randomSeed=b"seed"))
    assert decode(good.inputs) == ({"stdin": "s", "dir": "/default"}, SECRET)
    context = handler.calls[0][1]
    assert (context.token, context.name, context.urn, context.secret_inputs) == (TOKEN, "name", URN, SECRET)
    assert context.generated_name() == "name-7365656"


def test_a_secret_stays_one_and_so_does_what_follows_from_it(
    engine: provider_pb2_grpc.ResourceProviderStub, handler: Remembering
) -> None:
    answer = create(engine, stdin="s", create="x")
    assert answer.id == "id"
    assert decode(answer.properties) == ({"stdin": "s", "create": "x", "stdout": "made"}, BOTH_SECRET)
    context, inputs = handler.calls[0][1:]
    assert inputs["stdin"] == "s"
    assert (context.timeout, context.secret_inputs, context.preview) == (7, SECRET, False)


def test_a_preview_may_answer_with_unknowns(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    request = provider_pb2.CreateRequest(urn=URN, properties=encode({"stdin": UNKNOWN}), preview=True)
    answer = engine.Create(request)
    assert answer.id == ""
    assert decode(answer.properties)[0] == {"stdin": UNKNOWN, "stdout": UNKNOWN}


def test_differences_are_told_by_path_and_replaced_by_key(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    old, new = {"environment": {"A.B": "x"}, "stdin": "x"}, {"environment": {"A.B": "y"}, "dir": "/"}
    answer = engine.Diff(provider_pb2.DiffRequest(id="id", urn=URN, old_inputs=encode(old), news=encode(new)))
    kinds = provider_pb2.PropertyDiff
    assert {path: each.kind for path, each in answer.detailedDiff.items()} == {
        'environment["A.B"]': kinds.UPDATE_REPLACE,
        "stdin": kinds.DELETE,
        "dir": kinds.ADD,
    }
    assert answer.hasDetailedDiff
    assert list(answer.replaces) == ["environment"]
    assert list(answer.diffs) == ["dir", "environment", "stdin"]
    assert answer.deleteBeforeReplace
    same = engine.Diff(provider_pb2.DiffRequest(id="id", urn=URN, old_inputs=encode(old), news=encode(old)))
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_refresh_keeps_secrets_and_tells_what_is_gone(
    engine: provider_pb2_grpc.ResourceProviderStub, handler: Remembering
) -> None:
    request = provider_pb2.ReadRequest(id="id", urn=URN, inputs=encode({"stdin": "was"}, SECRET))
    found = engine.Read(request)
    assert decode(found.inputs) == ({"stdin": "now"}, SECRET)
    assert decode(found.properties)[1] == BOTH_SECRET
    assert handler.calls[0][1].secret_inputs == SECRET
    assert engine.Read(provider_pb2.ReadRequest(id="gone", urn=URN)).id == ""
    # Of an output which was secret by itself, the state alone tells.
    request = provider_pb2.ReadRequest(id="id", urn=URN, properties=encode({"stdout": "x"}, frozenset({("stdout",)})))
    assert decode(engine.Read(request).properties)[1] == {("stdout",)}


def test_update_and_delete_know_the_old_state(
    engine: provider_pb2_grpc.ResourceProviderStub, handler: Remembering
) -> None:
    engine.Update(
        provider_pb2.UpdateRequest(
            id="id", urn=URN, olds=encode({"o": 1}), old_inputs=encode({"i": 1}), news=encode({"n": 1})
        )
    )
    engine.Delete(
        provider_pb2.DeleteRequest(id="id", urn=URN, properties=encode({"o": 1}), old_inputs=encode({"i": 1}))
    )
    assert [call[2:] for call in handler.calls] == [("id", {"i": 1}, {"o": 1}, {"n": 1}), ("id", {"i": 1}, {"o": 1})]


def test_what_may_repeat_a_secret_output_of_the_last_run_stays_secret(
    engine: provider_pb2_grpc.ResourceProviderStub, handler: Remembering
) -> None:
    """The inputs hold no secret any more, but a command sees its last output, which was made from one."""
    last = encode({"stdout": "s3cret"}, frozenset({("stdout",)}))
    news = encode({"stdin": "plain", "stdout": "was s3cret"})
    updated = engine.Update(provider_pb2.UpdateRequest(id="id", urn=URN, olds=last, news=news))
    assert decode(updated.properties)[1] == {("stdout",)}
    engine.Delete(provider_pb2.DeleteRequest(id="id", urn=URN, properties=last))
    assert [call[1].secret_inputs for call in handler.calls] == [{("stdout",)}] * 2


def test_a_failure_is_one_sentence(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        create(engine, create="refused")
    assert refused.value.code() is grpc.StatusCode.UNKNOWN
    assert refused.value.details() == "The backend at 127.0.0.1:1 refuses: go away."


@pytest.mark.parametrize(("how", "kind"), [("mistake", "KeyError"), ("misread", "ValueError")])
def test_a_mistake_of_the_plugin_tells_its_place_and_no_value(
    engine: provider_pb2_grpc.ResourceProviderStub, how: str, kind: str
) -> None:
    with pytest.raises(grpc.RpcError) as mistake:
        create(engine, create=how, stdin="a secret")
    assert f"{kind} at test_server.py:" in mistake.value.details()
    assert "a secret" not in mistake.value.details()


def test_a_value_of_a_foreign_type_is_named(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    inputs = encode({"create": {"4dabf18193072939515e22adb298388d": "of another world"}})
    with pytest.raises(grpc.RpcError) as refused:
        engine.Check(provider_pb2.CheckRequest(urn=URN, news=inputs))
    assert refused.value.details() == (
        "a value of a type which this plugin does not accept (signature of another world)"
    )


def test_what_exists_half_is_kept(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        create(engine, create="partial", stdin="s")
    details = dict(failed.value.trailing_metadata())["grpc-status-details-bin"]
    kept = provider_pb2.ErrorResourceInitFailed()
    assert status_pb2.Status.FromString(details).details[0].Unpack(kept)
    assert (kept.id, list(kept.reasons)) == ("id", ["it never became ready"])
    assert decode(kept.properties) == (
        {"create": "partial", "stdin": "s", "stdout": "half"},
        BOTH_SECRET,
    )
    assert decode(kept.inputs)[0] == {"create": "partial", "stdin": "s"}


def test_functions_are_checked_and_called(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    run = engine.Invoke(provider_pb2.InvokeRequest(tok="command:local:run", args=encode({"command": "x"})))
    assert decode(getattr(run, "return"))[0] == {"command": "x", "stdout": "ran"}
    bad = engine.Invoke(provider_pb2.InvokeRequest(tok="command:local:run", args=encode({"comand": "x"})))
    assert [each.property for each in bad.failures] == ["comand"]


def test_a_resource_which_is_not_served_is_named(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    other = URN.replace(TOKEN, "command:remote:CopyFile")
    with pytest.raises(grpc.RpcError) as refused:
        engine.Create(provider_pb2.CreateRequest(urn=other))
    assert refused.value.details() == (
        f"command:remote:CopyFile is not served by this local plugin, which has {TOKEN}."
    )


def test_configuration_is_checked_without_what_the_engine_adds(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    good = engine.CheckConfig(provider_pb2.CheckRequest(news=encode({"version": "1.2.1"})))
    assert not good.failures
    assert decode(good.inputs)[0] == {"version": "1.2.1"}
    bad = engine.CheckConfig(provider_pb2.CheckRequest(news=encode({"x": "y"})))
    assert [each.property for each in bad.failures] == ["x"]


def test_cancel_is_seen_by_handlers(engine: provider_pb2_grpc.ResourceProviderStub, handler: Remembering) -> None:
    create(engine, create="x")
    assert not handler.calls[0][1].cancelled.is_set()
    engine.Cancel(empty_pb2.Empty())
    assert handler.calls[0][1].cancelled.is_set()
