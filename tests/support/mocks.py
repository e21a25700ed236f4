"""Builds a program under Pulumi mocks and returns its graph: the one helper of all component tests.

A test written by hand against Pulumi's mocks passes easily when it is wrong: an assertion inside an ``apply`` may never
run, an output may never resolve. :func:`build` runs the program to its end in an event loop of its own, waits for every
registration, every output and every task, fails on whatever failed on the way, and hands back plain data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import yaml
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import settings, stack
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.rpc import UNKNOWN, _special_secret_sig, _special_sig_key  # the SDK exports no name for them

__all__ = ["Graph", "GraphError", "Node", "build", "render", "reveal"]

_STACK_TYPE: Final = "pulumi:pulumi:Stack"
Computed = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]
"""From type, name and inputs of a resource to the outputs that it has beside its inputs."""


class GraphError(AssertionError):
    """The program did not build, or something in it was never resolved."""


@dataclass(frozen=True, slots=True)
class Node:
    """One registered resource."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    """Inputs as plain data; a secret is ``{"secret": value}``."""
    parent: str
    """URN of the parent; empty for one without."""
    depends_on: tuple[str, ...]
    """URNs it waits for: given explicitly, or by the data it uses."""
    protect: bool
    provider: str
    """URN of the explicit provider; empty for a component or a default provider."""
    custom: bool
    ignore_changes: tuple[str, ...]
    secret_outputs: tuple[str, ...]

    def get(self, path: str) -> Any:
        """Read an input by a dotted path, list items by number. A missing step is an error, not ``None``."""
        value: Any = self.inputs
        for step in path.split("."):
            value = reveal(value)
            try:
                value = value[int(step)] if isinstance(value, list) else value[step]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                message = f"{self.type} {self.name!r} has no input {path!r}; it has {sorted(self.inputs)}"
                raise GraphError(message) from error
        return reveal(value)

    def is_secret(self, path: str) -> bool:
        """Whether the input at ``path``, or something around it, is a secret."""
        value: Any = self.inputs
        for step in path.split("."):
            if isinstance(value, dict) and set(value) == {"secret"}:
                return True
            value = value[int(step)] if isinstance(value, list) else value[step]
        return isinstance(value, dict) and set(value) == {"secret"}


def reveal(value: Any) -> Any:
    """Take a value out of the wrapper of a secret."""
    return value["secret"] if isinstance(value, dict) and set(value) == {"secret"} else value


@dataclass(frozen=True, slots=True)
class Graph:
    """All resources of a program and the values it returned."""

    nodes: tuple[Node, ...]
    exports: Mapping[str, Any]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def all(self, type_: str, name: str | None = None) -> tuple[Node, ...]:
        """Find the resources of a type; ``name`` is the logical name."""
        return tuple(node for node in self.nodes if node.type == type_ and name in {None, node.name})

    def one(self, type_: str, name: str | None = None) -> Node:
        """Find exactly one resource; anything else is an error that lists what there is."""
        found = self.all(type_, name)
        if len(found) != 1:
            known = "\n  ".join(sorted(f"{node.type} {node.name}" for node in self.nodes))
            message = f"{len(found)} resources are {type_} {name or '(any name)'}; there are:\n  {known}"
            raise GraphError(message)
        return found[0]

    def waits_for(self, node: Node, other: Node) -> bool:
        """Whether ``node`` is built after ``other``, directly or through others."""
        by_urn = {each.urn: each for each in self.nodes}
        seen: set[str] = set()
        queue = list(node.depends_on)
        while queue:
            urn = queue.pop()
            if urn == other.urn:
                return True
            if urn not in seen and urn in by_urn:
                seen.add(urn)
                queue += by_urn[urn].depends_on
        return False


def build(
    program: Callable[[], Mapping[str, Any] | None],
    *,
    computed: Computed | None = None,
    project: str = "factory",
    stack_name: str = "test",
) -> Graph:
    """Run ``program`` under mocks and return its graph.

    ``program`` may return values, which must all resolve. ``computed`` adds outputs that a real provider would compute.
    Raises :class:`GraphError` if a resource, an ``apply``, a task or a returned value fails, or stays unknown; the
    program's own exception while it declares resources passes through.
    """
    return asyncio.run(_build(program, _Monitor(computed, project, stack_name), project, stack_name))


async def _build(
    program: Callable[[], Mapping[str, Any] | None], monitor: _Monitor, project: str, stack_name: str
) -> Graph:
    tasks = _watch_tasks()
    settings.set_root_resource(None)  # type: ignore[arg-type]  # what an earlier program left belongs to another loop
    settings.SETTINGS.outputs.clear()
    settings.SETTINGS.rpc_manager.clear()
    pulumi.runtime.set_mocks(monitor.mocks, project=project, stack=stack_name, preview=False, monitor=monitor)
    exports: dict[str, Any] = {}
    declared: Mapping[str, Any] = {}

    async def run() -> None:
        nonlocal declared
        declared = program() or {}

    await _finished("declaring", stack.run_pulumi_func(run), passes=True)
    for name, value in declared.items():
        output = pulumi.Output.from_input(value)
        resolved = await _finished(f"returned value {name!r}", output.future(with_unknowns=True))
        if not await output.is_known() or _contains(resolved, UNKNOWN):
            message = f"returned value {name!r} is unknown"
            raise GraphError(message)
        exports[name] = {"secret": resolved} if await output.is_secret() else resolved
    await _finished("the rest", stack.wait_for_rpcs())
    for task in tasks:
        if not task.done():
            await _finished("a task which the program started and did not await", task)
        elif task._log_traceback:  # asyncio's own mark of an exception that nobody looked at
            await _finished("a task whose failure the program did not notice", task)
    return Graph(nodes=tuple(monitor.nodes), exports=exports)


def _watch_tasks() -> list[asyncio.Task[Any]]:
    """Keep every task of this loop, so that none fails unseen."""
    tasks: list[asyncio.Task[Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        tasks.append(task)
        return task

    running = asyncio.get_running_loop()
    running.set_task_factory(factory)
    # Failures are looked for here; asyncio would report them once more, whenever the garbage is collected.
    running.set_exception_handler(lambda _loop, _context: None)
    return tasks


async def _finished(what: str, work: Any, *, passes: bool = False) -> Any:
    try:
        return await work
    except GraphError:
        raise
    except Exception as error:
        if passes and not isinstance(error, AssertionError):
            raise
        message = f"{what}: {type(error).__name__}: {error}"
        raise GraphError(message) from error


def _contains(value: Any, wanted: object) -> bool:
    if isinstance(value, dict):
        return any(_contains(item, wanted) for item in value.values())
    if isinstance(value, list):
        return any(_contains(item, wanted) for item in value)
    return bool(value is wanted or (isinstance(value, str) and value == wanted))


class _Unused(pulumi_mocks.Mocks):
    """What Pulumi's monitor asks; ours answers by itself."""

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        raise NotImplementedError

    def call(self, args: pulumi_mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError


class _Monitor(pulumi_mocks.MockMonitor):
    """Records whole requests (Pulumi's mocks do not see options) and answers each with its inputs."""

    def __init__(self, computed: Computed | None, project: str, stack_name: str) -> None:
        super().__init__(_Unused())
        self.nodes: list[Node] = []
        self._computed = computed
        self._prefix = f"urn:pulumi:{stack_name}::{project}::"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name is Pulumi's
        """Record a resource and echo its inputs, as a provider does."""
        urn = self._urn(request.parent, request.type, request.name)
        if request.type == _STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        if any(node.urn == urn for node in self.nodes):
            message = f"two resources have the URN {urn}"
            raise GraphError(message)
        inputs = _plain(json_format.MessageToDict(request.object))
        if _contains(inputs, UNKNOWN):
            message = f"{request.type} {request.name!r} has an unknown input: {inputs}"
            raise GraphError(message)
        self.nodes.append(
            Node(
                urn=urn,
                type=request.type,
                name=request.name,
                inputs=inputs,
                parent="" if _STACK_TYPE in request.parent else request.parent,
                depends_on=tuple(sorted(request.dependencies)),
                protect=request.protect,
                provider=request.provider.rpartition("::")[0],
                custom=request.custom,
                ignore_changes=tuple(request.ignoreChanges),
                secret_outputs=tuple(sorted(request.additionalSecretOutputs)),
            )
        )
        answer = struct_pb2.Struct()
        answer.CopyFrom(request.object)
        extra = {name: f"{name}-of-{request.name}" for name in request.additionalSecretOutputs}
        if self._computed is not None:
            extra |= self._computed(request.type, request.name, inputs)
        for name, value in extra.items():
            answer.update({name: _secret(value) if name in request.additionalSecretOutputs else value})
        return resource_pb2.RegisterResourceResponse(urn=urn, id=f"{request.name}-id", object=answer)

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the name is Pulumi's
        """Refuse look-ups: a component gets what it needs as arguments."""
        message = f"the program called {request.tok}: a component gets what it needs as arguments"
        raise GraphError(message)

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 - the name is Pulumi's
        """Refuse to adopt what is not declared."""
        message = f"the program reads {request.type} {request.name}: a component declares"
        raise GraphError(message)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the name is Pulumi's
        """Refuse a component output which never resolves."""
        outputs = _plain(json_format.MessageToDict(request.outputs))
        if _contains(outputs, UNKNOWN):
            message = f"{request.urn} registered an unknown output: {outputs}"
            raise GraphError(message)
        return empty_pb2.Empty()

    def _urn(self, parent: str, type_: str, name: str) -> str:
        chain = parent.split("::")[2] if parent else ""
        qualified = type_ if chain in {"", _STACK_TYPE} else f"{chain}${type_}"
        return f"{self._prefix}{qualified}::{name}"


def _secret(value: Any) -> dict[str, Any]:
    return {_special_sig_key: _special_secret_sig, "value": value}


def _plain(value: Any) -> Any:
    """Turn wire values into plain data: a secret becomes ``{"secret": value}``, a whole number an ``int``."""
    if isinstance(value, dict):
        if value.get(_special_sig_key) == _special_secret_sig:
            return {"secret": _plain(value["value"])}
        return {key: _plain(item) for key, item in value.items() if key != "__provider"}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def render(graph: Graph, *, providers: bool = True) -> str:
    """Write a graph as sorted, readable YAML for a snapshot; a secret shows as ``<secret>``, references by name."""
    by_urn = {node.urn: f"{node.type} {node.name}" for node in graph}
    entries = []
    for node in sorted(graph, key=lambda each: (each.type, each.name, each.urn)):
        if not providers and node.type.startswith("pulumi:providers:"):
            continue
        entry: dict[str, Any] = {"type": node.type, "name": node.name}
        optional = {
            "parent": by_urn.get(node.parent),
            "provider": by_urn.get(node.provider, node.provider) if node.provider else None,
            "protect": node.protect or None,
            "depends_on": sorted(by_urn.get(urn, urn) for urn in node.depends_on) or None,
            "ignore_changes": list(node.ignore_changes) or None,
            "inputs": _masked(dict(node.inputs)) or None,
        }
        entries.append(entry | {key: value for key, value in optional.items() if value is not None})
    return yaml.dump(entries, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"secret"}:
            return "<secret>"
        return {key: _masked(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, and no anchors: both make a difference readable."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
