"""The resources: every plain object of the Kubernetes API."""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from toolchain.plugins.kit import (
    UNKNOWN,
    Context,
    Created,
    Diff,
    Failure,
    Handler,
    InitializationError,
    Paths,
    Properties,
    ProviderError,
    State,
    has_unknown,
)

from . import fields
from .checking import PROPAGATION, complete
from .client import ApiError, Object, UnreachableError
from .discovery import Discovery, Kind, Resource
from .manifest import (
    MANAGER,
    PREFIX,
    SECRET,
    UNREADY,
    annotation,
    annotations_of,
    described,
    field_manager,
    is_true,
    manifest,
    metadata_of,
    outputs,
    with_string_data,
)
from .objects import ExistsError, NamespaceMissingError, Objects, Target
from .replacement import Mutability, difference
from .waiting import NotReadyError, missing_now, until_gone, until_ready

_DEFINITION = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
_NAMESPACE = Kind("", "v1", "Namespace")
_SERVER_FIELDS = ("creationTimestamp", "generation", "resourceVersion", "uid")
_REFUSALS_WHICH_MAY_PASS = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
"""Of a dry run: permissions which only the run has, and objects which the same run makes first."""


@dataclass(frozen=True)
class Options:
    """How the provider was configured."""

    namespace: str = "default"
    """Of objects which name none."""
    force: bool = False
    """Take fields over from other managers."""
    upsert: bool = False
    """Let a create take an existing object over."""
    delete_unreachable: bool = False
    show_deprecations: bool = True
    mutability: Mutability = field(default_factory=Mutability)


class KubernetesObject(Handler):
    """Any object of one cluster."""

    def __init__(self, objects: Objects, discovery: Discovery, options: Options) -> None:
        self._objects = objects
        self._discovery = discovery
        self._options = options
        self._replaced: set[str] = set()

    def check(self, context: Context, olds: Properties, news: Properties) -> tuple[Properties, list[Failure]]:
        """Fill in apiVersion, kind, name and namespace."""
        return complete(context, self._resource(context), olds, news, self._options.namespace)

    def diff(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """Compare inputs; an object which was only ever imported differs in what applying the inputs would change."""
        kind = Kind.of_token(context.token)
        if MANAGER not in old_outputs:
            # Not ours so far: fields which we do not mention are not ours to remove.
            old_inputs = self._as_wanted(context, identity, news, old_inputs)
        if not has_unknown(news) and fields.same(manifest(old_inputs), manifest(news)):
            return Diff()
        if "stringData" not in old_inputs:
            old_inputs = with_string_data(old_inputs, news)
        found = difference(kind, old_inputs, news, self._options.mutability)
        if found.replaces:
            self._replaced.add(context.urn)
        return found

    def create(self, context: Context, inputs: Properties) -> Created:
        """Create the object and wait until it is usable."""
        manager = annotation(inputs, "patchFieldManager") or field_manager(context.urn)
        if Kind.of_token(context.token) == _DEFINITION:
            self._discovery.plan(inputs)
        if context.preview:
            self._preview_create(context, inputs, manager)
            return Created("", _foreseen(inputs))
        self._discovery.await_served(Kind.of_token(context.token), context.cancelled)
        target = self._target(context, inputs)
        live = self._objects.apply(
            target,
            manifest(inputs),
            manager,
            create_only=not self._options.upsert,
            force=self._force(inputs),
            warn=self._warn(context),
        )
        return Created(target.identity, self._settled(context, target, live, inputs, manager))

    def read(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> State | None:
        """Read what is there of what we manage; without old inputs (an import), describe all of it."""
        try:
            if old_outputs and self._has_no_kind(context, identity):
                return None
            target = self._located(context, identity)
            live = self._objects.read(target)
        except UnreachableError as error:
            if not self._options.delete_unreachable:
                raise
            context.warn(f"{error} {identity} is taken for deleted (deleteUnreachable).")
            return None
        if live is None:
            return None
        manager = old_outputs.get(MANAGER)
        recovered = None
        if manager is None:
            # A run which was killed before it could write the state has left its mark on the object.
            recovered = fields.applied(live, field_manager(context.urn))
            manager = field_manager(context.urn) if recovered else None
        known = self._seen(context, target, live, old_inputs, manager) if old_inputs else None
        inputs = known or recovered or described(live)
        result = outputs(live, inputs, manager)
        # A failed wait stays a failure until the object has become usable; later trouble is not a difference.
        if old_outputs.get(UNREADY) and (missing := missing_now(self._objects, live)):
            reasons = [f"{target} is still not ready: {reason}" for reason in missing]
            raise InitializationError(target.identity, result | {UNREADY: True}, reasons, inputs)
        return State(target.identity, inputs, result)

    def update(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Properties:
        """Apply the new inputs and wait; an object which has vanished meanwhile is created again."""
        del old_inputs
        manager = annotation(news, "patchFieldManager") or old_outputs.get(MANAGER) or field_manager(context.urn)
        target = self._located(context, identity)
        if context.preview:
            if has_unknown(news):
                return old_outputs | _foreseen(news)
            live = self._dry_run(context, target, news, manager, force=self._force(news))
            return outputs(live, news, manager) if live else old_outputs | _foreseen(news)
        live = self._objects.apply(target, manifest(news), manager, force=self._force(news), warn=self._warn(context))
        return self._settled(context, target, live, news, manager)

    def delete(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> None:
        """Delete the object with what depends on it, and wait until it is gone."""
        policy = (annotation(old_inputs, "deletionPropagationPolicy") or "foreground").lower()
        try:
            if self._has_no_kind(context, identity):
                return
            target = self._located(context, identity)
            self._objects.delete(target, PROPAGATION.get(policy, "Foreground"))
            if not is_true(annotation(old_inputs, "skipAwait")):
                uid = metadata_of(old_outputs).get("uid")
                until_gone(self._objects, target, uid, context, _timeout(context, old_inputs))
        except UnreachableError as error:
            if not self._options.delete_unreachable:
                raise
            context.warn(f"{error} {identity} is dropped from the state all the same (deleteUnreachable).")

    def secrets(self, token: str, secret_inputs: Paths) -> Paths:
        """Mark a Secret's values, always."""
        del secret_inputs
        if Kind.of_token(token) != SECRET:
            return frozenset()
        return frozenset({("data",), ("stringData",)})

    # -- what create and update share

    def _settled(self, context: Context, target: Target, live: Object, inputs: Properties, manager: str) -> Properties:
        """Wait for an applied object; its state is kept if it does not become usable."""
        if is_true(annotation(inputs, "skipAwait")):
            return outputs(live, inputs, manager)
        try:
            live = until_ready(self._objects, target, live, context, _timeout(context, inputs))
        except NotReadyError as error:
            kept = outputs(error.live, inputs, manager) | {UNREADY: True}
            raise InitializationError(target.identity, kept, error.reasons) from None
        except ProviderError as error:
            # The object is there, whatever happened while we looked at it.
            kept = outputs(live, inputs, manager) | {UNREADY: True}
            raise InitializationError(target.identity, kept, [str(error)]) from None
        return outputs(live, inputs, manager)

    def _preview_create(self, context: Context, inputs: Properties, manager: str) -> None:
        """Let the server validate what would be created."""
        if has_unknown(inputs) or self._discovery.find(Kind.of_token(context.token)) is None:
            return
        target = self._target(context, inputs)
        try:
            self._dry_run(context, target, inputs, manager, create_only=not self._options.upsert)
        except ExistsError as error:
            # A replacement finds its predecessor, which goes first.
            if context.urn not in self._replaced:
                context.warn(str(error))

    def _dry_run(
        self,
        context: Context,
        target: Target,
        inputs: Properties,
        manager: str,
        *,
        create_only: bool = False,
        force: bool = False,
    ) -> Object | None:
        """Ask the server what applying would result in; None if it cannot know yet.

        Where the namespace is still to be made, the object is tried in ``default``, which every cluster has: fields
        and values are validated all the same.
        """
        item = manifest(inputs)
        try:
            return self._objects.apply(
                target, item, manager, create_only=create_only, force=force, dry_run=True, warn=self._warn(context)
            )
        except NamespaceMissingError:
            elsewhere = Target(target.resource, "default", target.name)
            moved = {**item, "metadata": {**item["metadata"], "namespace": "default"}}
            self._try_elsewhere(context, elsewhere, moved, manager)
            return None
        except ExistsError:
            raise
        except ProviderError as error:
            if not _may_pass(error):
                raise
            context.log(f"not validated by the server: {error}")
            return None

    def _try_elsewhere(self, context: Context, target: Target, item: Object, manager: str) -> None:
        try:
            self._objects.apply(target, item, manager, create_only=True, dry_run=True, warn=self._warn(context))
        except ExistsError:
            return  # another object of that name: nothing is said about ours
        except ProviderError as error:
            if not _may_pass(error):
                raise ProviderError(
                    str(error).replace(str(target), f"{target.resource.kind.kind} {target.name}")
                ) from None

    # -- what is really there

    def _seen(
        self, context: Context, target: Target, live: Object, wanted: Properties, manager: str | None
    ) -> Properties:
        """Return the inputs as the live object has them."""
        item = manifest(wanted)
        form, ours = fields.shape(live), fields.owned(live, manager)
        seen = fields.project(item, live, form, ours)
        if fields.same(seen, item):
            return wanted
        try:
            rendered = self._objects.apply(
                target, item, manager or field_manager(context.urn), force=True, dry_run=True
            )
        except ProviderError:
            rendered = item  # somebody made it something which cannot become ours again in place
        found = fields.settle(item, seen, fields.project(item, rendered, form, fields.owned(rendered, manager)))
        if manager is None:
            found = _with_our_annotations(found, item)
        return wanted if fields.same(found, item) else with_string_data(found, wanted)

    def _as_wanted(self, context: Context, identity: str, news: Properties, old_inputs: Properties) -> Properties:
        """Reduce an imported object to what the program says of it, in the program's words where they mean the same."""
        seen = fields.project(news, with_string_data(old_inputs, news), {}, {})
        if fields.same(seen, news) or has_unknown(news):
            return _with_our_annotations(seen, news)
        target = self._located(context, identity)
        try:
            rendered = self._objects.apply(target, manifest(news), field_manager(context.urn), force=True, dry_run=True)
        except ProviderError:
            return _with_our_annotations(seen, news)
        made = fields.project(news, with_string_data(rendered, news), {}, {})
        return _with_our_annotations(fields.settle(news, seen, made), news)

    # -- names and places

    def _resource(self, context: Context) -> Resource:
        return self._discovery.resource(Kind.of_token(context.token), context.token)

    def _has_no_kind(self, context: Context, identity: str) -> bool:
        """Whether the kind is gone, and its objects with it; raises ProviderError if this is no API server at all."""
        if self._discovery.find(Kind.of_token(context.token)) is not None:
            return False
        if self._discovery.find(_NAMESPACE) is None:
            raise ProviderError(
                f"{context.token} {identity}: what answers has not even namespaces, so it is no Kubernetes API server. "
                "Check the server's address in the kubeconfig."
            )
        return True

    def _target(self, context: Context, inputs: Properties) -> Target:
        metadata = inputs["metadata"]
        resource = self._resource(context)
        return Target(resource, metadata["namespace"] if resource.namespaced else "", metadata["name"])

    def _located(self, context: Context, identity: str) -> Target:
        resource = self._resource(context)
        return Target(resource, *resource.locate(identity))

    def _force(self, inputs: Properties) -> bool:
        given = annotation(inputs, "patchForce")
        return is_true(given) if given is not None else self._options.force

    def _warn(self, context: Context) -> Callable[[str], None] | None:
        return context.warn if self._options.show_deprecations else None


def _timeout(context: Context, inputs: Properties) -> float | None:
    """Seconds which the user gave: ``custom_timeouts`` before the annotation."""
    seconds = annotation(inputs, "timeoutSeconds")
    return context.timeout or (float(seconds) if seconds else None)


def _foreseen(inputs: Properties) -> Properties:
    """Return outputs which a preview can tell: the inputs, and unknown what the server makes."""
    result = {**inputs, "status": UNKNOWN}
    metadata = inputs.get("metadata")
    if isinstance(metadata, dict):
        result["metadata"] = metadata | dict.fromkeys(_SERVER_FIELDS, UNKNOWN)
    spec = inputs.get("spec")
    if inputs.get("kind") == "Service" and isinstance(spec, dict):
        result["spec"] = {"clusterIP": UNKNOWN, "clusterIPs": UNKNOWN} | spec
    return result


def _with_our_annotations(seen: Properties, news: Properties) -> Properties:
    """Instructions to ourselves need not stand on an imported object for it to be as wanted."""
    ours = {key: value for key, value in annotations_of(news).items() if key.startswith(PREFIX)}
    if not ours:
        return seen
    return {**seen, "metadata": {**metadata_of(seen), "annotations": {**annotations_of(seen), **ours}}}


def _may_pass(error: ProviderError) -> bool:
    cause = error.__cause__
    return isinstance(cause, ApiError) and cause.status in _REFUSALS_WHICH_MAY_PASS
