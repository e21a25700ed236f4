"""Start a Pulumi program with variables that are not in the list of processes: `run_program.py FD SCRIPT ARGS...`.

The configuration reaches the SDK in the variable PULUMI_CONFIG, decrypted. Given in the environment of a new process it
could be read from /proc by every process of the same user for as long as the program runs; so it is read from a file
without a name, and set from within.
"""

import json
import os
import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    _, descriptor, script, *arguments = sys.argv
    with os.fdopen(int(descriptor), encoding="utf-8") as file:
        os.environ.update(json.load(file))
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")
