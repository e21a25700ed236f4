"""Starts the command line; an interrupt while it is still being imported ends the process without a traceback."""

import signal


def _start() -> None:
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cli.commands import main

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()


if __name__ == "__main__":
    _start()
