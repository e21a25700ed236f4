"""Start a Pulumi program with variables that are not in the list of processes: `run_program.py FD SCRIPT ARGS...`.

The configuration reaches the SDK in the variable PULUMI_CONFIG, decrypted. Given in the environment of a new process it
could be read from /proc by every process of the same user for as long as the program runs; so it is read from a file
without a name, and set from within.

The SDK sends no stack traces: nobody reads them, they were a third of the state, which each step writes anew, and they
name folders of this machine, so that another checkout would change every resource's record.

The SDK waits for all outputs anew whenever one of them is there: with fifty applications that was more work than
everything else of the program. Here they are waited for once.
"""

import asyncio
import json
import os
import runpy
import sys
from pathlib import Path

from pulumi.runtime import resource, stack
from pulumi.runtime.proto import source_pb2
from pulumi.runtime.settings import SETTINGS

_wait_for_requests = stack.wait_for_rpcs


async def _wait_for_all(await_all_outstanding_tasks: bool = True) -> None:  # noqa: FBT001, FBT002 - the SDK's own signature
    """Wait until no request and no output is left; raises what the first that fails raises."""
    while True:
        await _wait_for_requests(await_all_outstanding_tasks=False)
        with SETTINGS.lock:
            outputs = list(SETTINGS.outputs) if await_all_outstanding_tasks else []
            SETTINGS.outputs.difference_update(outputs)
        if not outputs:
            return
        done, left = await asyncio.wait(outputs, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            await task
        with SETTINGS.lock:
            SETTINGS.outputs.update(left)


if __name__ == "__main__":
    _, descriptor, script, *arguments = sys.argv
    with os.fdopen(int(descriptor), encoding="utf-8") as file:
        os.environ.update(json.load(file))
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    resource._get_stack_trace = source_pb2.StackTrace  # noqa: SLF001 - the SDK has no setting for it
    stack.wait_for_rpcs = _wait_for_all
    runpy.run_path(script, run_name="__main__")
