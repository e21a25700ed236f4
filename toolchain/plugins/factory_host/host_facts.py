"""``factory-host:index:HostFacts``: what a host is, found out before anything is planned or changed.

The host is asked in ``check``, which the engine calls in a preview too. A fact that does not hold is bad input, so the
run ends there, with the cause and what to do; what the questions print is kept and shown. It changes nothing.
"""

from typing import Final

from components.host.checks import HostCheck, judge
from components.host.pool import HostPool
from components.host.remote_host import RemoteHost
from components.host.transport import HostError, MisdescribedError, UnreachableError
from components.model import Model
from toolchain.plugins.kit import (
    Context,
    Created,
    Diff,
    Failure,
    Handler,
    Path,
    Paths,
    Properties,
    ProviderError,
    State,
    format_path,
    has_unknown,
)

from .inputs import CREDENTIALS, Credentials, problems
from .loop import Loop, Work

__all__ = ["TOKEN", "HostFactsHandler"]

TOKEN: Final = "factory-host:index:HostFacts"  # noqa: S105 - a type token

_SHOWN: Final = ("host", "found")
_SECONDS_MORE: Final = 10
"""What the answers may take on their way, beside the questions themselves."""


class _Asked(Model):
    """A host, and what must hold there."""

    host: RemoteHost
    credentials: Credentials = Credentials()
    checks: dict[str, HostCheck]

    @property
    def seconds(self) -> float:
        """How long all answers together may take."""
        return sum(check.timeout for check in self.checks.values()) + _SECONDS_MORE


class HostFactsHandler(Handler):
    """Serves the resource, over the connections that the roles of the same run use."""

    def __init__(self, loop: Loop, pool: HostPool) -> None:
        self._loop = loop
        self._pool = pool

    def secrets(self, token: str, secret_inputs: Paths) -> frozenset[Path]:
        """Keep the connection's secrets secret, however they came."""
        del token, secret_inputs
        return CREDENTIALS

    def check(self, context: Context, olds: Properties, news: Properties) -> tuple[Properties, list[Failure]]:
        """Ask the host. What cannot be asked now keeps the answers of the last time, with a warning."""
        given = {key: value for key, value in news.items() if key != "found"}
        before = {**given, "found": olds.get("found") or {}}
        if has_unknown(given):
            return before, []  # another resource of this plan makes the host
        if wrong := problems(_Asked, given):
            return news, wrong
        asked = _Asked.model_validate(given)
        try:
            answers = self._loop.run(context, lambda work: self._answers(work, asked))
        except MisdescribedError as error:
            raise ProviderError(f"{error}.") from None
        except UnreachableError as error:
            context.warn(f"{error}. It was not asked what it is; the last known facts are used")
            return before, []
        except (HostError, TimeoutError) as error:
            raise ProviderError(f"{error or f'{asked.host.place}: the questions were not answered in time'}.") from None
        failed = [result for result in judge(asked.checks, answers) if not result.ok]
        failures = [
            Failure(
                format_path(("checks", each.name)), f"{asked.host.place}: {each.likely_cause} (found: {each.actual})"
            )
            for each in failed
        ]
        found = {name: said for name, answer in answers.items() if (said := str(answer.get("stdout") or "").strip())}
        return {**given, "found": found}, failures

    def diff(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """Show a fact that is another one now. Another question is no change of the host."""
        del context, identity, old_outputs
        return Diff.between(*({key: inputs.get(key) for key in _SHOWN} for inputs in (old_inputs, news)))

    def create(self, context: Context, inputs: Properties) -> Created:
        """Keep what was found."""
        del context
        return Created(RemoteHost.model_validate(inputs["host"]).place, {"found": inputs["found"]})

    def read(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> State | None:
        """Return what is known: the host is asked in the check that follows."""
        del context
        return State(identity, old_inputs, old_outputs)

    def update(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Properties:
        """Keep what was found now."""
        del context, identity, old_inputs, old_outputs
        return {"found": news["found"]}

    def delete(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> None:
        """Forget it: nothing was made."""

    async def _answers(self, _work: Work, asked: _Asked) -> Properties:
        secrets = asked.credentials
        session = await self._pool.session(asked.host, secrets.login, secrets.sudo_password)
        requests = {name: check.request() for name, check in asked.checks.items()}
        answers: Properties = (await session.check(requests, seconds=asked.seconds))["checks"]
        return answers
