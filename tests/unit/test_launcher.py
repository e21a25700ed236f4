"""The launcher makes `.venv` once, whoever else starts it, and however an earlier first run ended."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from cli.commands import app
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]

# Stands in for a Python: makes an environment whose `python` notes what is installed and repeats what it is asked.
PYTHON = """\
#!/bin/sh
case "$*" in
-c*) ;;
"-m venv"*)
    for folder; do :; done
    [ "$3" != --clear ] || rm -rf "$folder"
    mkdir -p "$folder/bin"
    cp "$0" "$folder/bin/python"
    cp "$0" "$folder/bin/pip"
    ;;
*"pip install"*)
    echo install >>"$LOG"
    [ ! -e "$LOG.fail" ] || exit 1
    while [ -e "$LOG.block" ]; do sleep 0.05; done
    sleep 0.2
    ;;
"-m cli"*) echo "ran $*${PYTHONDONTWRITEBYTECODE:+, not compiled}" ;;
*) echo "Python 3.11.0" ;;
esac
"""


class Checkout:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "check out"
        self.root.mkdir()
        for name in ("factory", "requirements.lock"):
            shutil.copy2(ROOT / name, self.root / name)
        python = folder / "python-that-is-none"
        python.write_text(PYTHON)
        python.chmod(0o755)
        self.log = folder / "log"
        self.environment = os.environ | {
            "FACTORY_PYTHON": str(python),
            "LOG": str(self.log),
            "PYTHONDONTWRITEBYTECODE": "1",  # as many an image of a container has it
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["./factory", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int | None, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    @property
    def installs(self) -> int:
        return len(self.log.read_text().split()) if self.log.exists() else 0

    @property
    def lock(self) -> Path:
        return self.root / ".venv.lock"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_launcher_is_valid_in_each_shell(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    assert subprocess.run([shell, "-n", ROOT / "factory"], check=False).returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], []])
def test_help_works_before_anything_is_installed(checkout: Checkout, arguments: list[str]) -> None:
    status, out, _ = checkout.run(*arguments)
    assert status == 0
    assert out.startswith("Usage: ./factory COMMAND")
    assert not (checkout.root / ".venv").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["help"], []])
def test_help_is_one_thing_before_and_after(checkout: Checkout, arguments: list[str]) -> None:
    checkout.run("status")
    assert checkout.run(*arguments)[:2] == (0, "ran -m cli --help\n")


def test_a_python_may_lie_in_a_folder_with_a_blank(checkout: Checkout, tmp_path: Path) -> None:
    folder = tmp_path / "my tools"
    folder.mkdir()
    python = shutil.copy2(checkout.environment["FACTORY_PYTHON"], folder)
    checkout.environment |= {"FACTORY_PYTHON": str(python), "PATH": "/usr/bin:/bin"}
    assert checkout.run("status")[:2] == (0, "ran -m cli status\n")
    assert checkout.installs == 1


def test_a_path_with_a_colon_is_refused_before_anything_is_installed(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    checkout = Checkout(folder)
    status, out, err = checkout.run("status")
    assert (status, out) == (1, "")
    assert "has a colon" in err
    assert checkout.installs == 0


def test_help_names_every_command(checkout: Checkout) -> None:
    _, out, _ = checkout.run("--help")
    commands = {*get_command(app).commands}  # type: ignore[attr-defined]  # a group, for there are several
    assert commands == {name for name in commands if re.search(rf"(^|  ){name}  ", out, re.MULTILINE)}


def test_an_interrupt_during_the_imports_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cli", "status"]
    # The folder of the run is searched first.
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_the_first_run_makes_the_environment_and_the_second_does_not(checkout: Checkout) -> None:
    assert checkout.run("status", "--json")[:2] == (0, "ran -m cli status --json\n")
    assert checkout.run("status")[:2] == (0, "ran -m cli status\n")
    assert checkout.installs == 1
    assert not checkout.lock.is_symlink()


def test_changed_packages_are_installed_again(checkout: Checkout) -> None:
    checkout.run("status")
    lock = checkout.root / "requirements.lock"
    lock.write_text(lock.read_text() + "# changed\n")
    assert checkout.run("status")[0] == 0
    assert checkout.installs == 2


def test_of_two_first_runs_one_installs_and_both_go_on(checkout: Checkout) -> None:
    both = [checkout.start("one"), checkout.start("two")]
    answers = [process.communicate(timeout=120)[0] for process in both]
    assert answers == ["ran -m cli one\n", "ran -m cli two\n"]
    assert checkout.installs == 1


def test_a_failed_installation_is_told_and_tried_again(checkout: Checkout) -> None:
    failing = Path(f"{checkout.log}.fail")
    failing.touch()
    status, out, err = checkout.run("status")
    assert (status, out) == (1, "")
    assert "could not be installed" in err
    failing.unlink()
    assert checkout.run("status")[0] == 0
    assert checkout.installs == 2


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_first_run_does_not_stop_the_next(checkout: Checkout, end: signal.Signals) -> None:
    blocking = Path(f"{checkout.log}.block")
    blocking.touch()
    process = checkout.start("status")
    until(lambda: checkout.installs == 1)
    os.killpg(process.pid, end)
    process.communicate(timeout=120)
    assert process.returncode != 0
    blocking.unlink()
    assert checkout.run("status")[:2] == (0, "ran -m cli status\n")
    assert checkout.installs == 2
    assert not checkout.lock.is_symlink()


@pytest.mark.parametrize("upgrade", ["gone", "another version"])
def test_an_upgrade_of_python_makes_the_environment_anew(checkout: Checkout, tmp_path: Path, upgrade: str) -> None:
    checkout.run("status")
    python = checkout.root / ".venv/bin/python"
    python.unlink()
    if upgrade == "gone":
        python.symlink_to("python-that-was")
    else:
        newer = tmp_path / "newer"
        newer.write_text("#!/bin/sh\necho No module named pip >&2; exit 1\n")
        newer.chmod(0o755)
        python.symlink_to(newer)
    assert checkout.run("status")[:2] == (0, "ran -m cli status\n")
    assert checkout.installs == 2
    assert checkout.run("status")[:2] == (0, "ran -m cli status\n")
    assert checkout.installs == 2


def test_an_upgrade_in_the_middle_of_a_first_run_is_no_dead_end(checkout: Checkout) -> None:
    Path(f"{checkout.log}.fail").touch()
    assert checkout.run("status")[0] == 1
    Path(f"{checkout.log}.fail").unlink()
    python = checkout.root / ".venv/bin/python"
    python.unlink()
    python.symlink_to("python-that-was")
    assert checkout.run("status")[:2] == (0, "ran -m cli status\n")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here: a number alone tells nothing")
@pytest.mark.parametrize("start", ["", "-", "-1"])
def test_a_lock_whose_number_another_process_has_now_is_no_lock(checkout: Checkout, start: str) -> None:
    checkout.lock.symlink_to(f"{os.getpid()}{start}")
    assert checkout.run("status")[:2] == (0, "ran -m cli status\n")
    assert not checkout.lock.is_symlink()


def test_who_waits_says_once_for_whom_and_how_to_get_past(checkout: Checkout) -> None:
    blocking = Path(f"{checkout.log}.block")
    blocking.touch()
    maker = checkout.start("one")
    until(lambda: checkout.installs == 1)
    waiting = checkout.start("two")
    assert waiting.stderr is not None
    said = waiting.stderr.readline()
    blocking.unlink()
    out, rest = waiting.communicate(timeout=120)
    maker.communicate(timeout=120)
    assert f"waiting for process {maker.pid}, which makes .venv; if it hangs, end it; if it is another program," in said
    assert str(checkout.lock) in said
    assert (out, rest) == ("ran -m cli two\n", "")
    assert checkout.installs == 1


def test_text_is_utf_8_whatever_the_locale_says(checkout: Checkout) -> None:
    python = Path(checkout.environment["FACTORY_PYTHON"])
    python.write_text(python.read_text().replace('echo "ran $*', 'echo "ran $PYTHONUTF8 $*'))
    assert checkout.run("status")[:2] == (0, "ran 1 -m cli status\n")


def test_without_a_python_it_says_what_to_do(checkout: Checkout, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cksum", "tr", "dirname", "readlink", "ln", "rm", "id", "cat"):
        (tools / name).symlink_to(str(shutil.which(name)))
    checkout.environment |= {"PATH": str(tools), "FACTORY_PYTHON": ""}
    status, out, err = checkout.run("status")
    assert (status, out) == (1, "")
    assert "no Python >= 3.11" in err
    assert not checkout.lock.is_symlink()
