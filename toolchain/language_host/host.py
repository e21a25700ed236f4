"""What the engine asks of a language: run a program, run a policy pack, name the packages a program needs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import IO

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from toolchain.fork_server import interpreter

EXEC_SCRIPT = "pulumi-language-python-exec"
RUN_PROGRAM = Path(__file__).with_name("run_program.py")
# The exec script ends with this status after it has shown the error itself.
STATUS_ERROR_SHOWN = 32


def _interpreter(directory: str, options: Struct) -> str:
    """Return the interpreter of the environment that the project file names, else the one running this host."""
    environment = str(dict(options).get("virtualenv") or os.environ.get("PULUMI_RUNTIME_VIRTUALENV") or "")
    if not environment:
        return sys.executable
    python = Path(directory, environment, "bin", "python")
    if not python.is_file():
        message = f"{python} does not exist; the project's runtime option `virtualenv` names {environment!r}"
        raise FileNotFoundError(message)
    return str(python)


class PythonHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The language runtime `python`, as far as up, preview, refresh, destroy and policy packs need it."""

    def __init__(self) -> None:
        self._engine_address = ""

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, _context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Keep the engine's address: the programs that are run report to it."""
        self._engine_address = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, _request: Empty, _context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Tell the version of the installed SDK, which is what this host speaks."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def GetRequiredPackages(
        self, _request: language_pb2.GetRequiredPackagesRequest, _context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """Name no package ahead: the engine loads a plugin when a resource of it is registered.

        Every installed package would otherwise be demanded, also those of sections that a stack does not have.
        """
        return language_pb2.GetRequiredPackagesResponse()

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run the program to its end. A program which has shown its own error is a `bail`, not a crash."""
        script = shutil.which(EXEC_SCRIPT)
        if script is None:
            return language_pb2.RunResponse(error=f"{EXEC_SCRIPT} is not on PATH; run `./factory tools`")
        directory = request.info.program_directory or request.pwd
        try:
            python = _interpreter(request.info.root_directory or directory, request.info.options)
        except FileNotFoundError as error:
            return language_pb2.RunResponse(error=str(error))
        arguments = []
        for name, value in (
            ("monitor", request.monitor_address),
            ("engine", self._engine_address),
            ("project", request.project),
            ("stack", request.stack),
            ("pwd", request.pwd),
            ("dry_run", "true" if request.dryRun else ""),
            ("parallel", str(request.parallel)),
            ("root_directory", request.info.root_directory),
            ("organization", request.organization),
        ):
            if value:
                arguments += [f"--{name}", value]
        entry = request.info.entry_point or "."
        variables = {
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        # The program's start alone reads this file, which has no name; an environment is seen in the list of processes.
        with os.fdopen(os.memfd_create("configuration"), "wb+") as file:
            file.write(json.dumps(variables).encode())
            file.seek(0)
            command = [*interpreter(python), str(RUN_PROGRAM), str(file.fileno()), script, *arguments]
            program = subprocess.Popen(
                [*command, str(Path(directory, entry)), *request.args], cwd=request.pwd, pass_fds=[file.fileno()]
            )
        context.add_callback(lambda: _end(program))
        status = program.wait()
        if status == STATUS_ERROR_SHOWN:
            return language_pb2.RunResponse(bail=True)
        if status:
            return language_pb2.RunResponse(error=f"the program ended with status {status}")
        return language_pb2.RunResponse()

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a policy pack and pass on what it prints; the engine reads its port from there."""
        if request.kind not in {"", "analyzer"}:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"plugins of kind {request.kind!r} are not run by this host")
        directory = request.info.program_directory
        try:
            python = _interpreter(directory, request.info.options)
        except FileNotFoundError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        pack = subprocess.Popen(
            [*interpreter(python), "-m", "pulumi.policy", *request.args, directory],
            cwd=request.pwd,
            env=dict(entry.split("=", 1) for entry in request.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        context.add_callback(lambda: _end(pack))
        yield from _output_of(pack)
        yield language_pb2.RunPluginResponse(exitcode=pack.wait())

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Install the program's `requirements.txt` into its environment with pip."""
        directory = request.info.program_directory or request.directory
        try:
            python = _interpreter(request.info.root_directory or directory, request.info.options)
        except FileNotFoundError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        pip = subprocess.Popen(
            [python, "-m", "pip", "install", "-r", "requirements.txt"],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        context.add_callback(lambda: _end(pip))
        for line in pip.stdout or ():
            yield language_pb2.InstallDependenciesResponse(stdout=line)
        if pip.wait():
            message = f"pip install -r requirements.txt in {directory} ended with status {pip.returncode}"
            context.abort(grpc.StatusCode.UNKNOWN, message)

    def About(self, _request: language_pb2.AboutRequest, _context: grpc.ServicerContext) -> language_pb2.AboutResponse:
        """Name the interpreter, for `pulumi about`."""
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetProgramDependencies(
        self, _request: language_pb2.GetProgramDependenciesRequest, _context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """List the installed distributions, for `pulumi about`."""
        installed = sorted({(found.name, found.version) for found in importlib.metadata.distributions()})
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=name, version=version) for name, version in installed]
        )

    def RuntimeOptionsPrompts(
        self, _request: language_pb2.RuntimeOptionsRequest, _context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        """Ask nothing: `pulumi new` is not what this host is for."""
        return language_pb2.RuntimeOptionsResponse()

    def Cancel(self, _request: Empty, _context: grpc.ServicerContext) -> Empty:
        """Acknowledge: the engine ends this process, and with it the programs, right after."""
        return Empty()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()


def _output_of(process: subprocess.Popen[bytes]) -> Iterator[language_pb2.RunPluginResponse]:
    """Yield both streams of the process as they come, until both are closed."""
    messages: Queue[language_pb2.RunPluginResponse | None] = Queue()

    def forward(stream: IO[bytes], wrap: Callable[[bytes], language_pb2.RunPluginResponse]) -> None:
        for line in stream:
            messages.put(wrap(line))
        messages.put(None)

    open_streams = 0
    for stream, wrap in (
        (process.stdout, lambda line: language_pb2.RunPluginResponse(stdout=line)),
        (process.stderr, lambda line: language_pb2.RunPluginResponse(stderr=line)),
    ):
        if stream is not None:
            open_streams += 1
            threading.Thread(target=forward, args=(stream, wrap), daemon=True).start()
    while open_streams:
        message = messages.get()
        if message is None:
            open_streams -= 1
        else:
            yield message
