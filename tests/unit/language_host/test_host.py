"""The language host as the engine uses it: over gRPC, with programs that end in every way a program can."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from toolchain.language_host.host import EXEC_SCRIPT
from toolchain.paths import ROOT


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder for PATH with a stand-in for the engine's exec script: it notes what it was given and ends as told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / EXEC_SCRIPT
    script.write_text(
        "import json, os, pathlib, sys\n"
        "program = pathlib.Path(sys.argv[-1])\n"
        "seen = {'environment': pathlib.Path('/proc/self/environ').read_text(),\n"
        "        'arguments': sys.argv[1:], 'config': os.environ['PULUMI_CONFIG'],\n"
        "        'secrets': os.environ['PULUMI_CONFIG_SECRET_KEYS'], 'directory': os.getcwd()}\n"
        "(pathlib.Path.cwd() / 'seen.json').write_text(json.dumps(seen))\n"
        "sys.exit(int((program / 'status').read_text()))\n"
    )
    script.chmod(0o755)
    return folder


@pytest.fixture
def process(scripts: Path) -> Iterator[subprocess.Popen[str]]:
    """The host as a process, with those scripts on its PATH."""
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    host = subprocess.Popen(
        [sys.executable, "-m", "toolchain.language_host", "127.0.0.1:1"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield host
    host.kill()
    host.communicate()


@pytest.fixture
def host(process: subprocess.Popen[str]) -> Iterator[language_pb2_grpc.LanguageRuntimeStub]:
    """A client of the host, after the handshake."""
    assert process.stdout
    with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
        client = language_pb2_grpc.LanguageRuntimeStub(channel)
        client.Handshake(language_pb2.LanguageHandshakeRequest(engine_address="127.0.0.1:7"))
        yield client


def _run(host: language_pb2_grpc.LanguageRuntimeStub, program: Path, status: int) -> language_pb2.RunResponse:
    (program / "status").write_text(str(status))
    request = language_pb2.RunRequest(
        project="p",
        stack="s",
        pwd=str(program),
        dryRun=True,
        parallel=4,
        monitor_address="127.0.0.1:8",
        config={"p:key": "value"},
        configSecretKeys=["p:key"],
        info=language_pb2.ProgramInfo(root_directory=str(program), program_directory=str(program), entry_point="."),
    )
    answer: language_pb2.RunResponse = host.Run(request)
    return answer


def test_a_program_gets_what_the_engine_says(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    answer = _run(host, tmp_path, 0)
    assert (answer.error, answer.bail) == ("", False)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["config"] == '{"p:key": "value"}'
    assert seen["secrets"] == '["p:key"]'
    assert "p:key" not in seen["environment"], "the list of processes shows the environment with which one started"
    assert seen["directory"] == str(tmp_path)
    pairs = dict(zip(seen["arguments"][:-1:2], seen["arguments"][1:-1:2], strict=True))
    assert pairs["--monitor"] == "127.0.0.1:8"
    assert pairs["--engine"] == "127.0.0.1:7"
    assert pairs["--dry_run"] == "true"
    assert pairs["--parallel"] == "4"
    assert seen["arguments"][-1] == str(tmp_path)


def test_an_error_that_was_shown_is_not_shown_again(
    host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path
) -> None:
    answer = _run(host, tmp_path, 32)
    assert answer.bail
    assert not answer.error


def test_any_other_status_is_an_error(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    answer = _run(host, tmp_path, 3)
    assert "status 3" in answer.error
    assert not answer.bail


def test_a_missing_environment_is_named(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    info = language_pb2.ProgramInfo(root_directory=str(tmp_path), program_directory=str(tmp_path), entry_point=".")
    info.options.update({"virtualenv": "no-such-folder"})
    answer = host.Run(language_pb2.RunRequest(project="p", stack="s", pwd=str(tmp_path), info=info))
    assert "no-such-folder" in answer.error
    assert "virtualenv" in answer.error


def test_a_policy_pack_is_run_and_its_output_passed_on(
    host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path
) -> None:
    (tmp_path / "__main__.py").write_text("import sys\nprint(4711)\nprint('careful', file=sys.stderr)\n")
    request = language_pb2.RunPluginRequest(
        pwd=str(tmp_path),
        kind="analyzer",
        args=["127.0.0.1:1"],
        env=[f"{name}={value}" for name, value in os.environ.items()],
        info=language_pb2.ProgramInfo(root_directory=str(tmp_path), program_directory=str(tmp_path), entry_point="."),
    )
    messages = list(host.RunPlugin(request))
    assert b"4711" in b"".join(message.stdout for message in messages)
    assert messages[-1].HasField("exitcode")


def test_another_kind_of_plugin_is_refused(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        list(host.RunPlugin(language_pb2.RunPluginRequest(pwd=str(tmp_path), kind="converter")))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "converter" in refused.value.details()


def test_what_cannot_be_installed_is_one_sentence(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    for options, sentence in (
        ({}, f"pip install -r requirements.txt in {tmp_path} ended with status 1"),
        ({"virtualenv": "none"}, f"{tmp_path}/none/bin/python does not exist"),
    ):
        info = language_pb2.ProgramInfo(program_directory=str(tmp_path), entry_point=".")
        info.options.update(options)
        with pytest.raises(grpc.RpcError) as refused:
            list(host.InstallDependencies(language_pb2.InstallDependenciesRequest(info=info)))
        assert refused.value.details().startswith(sentence)


def test_it_names_the_sdk_it_speaks_for(host: language_pb2_grpc.LanguageRuntimeStub) -> None:
    assert host.GetPluginInfo(Empty()).version == importlib.metadata.version("pulumi")
    names = {
        found.name for found in host.GetProgramDependencies(language_pb2.GetProgramDependenciesRequest()).dependencies
    }
    assert "pulumi" in names


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_its_program_at_once(process: subprocess.Popen[str], number: signal.Signals) -> None:
    assert process.stdout
    process.stdout.readline()
    process.send_signal(number)
    process.wait(timeout=60)


def test_it_ends_with_its_engine(scripts: Path) -> None:
    engine = (
        "import subprocess, sys\n"
        "command = [sys.executable, '-m', 'toolchain.language_host']\n"
        "host = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n"
        "host.stdout.readline()\n"
        "print(host.pid)\n"
    )
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", engine], env=environment, capture_output=True, text=True, check=True)
    process = Path("/proc", ended.stdout.strip(), "stat")
    deadline = time.monotonic() + 90
    while process.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.exists()
