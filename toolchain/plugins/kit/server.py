"""The gRPC service between the engine and a plugin's handlers, the same for every plugin.

It checks what comes in against the SDK's types, keeps secrets marked, and answers a failure with one clean sentence:
an exception's traceback never reaches the user.
"""

import functools
import importlib.util
import json
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2, struct_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from .diff import Change, Diff, parse_path
from .handler import Backend, Context, Failure, Handler, InitializationError, Provider, ProviderError
from .values import ForeignValueError, Paths, Properties, decode, encode

MESSAGE_LIMITS: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

_ENGINE_KEYS: Final = ("version", "pluginDownloadURL", "__internal", "__defaults")
"""What the engine itself adds to a provider's configuration."""
_KINDS: Final = {
    Change.ADD: (provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.ADD_REPLACE),
    Change.DELETE: (provider_pb2.PropertyDiff.DELETE, provider_pb2.PropertyDiff.DELETE_REPLACE),
    Change.UPDATE: (provider_pb2.PropertyDiff.UPDATE, provider_pb2.PropertyDiff.UPDATE_REPLACE),
}

_Response = TypeVar("_Response")
_Method = Callable[[Any, Any, grpc.ServicerContext], _Response]


def _answer(method: _Method[_Response]) -> _Method[_Response]:
    """Turn an exception of a handler into the status which the engine shows as one sentence."""

    @functools.wraps(method)
    def answer(self: "Server", request: Any, rpc: grpc.ServicerContext) -> _Response:  # noqa: ANN401 any request
        try:
            return method(self, request, rpc)
        except InitializationError as error:
            self.abort_partial(error, request, rpc)
        except (ProviderError, ForeignValueError) as error:
            rpc.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Exception as error:  # noqa: BLE001 its text is not told: it may hold a secret
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
            message = f"the local {self.name} plugin failed by a mistake of its own: {type(error).__name__} at {place}."
            rpc.abort(grpc.StatusCode.UNKNOWN, message)
        raise AssertionError  # abort() never returns

    return answer


class Server(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one :class:`Provider` to one engine."""

    def __init__(self, provider: Provider, engine_address: str = "") -> None:
        self.provider = provider
        # Found without importing the package, which takes long and may not be needed.
        found = importlib.util.find_spec(provider.package)
        assert found is not None and found.origin is not None  # noqa: S101, PT018 - it is installed
        plugin = json.loads(Path(found.origin).with_name("pulumi-plugin.json").read_text("utf-8"))
        self.name: str = plugin["name"]
        self.version: str = plugin["version"]
        self.cancelled = threading.Event()
        self._backend: Backend | None = None
        self._engine: engine_pb2_grpc.EngineStub | None = None
        self._connect(engine_address)

    # -- the provider itself

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, rpc: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Agree on what both sides understand: secrets, and no other strongly typed values."""
        del rpc
        self._connect(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: empty_pb2.Empty, rpc: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Tell the version, which is the one of the installed SDK."""
        del request, rpc
        return plugin_pb2.PluginInfo(version=self.version)

    @_answer
    def CheckConfig(self, request: provider_pb2.CheckRequest, rpc: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Validate the provider's configuration."""
        del rpc
        config = self._config(request.news)
        failures = self.provider.types.config(config) or self.provider.check_config(config)
        return provider_pb2.CheckResponse(inputs=request.news, failures=map(_failure, failures))

    @_answer
    def DiffConfig(self, request: provider_pb2.DiffRequest, rpc: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare configurations; a change replaces no resource."""
        del rpc
        return _diff(Diff.between(self._config(request.old_inputs), self._config(request.news)))

    @_answer
    def Configure(
        self, request: provider_pb2.ConfigureRequest, rpc: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take the configuration."""
        del rpc
        self._backend = self.provider.configure(self._config(request.args))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Cancel(self, request: empty_pb2.Empty, rpc: grpc.ServicerContext) -> empty_pb2.Empty:
        """Let long waits end."""
        del request, rpc
        self.cancelled.set()
        return empty_pb2.Empty()

    # -- functions

    @_answer
    def Invoke(self, request: provider_pb2.InvokeRequest, rpc: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        """Call a function."""
        del rpc
        arguments, _ = decode(request.args)
        failures = self.provider.types.function(request.tok, arguments)
        if failures:
            return provider_pb2.InvokeResponse(failures=map(_failure, failures))
        function = self._configured.functions.get(request.tok)
        if function is None:
            raise ProviderError(f"{request.tok} is not served by the local {self.name} plugin.")
        context = Context(request.tok, preview=request.preview, cancelled=self.cancelled)
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(encode(function(context, arguments)))
        return response

    # -- resources

    @_answer
    def Check(self, request: provider_pb2.CheckRequest, rpc: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Validate inputs, first against the SDK's types, and fill in defaults."""
        del rpc
        olds, _ = decode(request.olds)
        news, secrets = decode(request.news)
        context = self._context(request, secrets, seed=request.randomSeed)
        failures = self.provider.types.resource(context.token, news)
        if not failures:
            news, failures = self._handler(context).check(context, olds, news)
        if failures:
            return provider_pb2.CheckResponse(inputs=request.news, failures=map(_failure, failures))
        # The engine stores these inputs: what is always secret is marked here too, however it was given.
        return provider_pb2.CheckResponse(inputs=self._marked(context, news, secrets))

    @_answer
    def Diff(self, request: provider_pb2.DiffRequest, rpc: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Tell what differs, by exact property path."""
        del rpc
        context = self._context(request)
        old_inputs, old_outputs, news = (decode(part)[0] for part in (request.old_inputs, request.olds, request.news))
        return _diff(self._handler(context).diff(context, request.id, old_inputs, old_outputs, news))

    @_answer
    def Create(self, request: provider_pb2.CreateRequest, rpc: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make a resource, or tell in a preview what it would be."""
        del rpc
        inputs, secrets = decode(request.properties)
        context = self._context(request, secrets, preview=request.preview, timeout=request.timeout)
        identity, outputs = self._handler(context).create(context, inputs)
        return provider_pb2.CreateResponse(id=identity, properties=self._marked(context, outputs, secrets))

    @_answer
    def Read(self, request: provider_pb2.ReadRequest, rpc: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Read what is really there, for a refresh or an import."""
        del rpc
        old_inputs, input_secrets = decode(request.inputs)
        old_outputs, output_secrets = decode(request.properties)
        secrets = input_secrets | output_secrets
        context = self._context(request, secrets, timeout=request.timeout)
        state = self._handler(context).read(context, request.id, old_inputs, old_outputs)
        if state is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=state.identity,
            inputs=self._marked(context, state.inputs, secrets),
            properties=self._marked(context, state.outputs, secrets),
        )

    @_answer
    def Update(self, request: provider_pb2.UpdateRequest, rpc: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Change a resource in place."""
        del rpc
        old_inputs, _ = decode(request.old_inputs)
        old_outputs, output_secrets = decode(request.olds)
        news, secrets = decode(request.news)
        context = self._context(request, secrets | output_secrets, preview=request.preview, timeout=request.timeout)
        outputs = self._handler(context).update(context, request.id, old_inputs, old_outputs, news)
        return provider_pb2.UpdateResponse(properties=self._marked(context, outputs, secrets))

    @_answer
    def Delete(self, request: provider_pb2.DeleteRequest, rpc: grpc.ServicerContext) -> empty_pb2.Empty:
        """Remove a resource."""
        del rpc
        old_inputs, secrets = decode(request.old_inputs)
        old_outputs, output_secrets = decode(request.properties)
        context = self._context(request, secrets | output_secrets, timeout=request.timeout)
        self._handler(context).delete(context, request.id, old_inputs, old_outputs)
        return empty_pb2.Empty()

    # -- how it is done

    def abort_partial(self, error: InitializationError, request: Any, rpc: grpc.ServicerContext) -> NoReturn:  # noqa: ANN401 one of three requests
        """Fail so that the engine keeps the state of what exists."""
        given = {"CreateRequest": "properties", "UpdateRequest": "news", "ReadRequest": "inputs"}
        inputs, secrets = decode(getattr(request, given[request.DESCRIPTOR.name]))
        context = self._context(request, secrets)
        detail = any_pb2.Any()
        detail.Pack(
            provider_pb2.ErrorResourceInitFailed(
                id=error.identity,
                properties=self._marked(context, error.outputs, secrets),
                inputs=self._marked(context, inputs if error.inputs is None else error.inputs, secrets),
                reasons=error.reasons,
            )
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error), details=[detail])
        rpc.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        rpc.abort(grpc.StatusCode.UNKNOWN, str(error))
        raise AssertionError

    @property
    def _configured(self) -> Backend:
        if self._backend is None:
            raise ProviderError(f"the {self.name} provider was asked for a resource before it was configured.")
        return self._backend

    def _handler(self, context: Context) -> Handler:
        return self._configured.handler(context.token)

    def _config(self, struct: struct_pb2.Struct) -> Properties:
        config, _ = decode(struct)
        return self.provider.types.parse_config({key: config[key] for key in config if key not in _ENGINE_KEYS})

    def _marked(self, context: Context, values: Mapping[str, Any], secrets: Paths) -> struct_pb2.Struct:
        return encode(values, secrets | self._handler(context).secrets(context.token, context.secret_inputs))

    def _context(
        self,
        request: Any,  # noqa: ANN401 any request about a resource
        secret_inputs: Paths = frozenset(),
        *,
        preview: bool = False,
        timeout: float = 0,
        seed: bytes = b"",
    ) -> Context:
        urn = request.urn
        return Context(
            token=urn.split("::")[2].split("$")[-1],
            urn=urn,
            preview=preview,
            timeout=timeout or None,
            secret_inputs=secret_inputs,
            seed=seed,
            cancelled=self.cancelled,
            log=functools.partial(self._log, urn, engine_pb2.INFO),
            warn=functools.partial(self._log, urn, engine_pb2.WARNING),
            status=functools.partial(self._log, urn, engine_pb2.INFO, ephemeral=True),
        )

    def _connect(self, address: str) -> None:
        if address and self._engine is None:
            self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, options=MESSAGE_LIMITS))

    def _log(
        self, urn: str, severity: "engine_pb2.LogSeverity.ValueType", message: str, *, ephemeral: bool = False
    ) -> None:
        if self._engine is None:
            return
        try:
            self._engine.Log(
                engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral), timeout=5
            )
        except grpc.RpcError:
            self._engine = None  # the engine is gone or going; a message is not worth a failure


def _failure(failure: Failure) -> provider_pb2.CheckFailure:
    return provider_pb2.CheckFailure(property=failure.path, reason=failure.reason)


def _diff(diff: Diff) -> provider_pb2.DiffResponse:
    replaces = set(diff.replaces)
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if diff.detailed else provider_pb2.DiffResponse.DIFF_NONE,
        hasDetailedDiff=True,
        detailedDiff={
            path: provider_pb2.PropertyDiff(kind=_KINDS[change][path in replaces], inputDiff=True)
            for path, change in diff.detailed.items()
        },
        diffs=_roots(diff.detailed),
        replaces=_roots(replaces),
        deleteBeforeReplace=diff.delete_before_replace,
    )


def _roots(paths: Mapping[str, Any] | set[str]) -> list[str]:
    return sorted({str(parse_path(path)[0]) for path in paths})
