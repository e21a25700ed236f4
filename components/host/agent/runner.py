"""Running other programs: one way out, with a time limit, a cap on what is kept and an ear for the caller."""

from __future__ import annotations

import os
import time

from .errors import AgentError, failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence

KEPT = 64 * 1024
"""Bytes kept of each stream; of a longer one the end, for that is where errors stand."""
TOLD_LINES = 15
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
}
_GRACE = 5.0
_PIECE = 65536
_TICK = 10
_LONG_TICK = 100
"""Milliseconds between two looks at a program; few where nothing else tells of its end."""


class Done:
    """How a program ended. ``status`` is negative for a signal and None for the time limit."""

    __slots__ = ("argv", "status", "stderr", "stdout")

    def __init__(self, argv: Sequence[str], status: int | None, stdout: str, stderr: str) -> None:
        self.argv = list(argv)
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    def last_lines(self) -> list[str]:
        """Give the last lines of what it complained about, or of what it said when it did not complain."""
        text = self.stderr if self.stderr.strip() else self.stdout
        return text.rstrip().splitlines()[-TOLD_LINES:]

    def error(self, doing: str, *, secret: bool = False) -> AgentError:
        """Make the error of a program that failed while ``doing`` something; a secret one's output is not told."""
        if self.status is None:
            how = "did not end in time"
        elif self.status < 0:
            how = f"was ended by signal {-self.status}"
        else:
            how = f"ended with status {self.status}"
        lines = ["(its output is secret)"] if secret else self.last_lines()
        return failed(f"{doing}: {self.argv[0]} {how}", command=self.argv, status=self.status, stderr=lines)


class Runner:
    """Runs programs on this host. ``cancelled`` is asked while one runs that may be ended early."""

    def __init__(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        self.cancelled = cancelled

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60.0,
        stdin: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        directory: str = "/",
        may_cancel: bool = False,
    ) -> Done:
        """Run one program to its end, its time limit (seconds) or, where allowed, the caller's cancel.

        Raises AgentError when it was cancelled. A program that does not exist has status 127.
        """
        import subprocess

        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**ENVIRONMENT, **(environment or {})},
                cwd=directory,
                start_new_session=True,
            )
        except OSError as error:
            return Done(argv, 127, "", f"{error.strerror}: {error.filename}")
        return self._wait(argv, process, stdin or b"", timeout, may_cancel=may_cancel)

    def _wait(
        self, argv: Sequence[str], process: subprocess.Popen[bytes], stdin: bytes, timeout: float, *, may_cancel: bool
    ) -> Done:
        deadline = time.monotonic() + timeout
        streams = _Streams(process, stdin)
        cancelled = False
        # A daemon that a program leaves behind may hold its streams open: the program's own end is what counts.
        while (status := process.poll()) is None:
            streams.move()
            cancelled = may_cancel and self.cancelled()
            if cancelled or time.monotonic() > deadline:
                _end(process)
                break
        streams.close()
        if cancelled:
            raise AgentError("cancelled", f"{argv[0]} was ended because the run was cancelled", command=list(argv))
        return Done(argv, status, streams.text(streams.out), streams.text(streams.err))


class _Streams:
    """The three streams of a program, moved without blocking."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes) -> None:
        import select

        self._files = [stream for stream in (process.stdin, process.stdout, process.stderr) if stream]
        for stream in self._files:
            os.set_blocking(stream.fileno(), False)
        self._input = process.stdin
        self._left = memoryview(stdin)
        self.out, self.err = (stream.fileno() for stream in self._files[-2:])
        self._kept = {self.out: bytearray(), self.err: bytearray()}
        self._poll = select.poll()
        for descriptor in self._kept:
            self._poll.register(descriptor, select.POLLIN)
        if process.stdin:
            self._poll.register(process.stdin.fileno(), select.POLLOUT)
        self._end = _end_descriptor(process.pid)
        if self._end is not None:
            self._poll.register(self._end, select.POLLIN)

    def move(self) -> None:
        """Wait a moment for the program to do something, and move what can be moved."""
        for descriptor, _ in self._poll.poll(_TICK if self._end is None else _LONG_TICK):
            if descriptor in self._kept:
                self._read(descriptor)
            elif descriptor != self._end:
                self._write(descriptor)

    def text(self, descriptor: int) -> str:
        """Give the end of what a stream carried."""
        return bytes(self._kept[descriptor]).decode("utf-8", "replace")

    def close(self) -> None:
        """Take what has arrived and close all."""
        for descriptor in self._kept:
            while self._read(descriptor):
                pass
        for stream in self._files:
            stream.close()
        if self._end is not None:
            os.close(self._end)

    def _read(self, descriptor: int) -> bool:
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return False
        if not piece:
            self._forget(descriptor)
            return False
        kept = self._kept[descriptor]
        kept += piece
        del kept[:-KEPT]
        return True

    def _write(self, descriptor: int) -> None:
        try:
            self._left = self._left[os.write(descriptor, self._left) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left and self._input:
            self._forget(descriptor)
            self._input.close()

    def _forget(self, descriptor: int) -> None:
        try:
            self._poll.unregister(descriptor)
        except KeyError:
            return


def _end_descriptor(pid: int) -> int | None:
    """Give a descriptor that becomes readable when the program ends, where the kernel has such."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it started: politely, then surely."""
    import signal
    import subprocess

    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
