"""One interpreter that has imported what all processes of a run need, forked for each of them.

The engine starts eight Python processes in a run: the language host, the program, the policy pack, the provider
plugins. Most of what each does is to import Pulumi's SDK and gRPC. So the command line starts a process that does it
once, while it still checks the stack itself, and each of the others becomes a fork of it:

- :mod:`.owner` is the command line's side: it starts the server, and ends it with the run.
- :mod:`.server` waits on a socket, and forks for each request.
- ``client.py`` is what the engine starts: it hands its arguments, environment, directory and open files over and then
  stands for the fork. Signals that it gets are the fork's, the fork's end is its end, and a killed client's fork dies.

Without a server, in a plain ``pulumi`` run for instance, all of them are processes of their own.
"""

import os
import sys
from pathlib import Path
from typing import Final

from .client import VARIABLE

__all__ = ["CLIENT", "VARIABLE", "interpreter"]

CLIENT: Final = Path(__file__).with_name("client.py")


def interpreter(python: str) -> list[str]:
    """Return how this interpreter is started, with unbuffered output: as a fork, if there is a server that runs it."""
    same = Path(python).parent.resolve() == Path(sys.executable).parent.resolve()
    return [python, "-I", "-S", str(CLIENT)] if same and VARIABLE in os.environ else [python, "-u"]
