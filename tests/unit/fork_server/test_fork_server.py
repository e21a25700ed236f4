"""A fork of the server is to its client what a Python process of its own would be, and ends with it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.processes import ProcessId
from tests.support.waiting import until
from toolchain.fork_server import CLIENT, VARIABLE, client, interpreter
from toolchain.fork_server.owner import fork_server
from toolchain.paths import ROOT

SECONDS = 30.0
SAYS_ALL = """
import json, os, sys
here = sorted(int(name) for name in os.listdir("/proc/self/fd"))
print(json.dumps({
    "arguments": sys.argv, "directory": os.getcwd(), "environment": dict(os.environ), "first": sys.path[0],
    "files": [number for number in here if os.path.exists(f"/proc/self/fd/{number}")],
    "pulumi": "pulumi" in sys.modules, "name": __name__, "input": sys.stdin.read(),
}))
sys.exit(7)
"""
WAITS = """
import os, pathlib, signal, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
time.sleep(600)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """A server, and the environment of its clients."""
    with fork_server(os.environ) as begun:
        yield os.environ | begun.serve()


def started(environment: dict[str, str], *arguments: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-I", "-S", str(CLIENT), *arguments]
    return subprocess.Popen(command, env=environment, text=True, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def waiting(server: dict[str, str], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], ProcessId]]:
    """A client whose fork waits, and the fork."""
    (tmp_path / "waits.py").write_text(WAITS)
    note = tmp_path / "fork"
    with started(server, str(tmp_path / "waits.py"), str(note)) as process:
        until(lambda: note.exists() and note.read_text() != "")
        fork = ProcessId.of(int(note.read_text()))
        assert fork is not None
        assert fork.pid != process.pid
        yield process, fork
        process.kill()


def test_a_fork_has_what_its_client_has_and_nothing_of_the_server(server: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "says_all.py").write_text(SAYS_ALL)
    with (tmp_path / "open").open("w") as kept:
        process = started(
            server | {"ONLY": "mine"},
            str(tmp_path / "says_all.py"),
            "--one",
            "two",
            cwd="/",
            pass_fds=[kept.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        output, _ = process.communicate("words", timeout=SECONDS)
        said = json.loads(output)
        assert said["files"] == [0, 1, 2, kept.fileno()]
    assert process.returncode == 7
    assert said["arguments"] == [str(tmp_path / "says_all.py"), "--one", "two"]
    assert (said["directory"], said["first"]) == ("/", str(tmp_path))
    assert said["environment"] == server | {"ONLY": "mine"}
    assert said["pulumi"], "the server has not imported what it is for"
    assert (said["name"], said["input"]) == ("__main__", "words")


def test_a_module_is_run_as_python_runs_it(server: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "says_all.py").write_text(SAYS_ALL)
    process = started(server, "-m", "says_all", "x", cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    said = json.loads(process.communicate(timeout=SECONDS)[0])
    assert said["arguments"] == [str(tmp_path / "says_all.py"), "x"]
    assert (said["first"], said["name"]) == (str(tmp_path), "__main__")


def test_an_exception_is_shown_and_is_a_failure(server: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("raise LookupError('of its own')")
    process = started(server, str(tmp_path / "fails.py"), stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert errors.rstrip().endswith("LookupError: of its own")


ENDS = """
import atexit, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

def late():
    time.sleep(0.2)
    print("thread")

atexit.register(print, "at exit")
threading.Thread(target=late).start()
ThreadPoolExecutor().submit(print, "pool").result()
sys.exit({code})
"""


@pytest.mark.parametrize(
    ("code", "status", "said"), [("", 0, ""), ("None", 0, ""), ("3", 3, ""), ("-1", 255, ""), ("'no'", 1, "no\n")]
)
def test_a_fork_ends_as_python_ends(server: dict[str, str], tmp_path: Path, code: str, status: int, said: str) -> None:
    """Other threads are waited for, what is to be done at the end is done, and nothing that was written is lost."""
    (tmp_path / "ends.py").write_text(ENDS.format(code=code))
    process = started(server, str(tmp_path / "ends.py"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (status, said)
    assert output.splitlines() == ["pool", "thread", "at exit"]


def test_without_a_server_the_client_becomes_python(tmp_path: Path) -> None:
    (tmp_path / "says_all.py").write_text(SAYS_ALL)
    for variables in ({}, {VARIABLE: "factory-nobody-listens-here"}):
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | variables
        process = started(environment, str(tmp_path / "says_all.py"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        said = json.loads(process.communicate(timeout=SECONDS)[0])
        assert process.returncode == 7
        assert said["arguments"] == [str(tmp_path / "says_all.py")]
        assert not said["pulumi"]


def test_a_signal_is_the_forks(waiting: tuple[subprocess.Popen[str], ProcessId]) -> None:
    process, fork = waiting
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 9
    assert not fork.alive()


def test_a_client_keeps_no_file_open_but_the_streams(server: dict[str, str], tmp_path: Path) -> None:
    """One that holds secrets could be read through it for as long as it stands for its fork."""
    (tmp_path / "waits.py").write_text(WAITS)
    note = tmp_path / "fork"
    with (tmp_path / "secrets").open("w+") as secrets:
        process = started(server, str(tmp_path / "waits.py"), str(note), pass_fds=[secrets.fileno()])
        try:
            until(lambda: note.exists() and note.read_text() != "")
            assert str(tmp_path / "secrets") in opened(int(note.read_text()))
            assert str(tmp_path / "secrets") not in opened(process.pid)
        finally:
            process.kill()
            process.wait()


def opened(pid: int) -> set[str]:
    return {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}


def test_where_the_end_of_a_fork_cannot_be_told_nobody_is_forked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\ndef refused(*_): raise PermissionError(1, 'pidfd_open')\nos.pidfd_open = refused"
    )
    (tmp_path / "says_all.py").write_text(SAYS_ALL)
    with fork_server(os.environ | {"PYTHONPATH": str(tmp_path)}) as begun:
        environment = os.environ | begun.serve()
        until(lambda: environment[VARIABLE] not in Path("/proc/net/unix").read_text())
        process = started(environment, str(tmp_path / "says_all.py"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        said = json.loads(process.communicate(timeout=SECONDS)[0])
    assert process.returncode == 7
    assert not said["pulumi"]
    assert capfd.readouterr().err == ""


def test_a_killed_fork_ends_its_client(waiting: tuple[subprocess.Popen[str], ProcessId]) -> None:
    process, fork = waiting
    fork.signal(signal.SIGKILL)
    assert process.wait(SECONDS) == client.SIGNALLED + signal.SIGKILL


def test_a_killed_client_takes_its_fork_with_it(waiting: tuple[subprocess.Popen[str], ProcessId]) -> None:
    process, fork = waiting
    process.kill()
    until(lambda: not fork.alive())


def test_the_fork_of_a_dead_engine_is_asked_to_end(server: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    note = tmp_path / "fork"
    command = [sys.executable, "-I", "-S", str(CLIENT), str(tmp_path / "waits.py"), str(note)]
    engine = f"import subprocess; subprocess.run({command!r})"
    with subprocess.Popen([sys.executable, "-c", engine], env=server) as parent:
        until(lambda: note.exists() and note.read_text() != "")
        fork = ProcessId.of(int(note.read_text()))
        parent.kill()
    assert fork is not None
    until(lambda: not fork.alive())


def test_a_server_whose_owner_died_lasts_as_long_as_its_forks(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    owner = (
        "import os, sys\n"
        "from toolchain.fork_server.owner import fork_server\n"
        "with fork_server(os.environ) as begun:\n"
        "    print(*begun.serve().values(), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", owner], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        environment = os.environ | {VARIABLE: process.stdout.readline().strip()}
        note = tmp_path / "fork"
        with started(environment, str(tmp_path / "waits.py"), str(note)) as waits:
            until(lambda: note.exists() and note.read_text() != "")
            fork = ProcessId.of(int(note.read_text()))
            assert fork is not None
            server = ProcessId.of(int(Path(f"/proc/{fork.pid}/stat").read_text().rpartition(")")[2].split()[1]))
            assert server is not None
            process.kill()
            process.wait(SECONDS)
            assert fork.alive()
            waits.terminate()
            assert waits.wait(SECONDS) == 9
            until(lambda: not server.alive())


def test_a_server_imports_what_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "says.py").write_text("import sys; print('colorsys' in sys.modules)")
    with fork_server(os.environ) as begun:
        environment = os.environ | begun.serve(["colorsys", "there_is_no_such_module"])
        process = started(environment, str(tmp_path / "says.py"), stdout=subprocess.PIPE)
        assert process.communicate(timeout=SECONDS)[0] == "True\n"


def test_between_imports_modules_are_served_and_files_when_theirs_are_there(tmp_path: Path) -> None:
    released = tmp_path / "released"
    waits = (
        "import pathlib, select, sys\n"
        "if __name__ != '__main__':\n"
        "    pathlib.Path(__file__).with_suffix('.begun').touch()\n"
        "    select.select([int(sys.argv[1])], [], [])\n"
    )
    (tmp_path / "first.py").write_text(waits)
    (tmp_path / "second.py").write_text(waits)
    (tmp_path / "quick.py").write_text("print('served', flush=True)")
    (tmp_path / "slow.py").write_text(
        f"import pathlib, time\nwhile not pathlib.Path({str(released)!r}).exists(): time.sleep(0.01)"
    )
    (tmp_path / "says.py").write_text("import sys; print('slow' in sys.modules, 'later' in sys.modules, flush=True)")
    (tmp_path / "later.py").write_text(waits)
    with fork_server(os.environ | {"PYTHONPATH": str(tmp_path)}) as begun:
        environment = os.environ | begun.serve(["first", "second", "slow"], ["later"])
        until((tmp_path / "first.begun").exists)
        held = started(environment, str(tmp_path / "says.py"), stdout=subprocess.PIPE)
        until((tmp_path / "second.begun").exists)
        early = started(environment, "-m", "quick", stdout=subprocess.PIPE)
        try:
            assert said(early) == "served\n"
        finally:
            released.touch()
        assert said(held) == "True False\n"
        assert started(environment, "-m", "quick").wait(SECONDS) == 0
        assert [early.wait(SECONDS), held.wait(SECONDS)] == [0, 0]


def said(process: subprocess.Popen[str]) -> str:
    """The first line that a process prints, while the server may be too busy to tell its end."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], SECONDS)[0]
    with process.stdout as output:
        return output.readline()


def test_nobody_waits_for_a_server_of_a_run_that_did_not_begin(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time; time.sleep(600)")
    begun = time.monotonic()
    with pytest.raises(LookupError):
        broken_run(os.environ | {"PYTHONPATH": str(tmp_path)})
    assert time.monotonic() - begun < SECONDS


def broken_run(environment: dict[str, str]) -> None:
    with fork_server(environment) as server:
        server.serve(["slow"])
        raise LookupError


def test_a_server_is_nobody_elses(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, server[VARIABLE])
    monkeypatch.setattr(sys, "argv", ["client.py", "-c", "pass"])
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert client._connect(server[VARIABLE]) is None


def test_only_this_environments_interpreter_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "factory-any")
    assert interpreter(sys.executable)[-1] == str(CLIENT)
    assert interpreter("/usr/bin/python3") == ["/usr/bin/python3", "-u"]
    monkeypatch.delenv(VARIABLE)
    assert interpreter(sys.executable) == [sys.executable, "-u"]
