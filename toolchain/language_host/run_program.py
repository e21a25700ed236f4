"""Start a Pulumi program with variables that are not in the list of processes: `run_program.py FD SCRIPT ARGS...`.

The configuration reaches the SDK in the variable PULUMI_CONFIG, decrypted. Given in the environment of a new process it
could be read from /proc by every process of the same user for as long as the program runs; so it is read from a file
without a name, and set from within.

The SDK sends no stack traces: nobody reads them, they were a third of the state, which each step writes anew, and they
name folders of this machine, so that another checkout would change every resource's record.
"""

import json
import os
import runpy
import sys
from pathlib import Path

from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2

if __name__ == "__main__":
    _, descriptor, script, *arguments = sys.argv
    with os.fdopen(int(descriptor), encoding="utf-8") as file:
        os.environ.update(json.load(file))
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    resource._get_stack_trace = source_pb2.StackTrace  # noqa: SLF001 - the SDK has no setting for it
    runpy.run_path(script, run_name="__main__")
