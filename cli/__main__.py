"""Starts the command line; an interrupt while it is still being imported ends the process without a traceback."""

import contextlib
import gc
import os
import signal
import sys

_FORKING = ("up", "preview")
"""The commands that run the engine whatever else they find."""
_OBJECTS = 100_000
"""After so many new ones more they are looked through: most are parts of imported modules, which stay."""


def _start() -> None:
    gc.set_threshold(_OBJECTS)
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open_what_is_closed()
    with _fork_server():
        from cli.commands import main

        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            main()
        finally:
            gc.freeze()  # what is left is not looked through once more at the end


def _fork_server() -> contextlib.AbstractContextManager[None]:
    """Start it before the rest of the command line is imported: it has more to import, and another processor."""
    if not sys.argv[1:] or sys.argv[1] not in _FORKING:
        return contextlib.nullcontext()
    from cli.forks import early

    return early()


def _open_what_is_closed() -> None:
    """Lead a stream that the caller closed to nowhere: else the next file that is opened would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            os.set_inheritable(opened, True)  # noqa: FBT003 - has no name there
            setattr(sys, name, os.fdopen(opened, "r" if number == 0 else "w"))


if __name__ == "__main__":
    _start()
