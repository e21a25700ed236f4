"""The notes of the guests of a cluster as one resource. The class of the provider is a public name: states hold it.

One resource for all guests, because only together do they show what the gateway will route: names are global there, and
a plan needs all notes to predict that. A guest that fails stops no other (TPX-196).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

import pulumi
from pulumi import dynamic
from pulumi.runtime.rpc import UNKNOWN
from pydantic import ValidationError

from ..host.credentials import Credentials
from ..provider_messages import one_sentence, tell, warn
from .args_notes import ProxmoxNotesArgs

if TYPE_CHECKING:
    from .proxmox_work import Work

__all__ = ["ProxmoxNotes", "ProxmoxNotesProvider"]

_PLANNED: Final = ("labels", "routes", "problems", "warnings")
"""Inputs that `check` adds, so that a preview shows them line by line."""
_TOLD: Final = ("routes", "problems", "warnings")
"""Those among them that change no notes."""
_RESULTS: Final = ("notes",)
_ENGINE: Final = "__provider"
"""The engine's own property: which class serves the resource."""


class ProxmoxNotesProvider(dynamic.ResourceProvider):
    """Finds out in `check`, writes in `create` and `update`. What it decides lies in :mod:`.proxmox_plan`."""

    serialize_as_secret_always = False

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.CheckResult:
        """Validate, ask the cluster and the machines, and add labels and routes to the inputs (TPX-255)."""
        given = {key: value for key, value in news.items() if value is not None and key not in _PLANNED + _RESULTS}
        if _unknown([value for key, value in given.items() if key != _ENGINE]):
            # Another resource of this plan makes one of the values.
            return dynamic.CheckResult(given | {key: olds[key] for key in _PLANNED if key in olds}, [])
        try:
            work = _work(given)
        except ValidationError as error:
            return dynamic.CheckResult(given, _failures(error))
        from .proxmox_plan import plan  # noqa: PLC0415 - the program that declares the resource needs none of it

        planned = plan(work.args, work.find_out(), olds.get("labels") or {}, former_block=olds.get("block"))
        for line in planned.messages:
            tell(line)
        for line in planned.warnings:
            warn(line)
        for name, several in planned.problems.items():
            for said in several:
                warn(f"{name}: {said}")
        failures = [dynamic.CheckFailure("guests", said) for said in planned.failures]
        return dynamic.CheckResult(given | planned.as_inputs(), failures)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Compare what is there with what is wanted. Nothing is ever replaced: a new endpoint is a new way, no more."""
        from .proxmox_plan import blocks  # noqa: PLC0415 - the program that declares the resource needs none of it

        args = _arguments(news)
        there = {name: one.get("block", "") for name, one in (olds.get("notes") or {}).items()}
        wanted = blocks(news.get("labels") or {}, fence=args.fence) if args else there
        # A comment that was edited by hand is seen in the block alone; the labels show everything else.
        edited = any(there[name] != wanted[name] for name in there.keys() & wanted.keys())
        changes = edited or bool(news.get("problems")) or _compared(olds) != _compared(news)
        return dynamic.DiffResult(changes=changes, replaces=[])

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Write all blocks. What a run that failed halfway wrote is found right and left alone."""
        return dynamic.CreateResult(id_=_work(props).args.block, outs=_written(props, {}))

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        """Report what is really in the notes (TPX-138). What cannot be read now is left as it was."""
        from .proxmox import ProxmoxError  # noqa: PLC0415 - the program that declares the resource needs none of it
        from .proxmox_plan import seen  # noqa: PLC0415 - likewise

        work = _work(props)
        try:
            found = work.look()
        except ProxmoxError as error:
            warn(f"{error}; the notes are taken to be as they were")
            return dynamic.ReadResult(id_, dict(props))
        there = seen(work.args, found, props.get("labels") or {}, props.get("notes") or {})
        for line in there.warnings:
            warn(line)
        outs = {**props, "labels": there.labels, "routes": there.routes, "notes": there.notes}
        # As inputs too: only so does the preview of the repair show it line by line.
        return dynamic.ReadResult(id_, outs, {key: value for key, value in outs.items() if key not in _RESULTS})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Write the blocks that differ, and remove those of guests that are no longer described (TPX-234)."""
        return dynamic.UpdateResult(outs=_written(news, olds))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Remove the blocks and nothing else (TPX-135)."""
        with _one_sentence():
            _work(props).remove(_guests(props))


class ProxmoxNotes(dynamic.Resource, module="factory", name="ProxmoxNotes"):
    """The blocks of labels in the notes of a cluster's guests, from which a gateway makes its routes (TPX-254)."""

    labels: pulumi.Output[Mapping[str, Mapping[str, str]]]
    """The labels of each guest's block."""
    routes: pulumi.Output[Mapping[str, Mapping[str, str]]]
    """What the gateway makes of the notes of all guests, by guest and router: the public address and where it leads."""
    warnings: pulumi.Output[list[str]]
    """What the last run had to say."""
    notes: pulumi.Output[Mapping[str, Mapping[str, Any]]]
    """For each guest ``vmid``, ``node``, ``type``, number of ``labels``, ``length`` of the notes, hash of ``block``."""

    def __init__(
        self,
        name: str,
        args: ProxmoxNotesArgs,
        *,
        token_secret: pulumi.Input[str],
        credentials: Credentials | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the notes of ``args.guests``.

        ``token_secret`` is the secret of ``args.token_id``; ``credentials`` open the guests' machines, else the
        operator's own keys do.
        """
        secrets = (credentials or Credentials()).as_inputs()
        super().__init__(
            ProxmoxNotesProvider(),
            name,
            {
                **_as_inputs(args),
                "block": args.block,
                "token_secret": pulumi.Output.secret(token_secret),
                **{key: value for key, value in secrets.items() if key in {"private_key", "passphrase"}},
                **dict.fromkeys(_PLANNED + _RESULTS),
            },
            opts,
        )


def _as_inputs(args: ProxmoxNotesArgs) -> dict[str, Any]:
    """Give the arguments as plain values; what has its default stays out, so that plans show what was written."""
    return args.model_dump(mode="json", exclude_unset=True)


def _work(props: Mapping[str, Any]) -> "Work":
    """Raise ValidationError for what the arguments do not allow."""
    from .proxmox_work import Login, Work  # noqa: PLC0415 - the program that declares the resource needs none of it

    login = Login(props.get("private_key"), props.get("passphrase"))
    return Work(_validated(props), str(props.get("token_secret") or ""), login, tell=tell)


def _validated(props: Mapping[str, Any]) -> ProxmoxNotesArgs:
    return ProxmoxNotesArgs.model_validate({key: props[key] for key in ProxmoxNotesArgs.model_fields if key in props})


def _arguments(props: Mapping[str, Any]) -> ProxmoxNotesArgs | None:
    return None if _unknown([value for key, value in props.items() if key != _ENGINE]) else _validated(props)


def _guests(props: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(guest["vmid"]) for name, guest in (props.get("guests") or {}).items()}


def _written(news: dict[str, Any], olds: Mapping[str, Any]) -> dict[str, Any]:
    work = _work(news)
    with _one_sentence():
        notes = work.write(
            news.get("labels") or {},
            news.get("problems") or {},
            former=_guests(olds),
            former_block=olds.get("block") or work.args.block,
        )
    return {**news, "notes": notes}


def _compared(props: Mapping[str, Any]) -> dict[str, Any]:
    left_out = {*_TOLD, *_RESULTS, _ENGINE}
    return {key: value for key, value in props.items() if key not in left_out and value is not None}


def _unknown(value: Any) -> bool:  # noqa: ANN401 - any property
    if isinstance(value, Mapping):
        return any(map(_unknown, value.values()))
    if isinstance(value, list):
        return any(map(_unknown, value))
    return bool(value == UNKNOWN)


def _failures(error: ValidationError) -> list[dynamic.CheckFailure]:
    """Name each property and rule; the values may be secrets."""
    return [
        dynamic.CheckFailure(".".join(map(str, one["loc"])) or "guests", one["msg"])
        for one in error.errors(include_input=False, include_url=False)
    ]


def _one_sentence() -> AbstractContextManager[None]:
    from .notes import NotesError  # noqa: PLC0415 - the program that declares the resource needs none of it
    from .proxmox import ProxmoxError  # noqa: PLC0415 - likewise
    from .proxmox_work import PartlyFailedError  # noqa: PLC0415 - likewise

    return one_sentence(NotesError, PartlyFailedError, ProxmoxError)
