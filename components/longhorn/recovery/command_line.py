"""The command line: `python -m …recovery`, the single file, and `./factory recover` are the same program.

Results go to standard output, everything else to standard error; with `--json` a refusal is JSON too. The exit status
is one of `errors.Status`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from . import commands_image, commands_replica, old_contract
from .errors import BadInputError, RecoveryError, Status
from .output import Outcome, Screen

OLD_NAME = "merge-longhorn-layers"
"""Under this name the program has the described tool's contract (MRG-001)."""


class _Parser(argparse.ArgumentParser):
    """Bad arguments are an error like any other."""

    def error(self, message: str) -> NoReturn:
        raise BadInputError("usage", f"{message}; see `{self.prog} --help`")


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = _Parser(prog=prog, description="Volumes from Longhorn's replica directories, without a cluster.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands_replica.add(commands)
    commands_image.add(commands)
    return top


def main(arguments: Sequence[str], prog: str = "longhorn-recover") -> int:
    """Run a command and return its exit status."""
    if Path(sys.argv[0]).name.startswith(OLD_NAME):
        return old_contract.main(arguments)
    if list(arguments[:1]) == [OLD_NAME]:
        return old_contract.main(arguments[1:])
    # Known before the arguments are, for an error in them.
    screen = Screen(as_json="--json" in arguments)
    with _Interruptible(screen):
        try:
            outcome = _run(arguments, prog, screen)
            screen.show(outcome)
        except RecoveryError as error:
            screen.fail(error.status, error.code, str(error))
            return int(error.status)
        except BrokenPipeError:
            # Who reads the output has gone; the interpreter must not stumble over it again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return int(Status.FAILED)
        except OSError as error:
            name = f"{error.filename}: " if error.filename else ""
            screen.fail(Status.FAILED, "system", f"{name}{error.strerror or error}")
            return int(Status.FAILED)
    return int(outcome.status)


def _run(arguments: Sequence[str], prog: str, screen: Screen) -> Outcome:
    chosen = parser(prog).parse_args(list(arguments))
    run: Callable[[argparse.Namespace, Screen], Outcome] = chosen.run
    return run(chosen, screen)


class _Interruptible:
    """The first Ctrl-C or SIGTERM stops at a point from which the work can go on, the second at once."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        # In another thread than the main one the signals are somebody else's.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._stop)

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._screen.stopped:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._screen.stopped = True
