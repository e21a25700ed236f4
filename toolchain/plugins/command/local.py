"""Commands on this machine."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from toolchain.plugins.kit import Context, Properties, ProviderError

from .globs import archive, assets
from .resource import CommandResource, Result, failure, logged

_SHELL: Final = ("/bin/sh", "-c")
_POLL_SECONDS: Final = 0.2
_GRACE_SECONDS: Final = 5


class Processes:
    """The commands which run now. Each leads a process group, so that it ends with all it started."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(self, context: Context, command: str, inputs: Properties, environment: dict[str, str]) -> Result:
        """Run to the end, the time limit or the user's interruption; show the output as it comes."""
        try:
            process = subprocess.Popen(
                [*(inputs.get("interpreter") or _SHELL), command],
                cwd=inputs.get("dir") or None,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ProviderError(f"the command cannot be started: {error.strerror}: {error.filename}") from None
        except ValueError as error:  # a null character, or a variable's name with an equals sign
            raise ProviderError(f"the command cannot be started: {error}.") from None
        with self._guard:
            self._running.add(process)
        try:
            return self._follow(context, process, inputs)
        finally:
            with self._guard:
                self._running.discard(process)

    def end_all(self) -> None:
        """Kill all of them."""
        with self._guard:
            for process in self._running:
                _signal(process, signal.SIGKILL)

    @staticmethod
    def _follow(context: Context, process: subprocess.Popen[bytes], inputs: Properties) -> Result:
        shown = logged(context, inputs)
        texts: dict[str, list[str]] = {"stdout": [], "stderr": []}
        streams = [("stdout", process.stdout), ("stderr", process.stderr)]
        workers = [
            threading.Thread(target=_collect, args=(stream, texts[name], context.log if name in shown else None))
            for name, stream in streams
        ]
        workers.append(threading.Thread(target=_feed, args=(process.stdin, inputs.get("stdin") or "")))
        for worker in workers:
            worker.start()
        deadline = time.monotonic() + (context.timeout or float("inf"))
        while any(worker.is_alive() for worker in workers) or process.poll() is None:
            reason = (
                "interrupted" if context.cancelled.is_set() else "out of time" if time.monotonic() > deadline else ""
            )
            if reason:
                _end(process)
                raise ProviderError(f"the command was ended: {reason}.")
            for worker in workers:
                worker.join(_POLL_SECONDS / len(workers))
            if not any(worker.is_alive() for worker in workers):
                # It has closed its streams and goes on: from now on nothing else takes time here.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
        return Result("".join(texts["stdout"]), "".join(texts["stderr"]), process.wait())


class LocalCommand(CommandResource):
    """``command:local:Command``."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def execute(self, context: Context, command: str, inputs: Properties, environment: dict[str, str]) -> Result:
        """Run it here."""
        return self._processes.run(context, command, inputs, environment)

    def results(self, inputs: Properties) -> Properties:
        """Collect the files which were asked for."""
        return _files(inputs)


def run(processes: Processes, context: Context, arguments: Properties) -> Properties:
    """Serve ``command:local:run``: run a command now, also in a preview."""
    if not arguments.get("command"):
        raise ProviderError("command:local:run needs a value for command.")
    result = processes.run(context, arguments["command"], arguments, dict(arguments.get("environment") or {}))
    if result.status != 0:
        raise ProviderError(failure(result, quiet=False))
    stdout, stderr = (text.removesuffix("\n") for text in (result.stdout, result.stderr))
    return {**arguments, "stdout": stdout, "stderr": stderr, **_files(arguments)}


def _files(inputs: Properties) -> Properties:
    directory = Path(inputs.get("dir") or ".")
    found: Properties = {}
    if inputs.get("assetPaths"):
        found["assets"] = assets(directory, inputs["assetPaths"])
    if inputs.get("archivePaths"):
        found["archive"] = archive(assets(directory, inputs["archivePaths"]))
    return found


def _collect(stream: IO[bytes], into: list[str], log: Callable[[str], None] | None) -> None:
    with stream:
        for line in stream:
            text = line.decode(errors="replace")
            into.append(text)
            if log is not None:
                log(text.rstrip("\n"))


def _feed(stream: IO[bytes], text: str) -> None:
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(text.encode())


def _end(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
    _signal(process, signal.SIGKILL)  # what the command left behind
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
