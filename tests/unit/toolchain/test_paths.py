"""Where things are kept, and how progress is told."""

import io
import stat
from pathlib import Path

import pytest

from toolchain import ToolError, cache_dir, state_dir
from toolchain.progress import Console, Progress, duration, size


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("FACTORY_CACHE", "FACTORY_STATE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_defaults_lie_in_the_home_directory(home: Path) -> None:
    assert cache_dir() == home / ".cache" / "factory"
    assert state_dir().parent == home / ".local" / "state" / "factory"
    assert len(state_dir().name) == 12


def test_both_are_the_owners_alone(home: Path) -> None:
    for directory in (cache_dir(), state_dir()):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert home in directory.parents


def test_xdg_is_honoured_unless_relative(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert cache_dir() == home / "xdg" / "factory"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_dir() == home / ".cache" / "factory"


def test_the_variables_win(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_CACHE", "~/mine")
    monkeypatch.setenv("FACTORY_STATE", str(home / "state"))
    assert (cache_dir(), state_dir()) == (home / "mine", home / "state")


def test_another_checkout_has_another_state(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = state_dir()
    monkeypatch.setattr("toolchain.paths.ROOT", home)
    assert state_dir() != here


def test_a_link_to_the_checkout_has_the_same_state(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "checkout").mkdir()
    (home / "link").symlink_to(home / "checkout")
    monkeypatch.setattr("toolchain.paths.ROOT", home / "checkout")
    direct = state_dir()
    monkeypatch.setattr("toolchain.paths.ROOT", home / "link")
    assert state_dir() == direct


@pytest.mark.usefixtures("home")
def test_a_directory_without_the_right_to_write_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ToolError, match="is not writable"):
        cache_dir()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_off_a_terminal_is_plain_lines_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    progress = Progress(Console(stream), "building etcd", 60)
    for clock[0] in range(65):
        progress.tick()
    progress.done("done")
    assert stream.getvalue().splitlines() == [
        "building etcd: 30s of about 1m00s",
        "building etcd: 1m00s of about 1m00s",
        "building etcd: done (1m04s)",
    ]
    assert "\r" not in stream.getvalue()


def test_progress_on_a_terminal_rewrites_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    stream = Terminal()
    console = Console(stream)
    progress = Progress(console, "building", 60)
    for clock[0] in (0.4, 1.0, 1.5, 2.0):
        progress.tick()
    console("next")
    text = "building: 2s of about 1m00s"
    assert stream.getvalue() == f"\rbuilding: 1s of about 1m00s\r{text}\r{' ' * len(text)}\rnext\n"


def test_numbers_are_for_people() -> None:
    assert [duration(value) for value in (0, 59, 60, 3599)] == ["0s", "59s", "1m00s", "59m59s"]
    assert [size(value) for value in (27_009_186, 1_250_000_000)] == ["27 MB", "1.2 GB"]
