"""``factory-host:index:HostState``: one role of one host, planned and applied over the host's one connection."""

import secrets
import time
from typing import Any, Final

from components.host.agent import overlay, split
from components.host.args import KINDS
from components.host.pool import HostPool
from components.host.preflight import warnings
from components.host.session import AgentError, HostSession, LostError
from components.host.ssh_config import not_followed
from components.host.summary import changes, in_words, managed, unseen
from components.host.transport import HostError, MisdescribedError, UnreachableError
from toolchain.plugins.kit import (
    UNKNOWN,
    Change,
    Context,
    Created,
    Diff,
    Failure,
    Handler,
    InitializationError,
    Path,
    Paths,
    Properties,
    ProviderError,
    State,
)

from .inputs import CREDENTIALS, Inputs, Role, for_preview, normalised, problems
from .loop import Loop, Work
from .report import report
from .roles import Roles

__all__ = ["TOKEN", "HostStateHandler"]

TOKEN: Final = "factory-host:index:HostState"  # noqa: S105 - a type token

_MACHINE: Final = ("address", "port", "host_key", "root")
"""What of the connection tells one machine from another; the rest may change without a look at the host."""
_KEY_BYTES: Final = 32


class HostStateHandler(Handler):
    """Serves the resource. Roles of one host queue on its session; hosts work side by side."""

    def __init__(self, loop: Loop, pool: HostPool) -> None:
        self._loop = loop
        self._pool = pool
        self._roles = Roles()
        self._warned: set[tuple[str, int, str]] = set()

    def close(self) -> None:
        """Give the hosts' locks back and disconnect."""
        self._loop.finish(self._pool.close())

    def secrets(self, token: str, secret_inputs: Paths) -> frozenset[Path]:
        """Keep the connection's secrets and the key of the hashes secret, however they came."""
        del token, secret_inputs
        return CREDENTIALS | {("hash_key",)}

    def check(self, context: Context, olds: Properties, news: Properties) -> tuple[Properties, list[Failure]]:
        """Validate everything at once, and find the roles that claim one thing. Opens no connection."""
        del olds
        failures = problems(Inputs, news)
        if failures:
            return news, failures
        inputs = normalised(news, context.secret_inputs)
        known = for_preview(inputs)
        if known is None:
            return inputs, []
        ignored = not_followed(known.host.ssh_config, known.host.address)
        if ignored:
            lines = ", ".join(map(str, ignored))
            context.warn(f"{known.host.place}: the SSH configuration file has what is not followed here: {lines}")
        return inputs, self._roles.add(context.urn, known.host.identity, known.role, known.desired.document())

    def diff(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """Compare documents and machines. What a killed run still owes is a change too."""
        del context, identity
        diff = Diff.between(_compared(old_inputs), _compared(news))
        if old_outputs.get("interrupted"):
            return Diff({**diff.detailed, "interrupted": Change.DELETE})
        return diff

    def create(self, context: Context, inputs: Properties) -> Created:
        """Make the host so. What is there already is taken as it is and not owned."""
        if context.preview:
            return Created("", self._preview(context, inputs, {}))
        role = Role.of(inputs)
        identity = f"{role.role}@{role.host.place}"
        return Created(identity, self._apply(context, identity, role, inputs["desired"], {}, created=True))

    def update(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Properties:
        """Make the host so, and remove what this resource created and no longer wants."""
        same = _machine(old_inputs) == _machine(news)
        outputs = old_outputs if same else {}  # what was created on another machine is not here
        if context.preview:
            return self._preview(context, news, outputs)
        return self._apply(context, identity, Role.of(news), news["desired"], outputs)

    def read(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> State | None:
        """Return the document that describes what is really there."""
        if not old_inputs:
            raise ProviderError(
                f"{identity} cannot be imported: describe the host and run `up`, which leaves what is so already."
            )
        known = Role.of(old_inputs)
        # Not the inputs: those may be what an earlier refresh found.
        applied = (old_outputs if "desired" in old_outputs else old_inputs)["desired"]
        request, _ = self._request(context, known, applied, old_outputs)

        async def work(_work: Work) -> Properties:
            return await (await self._session(known)).read(request)

        before = time.time()
        try:
            found = self._loop.run(context, work)
        except UnreachableError as error:
            raise ProviderError(
                f"{error}. Its state is therefore not known and was left as it was; if it has moved, run once with "
                "--refresh=false"
            ) from None
        except HostError as error:
            raise ProviderError(f"{error}.") from None
        self._preflight(context, known, found, before)
        inputs = {**old_inputs, "desired": overlay(applied, found["drift"])}
        outputs = {key: value for key, value in old_outputs.items() if key != "interrupted"}
        if found.get("interrupted"):
            outputs["interrupted"] = True
        return State(identity, inputs, outputs)

    def delete(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> None:
        """Remove what this resource created; what was there before it stays."""
        try:
            self._apply(context, identity, Role.of(old_inputs), {}, old_outputs, delete=True)
        except InitializationError as error:
            raise ProviderError(str(error)) from None

    # -- how it is done

    def _preflight(self, context: Context, role: Role, answer: Properties, before: float) -> None:
        """Warn of what may stop a run half-way, once for each host: its roles would all say the same."""
        if role.host.identity not in self._warned:
            said = list(warnings(answer.get("facts") or {}, before, time.time()))
            for warning in said:
                context.warn(f"{role.host.place}: {warning}")
            if said:
                self._warned.add(role.host.identity)

    async def _session(self, role: Role) -> HostSession:
        return await self._pool.session(role.host, role.credentials.login, role.credentials.sudo_password)

    def _request(
        self, context: Context, role: Role, document: Properties, outputs: Properties
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return what the agent is asked, and the large contents that it may need."""
        sent, blobs = split(document)
        elsewhere = self._roles.elsewhere(context.urn, role.host.identity)
        request = {
            "document": sent,
            "resource": role.role,
            "owned": _not_of_others(outputs.get("owned") or {}, elsewhere),
            "key": outputs.get("hash_key") or secrets.token_hex(_KEY_BYTES),
        }
        return request, blobs

    def _preview(self, context: Context, inputs: Properties, outputs: Properties) -> Properties:
        """Plan against the real host; one that cannot be reached counts as one that does not exist yet."""
        known = for_preview(inputs)
        if known is None:
            return {**outputs, "desired": inputs["desired"], "summary": UNKNOWN, "owned": UNKNOWN}
        document = known.desired.document()
        request, _ = self._request(context, known, document, outputs)

        async def work(_work: Work) -> Properties:
            return await (await self._session(known)).plan(request)

        place, role, before = known.host.place, known.role, time.time()
        try:
            answer = self._loop.run(context, work)
        except MisdescribedError as error:
            raise ProviderError(f"{error}.") from None
        except UnreachableError as error:
            context.warn(f"{error}. This preview counts everything as new")
            found = unseen(place, role, document)
        except HostError as error:
            raise ProviderError(f"{error}.") from None
        else:
            self._preflight(context, known, answer, before)
            plan = answer["plan"]
            found = changes(place, role, plan["actions"])
            for problem in plan.get("problems", ()):
                context.warn(f"{place}: {problem['item']}: {problem['message']}")
        report(found)
        context.status(in_words(found) or "nothing to do on the host")
        return {**outputs, "desired": inputs["desired"], "summary": managed(document), "owned": UNKNOWN}

    def _apply(
        self,
        context: Context,
        identity: str,
        role: Role,
        document: Properties,
        outputs: Properties,
        *,
        created: bool = False,
        delete: bool = False,
    ) -> Properties:
        request, blobs = self._request(context, role, document, outputs)
        if delete:
            request["delete"] = True

        before = time.time()

        def planned(plan: Properties) -> None:
            self._preflight(context, role, plan, before)
            report(changes(role.host.place, role.role, plan["plan"]["actions"]))
            problems = [f"{each['item']}: {each['message']}" for each in plan["plan"].get("problems", ())]
            if problems:
                raise HostError(f"{role.host.place}: nothing was changed: {'; '.join(problems)}")

        async def work(work: Work) -> Properties:
            session = await self._session(role)
            return await session.apply(request, blobs, planned=planned, progress=work.progress, stop=work.stopped)

        result = {
            "desired": document,
            "summary": managed(document),
            "owned": outputs.get("owned") or {},
            "hash_key": request["key"],
        }
        try:
            done = self._loop.run(context, work)
        except LostError as error:
            if error.owned is not None:
                result["owned"] = error.owned
            raise InitializationError(identity, {**result, "interrupted": True}, [f"{error}."]) from None
        except AgentError as error:
            if error.details.get("owned") is None or (created and not error.details.get("applied")):
                raise ProviderError(f"{error}.") from None
            result["owned"] = error.details["owned"]
            raise InitializationError(identity, {**result, "interrupted": True}, _reasons(error)) from None
        except HostError as error:
            raise ProviderError(f"{error}.") from None
        return {**result, "owned": done["owned"]}


def _not_of_others(owned: Properties, elsewhere: set[tuple[str, str]]) -> Properties:
    """Leave out what another resource of this run wants now: it is not removed from under it."""
    return {
        kind: {key: note for key, note in items.items() if (kind, key) not in elsewhere}
        for kind, items in owned.items()
    }


def _reasons(error: AgentError) -> list[str]:
    """Say what failed, what was applied and what was not."""
    reasons = [f"{error}."]
    for name, word in (("applied", "applied before"), ("not_applied", "not applied")):
        if error.details.get(name):
            reasons.append(f"{word}: {', '.join(error.details[name])}")
    return reasons


def _compared(inputs: Properties) -> Properties:
    """Return what counts as a difference; a kind without items is empty, so that the first one has its own path."""
    desired = inputs.get("desired")
    if isinstance(desired, dict):
        desired = {kind: desired.get(kind, {}) for kind in KINDS} | desired
    return {"host": _machine(inputs), "role": inputs.get("role"), "desired": desired}


def _machine(inputs: Properties) -> Any:  # noqa: ANN401 a part of the inputs, or unknown
    host = inputs.get("host")
    return {key: host.get(key) for key in _MACHINE} if isinstance(host, dict) else host
