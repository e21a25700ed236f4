"""What a local and a remote command have in common: when which of their commands runs."""

import secrets
from abc import abstractmethod
from typing import NamedTuple

from toolchain.plugins.kit import (
    UNKNOWN,
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
)

_LAST_LINES = 3


class Result(NamedTuple):
    """What a command wrote, and its exit status (negative: the signal which ended it)."""

    stdout: str
    stderr: str
    status: int


class CommandResource(Handler):
    """A command for each moment of a resource's life. ``create`` runs again on a change, unless there is ``update``."""

    @abstractmethod
    def execute(self, context: Context, command: str, inputs: Properties, environment: dict[str, str]) -> Result:
        """Run a command; the environment is that of the inputs and the output of the last run."""

    def results(self, inputs: Properties) -> Properties:
        """Return outputs to collect after the command, besides what it wrote."""
        del inputs
        return {}

    def check(self, context: Context, olds: Properties, news: Properties) -> tuple[Properties, list[Failure]]:
        """Fill in the default."""
        del context, olds
        return {"addPreviousOutputInEnv": True, **news}, []

    def diff(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """Compare; changed triggers make a new resource, unless there is ``update``."""
        del context, identity, old_outputs
        replace_on = [] if news.get("update") else ["triggers"]
        return Diff.between(old_inputs, news, replace_on=replace_on, delete_before_replace=False)

    def create(self, context: Context, inputs: Properties) -> Created:
        """Run ``create``."""
        identity = f"{context.name}{secrets.token_hex(4)}"
        return Created("" if context.preview else identity, self._run(context, inputs.get("create"), inputs, {}))

    def update(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Properties:
        """Run ``update``, or ``create`` again."""
        del identity, old_inputs
        return self._run(context, news.get("update") or news.get("create"), news, old_outputs)

    def delete(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> None:
        """Run ``delete``."""
        del identity
        if old_inputs.get("delete"):
            self._run(context, old_inputs["delete"], old_inputs, old_outputs)

    def read(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> State | None:
        """Return what is known: a command which ran has no state to look at."""
        if not old_inputs and not old_outputs:
            raise ProviderError(f"{context.token} cannot be imported: a command leaves nothing which could be read.")
        return State(identity, old_inputs, old_outputs)

    def secrets(self, token: str, secret_inputs: Paths) -> frozenset[Path]:
        """Keep the connection secret; and the output, if anything else is: it may repeat it."""
        del token
        found: set[Path] = {("connection",)}
        if _tells_secrets(secret_inputs):
            found |= {("stdout",), ("stderr",), ("assets",), ("archive",)}
        return frozenset(found)

    def _run(self, context: Context, command: str | None, inputs: Properties, last: Properties) -> Properties:
        if context.preview:
            return {**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}
        environment = dict(inputs.get("environment") or {})
        if inputs.get("addPreviousOutputInEnv", True):
            for name in ("stdout", "stderr"):
                if name in last:
                    environment[f"PULUMI_COMMAND_{name.upper()}"] = last[name]
        result = self.execute(context, command, inputs, environment) if command else Result("", "", 0)
        if result.status != 0:
            raise ProviderError(failure(result, quiet=_tells_secrets(context.secret_inputs)))
        stdout, stderr = (text.removesuffix("\n") for text in (result.stdout, result.stderr))
        return {**inputs, "stdout": stdout, "stderr": stderr, **self.results(inputs)}


def logged(context: Context, inputs: Properties) -> frozenset[str]:
    """Return which of ``stdout`` and ``stderr`` may be shown as it comes; neither, where an input is secret."""
    if _tells_secrets(context.secret_inputs):
        return frozenset()
    both = frozenset({"stdout", "stderr"})
    choices = {"stdout": {"stdout"}, "stderr": {"stderr"}, "none": set[str](), "stdoutAndStderr": both}
    return frozenset(choices[inputs.get("logging") or "stdoutAndStderr"])


def failure(result: Result, *, quiet: bool) -> str:
    """Say how a command ended and, unless it may hold a secret, its last words."""
    how = f"signal {-result.status}" if result.status < 0 else f"exit status {result.status}"
    lines = [line.strip() for line in (result.stderr or result.stdout).splitlines() if line.strip()]
    words = "" if quiet or not lines else f": {' | '.join(lines[-_LAST_LINES:])}"
    return f"the command ended with {how}{words}"


def _tells_secrets(paths: Paths) -> bool:
    return any(path[:1] != ("connection",) for path in paths)
