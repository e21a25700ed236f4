"""Commands on this machine."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.plugin_process import PluginProcess, RefusedError
from toolchain.paths import ROOT
from toolchain.plugins.command.local import LocalCommand, Processes
from toolchain.plugins.kit import UNKNOWN, Context, ProviderError

COMMAND = "command:local:Command"


def test_each_moment_has_its_command(plugin: PluginProcess, tmp_path: Path) -> None:
    inputs = {
        "create": "echo made $WHO; echo careful >&2; cat",
        "update": "echo was $PULUMI_COMMAND_STDOUT, $PULUMI_COMMAND_STDERR",
        "delete": "echo $PULUMI_COMMAND_STDOUT > gone",
        "environment": {"WHO": "you"},
        "stdin": "from stdin",
        "dir": str(tmp_path),
    }
    made = plugin.create(COMMAND, "moments", inputs)
    assert (made.outputs["stdout"], made.outputs["stderr"]) == ("made you\nfrom stdin", "careful")
    changed = plugin.update(made, {**inputs, "stdin": "other"})
    assert changed.outputs["stdout"] == "was made you from stdin, careful"
    plugin.delete(changed)
    assert (tmp_path / "gone").read_text() == "was made you from stdin, careful\n"


def test_without_update_create_runs_again_and_sees_nothing_if_not_wanted(plugin: PluginProcess) -> None:
    inputs = {"create": 'echo "${PULUMI_COMMAND_STDOUT-unset}"', "addPreviousOutputInEnv": False}
    made = plugin.create(COMMAND, "again", inputs)
    assert plugin.update(made, {**inputs, "stdin": "x"}).outputs["stdout"] == "unset"
    assert plugin.update(made, {**inputs, "addPreviousOutputInEnv": True}).outputs["stdout"] == "unset"


def test_triggers_make_a_new_one_unless_there_is_update(plugin: PluginProcess) -> None:
    inputs = {"create": "true", "triggers": [1, {"deep": "x"}]}
    made = plugin.create(COMMAND, "triggers", inputs)
    other = {**inputs, "triggers": [1, {"deep": "y"}]}
    diff = plugin.diff(made, other)
    assert (list(diff.detailedDiff), list(diff.replaces)) == (["triggers[1].deep"], ["triggers"])
    assert list(plugin.diff(made, {**other, "update": "true"}).replaces) == []
    assert not plugin.diff(made, inputs).detailedDiff


def test_a_preview_runs_nothing(plugin: PluginProcess, tmp_path: Path) -> None:
    planned = plugin.create(COMMAND, "plan", {"create": f"touch {tmp_path}/ran"}, preview=True)
    assert (planned.outputs["stdout"], planned.outputs["stderr"]) == (UNKNOWN, UNKNOWN)
    assert not (tmp_path / "ran").exists()


def test_files_are_collected(plugin: PluginProcess, tmp_path: Path) -> None:
    inputs = {"create": "echo x > out.txt", "dir": str(tmp_path), "assetPaths": ["*.txt"], "archivePaths": ["*.txt"]}
    made = plugin.create(COMMAND, "files", inputs)
    assert made.outputs["assets"]["out.txt"].path == str(tmp_path / "out.txt")
    assert set(made.outputs["archive"].assets) == {"out.txt"}


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"create": "echo first; echo oops >&2; exit 3"}, "the command ended with exit status 3: oops"),
        ({"create": "kill -9 $$"}, "the command ended with signal 9"),
        (
            {"create": "true", "dir": "/does/not/exist"},
            "the command cannot be started: No such file or directory: /does/not",
        ),
        (
            {"create": "x", "interpreter": ["/no/shell"]},
            "the command cannot be started: No such file or directory: /no/shell",
        ),
        ({"create": "a\0b"}, "the command cannot be started: embedded null byte"),
        ({"create": "x", "creat": "y"}, "command:local:Command has no property creat (did you mean create?)"),
    ],
)
def test_a_failure_is_one_sentence(plugin: PluginProcess, inputs: dict[str, object], sentence: str) -> None:
    with pytest.raises(RefusedError) as refused:
        plugin.create(COMMAND, "failure", inputs)
    assert sentence in str(refused.value)


def test_a_secret_input_makes_the_output_secret_and_the_failure_silent() -> None:
    handler = LocalCommand(Processes())
    secret = frozenset({("environment", "TOKEN")})
    shown: list[str] = []
    context = Context(COMMAND, secret_inputs=secret, log=shown.append)
    inputs = {"create": "echo $TOKEN", "environment": {"TOKEN": "s3cret"}}
    assert handler.create(context, inputs).outputs["stdout"] == "s3cret"
    assert {("stdout",), ("stderr",)} <= handler.secrets(COMMAND, secret)
    with pytest.raises(ProviderError) as refused:
        handler.create(context, {**inputs, "create": "echo $TOKEN >&2; false"})
    assert str(refused.value) == "the command ended with exit status 1"
    assert shown == []


@pytest.mark.parametrize(
    ("logging", "lines"),
    [
        (None, {"out", "err"}),
        ("stdout", {"out"}),
        ("stderr", {"err"}),
        ("none", set()),
        ("stdoutAndStderr", {"out", "err"}),
    ],
)
def test_output_is_shown_as_wished(logging: str | None, lines: set[str]) -> None:
    shown: list[str] = []
    inputs = {"create": "echo out; echo err >&2", "logging": logging}
    LocalCommand(Processes()).create(Context(COMMAND, log=shown.append), inputs)
    assert set(shown) == lines


def test_what_takes_too_long_is_ended_with_all_it_started(plugin: PluginProcess, tmp_path: Path) -> None:
    started = time.monotonic()
    command = f"sleep 300 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(RefusedError, match="the command was ended: out of time"):
        plugin.create(COMMAND, "slow", {"create": command}, timeout=1)
    assert time.monotonic() - started < 120
    assert not Path("/proc", (tmp_path / "child").read_text().strip(), "cwd").exists()


def test_a_command_that_closes_its_streams_is_waited_for_without_work() -> None:
    before = time.thread_time()
    made = LocalCommand(Processes()).create(Context(COMMAND), {"create": "exec <&- >&- 2>&-; sleep 1; exit 0"})
    assert made.outputs["stdout"] == ""
    assert time.thread_time() - before < 0.3


def test_a_command_cannot_be_imported(plugin: PluginProcess) -> None:
    made = plugin.create(COMMAND, "import", {"create": "true"})
    assert plugin.read(made) is not None
    made.inputs, made.outputs = {}, {}
    with pytest.raises(RefusedError, match="cannot be imported"):
        plugin.read(made)


def test_commands_end_with_the_plugin(tmp_path: Path) -> None:
    """The engine is killed: nothing of its run goes on."""
    script = (
        "import threading, time\n"
        "from toolchain.plugins.command.local import Processes\n"
        "from toolchain.plugins.kit import Context\n"
        "processes = Processes()\n"
        f"run = lambda: processes.run(Context('t'), 'echo $$ > {tmp_path}/pid; sleep 300', {{}}, {{}})\n"
        "threading.Thread(target=run, daemon=True).start()\n"
        f"import pathlib\nwhile not pathlib.Path('{tmp_path}/pid').exists(): time.sleep(0.05)\n"
        "processes.end_all()\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip(), "cwd").exists()
