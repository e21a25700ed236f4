"""A Docker daemon of a test's own, and an image of a few kilobytes, made here: nothing is pulled."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

IMAGE = "sleeper"
_SECONDS = 60


def dockerd() -> str | None:
    """Return the daemon's program, if this machine has it and lets us run it."""
    found = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return found if os.geteuid() == 0 and shutil.which("docker") else None


@dataclass(frozen=True)
class Daemon:
    """A running daemon."""

    socket: Path
    client: Path
    """The client's own directory, with its plugins."""

    def run(self, name: str, labels: Mapping[str, str], *options: str) -> None:
        """Start a container that does nothing."""
        marks = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
        self.docker("run", "--detach", "--name", name, *marks, *options, IMAGE, "/busybox", "sleep", "600")

    def docker(self, *arguments: str) -> str:
        """Run `docker ARGUMENTS`."""
        done = subprocess.run(
            ["docker", *arguments], env=os.environ | self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find it."""
        return {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(self.client)}


@contextmanager
def daemon(folder: Path, busybox: Path, compose: Path | None = None) -> Iterator[Daemon]:
    """Run a daemon without a network of its own.

    `busybox` is a static program for its image, `compose` what its client runs for `docker compose`.
    """
    program = dockerd()
    assert program is not None
    with ExitStack() as ending:
        # Its sockets lie deep in here, and the path of a socket has 107 characters at most.
        short = ending.enter_context(TemporaryDirectory(prefix="docker-", ignore_cleanup_errors=True))
        socket, pid = folder / "docker.sock", folder / "docker.pid"
        options = {"data-root": folder / "data", "exec-root": short, "pidfile": pid, "host": f"unix://{socket}"}
        flags = [f"--{name}={value}" for name, value in options.items()]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([program, *flags, "--bridge=none", "--iptables=false"], stdout=log, stderr=log)
        ending.callback(_end, process, str(folder), short)
        running = Daemon(socket, folder / "client")
        if compose is not None:
            plugins = running.client / "cli-plugins"
            plugins.mkdir(parents=True)
            (plugins / "docker-compose").symlink_to(compose)
        _await(running, process, folder / "log")
        subprocess.run(
            ["docker", "import", "-", IMAGE],
            input=_image(busybox),
            env=os.environ | running.environment,
            check=True,
            capture_output=True,
        )
        yield running
        names = running.docker("ps", "--all", "--quiet").split()
        if names:
            running.docker("rm", "--force", *names)


def _end(process: subprocess.Popen[bytes], *folders: str) -> None:
    """Stop the daemon, and unmount what it leaves mounted."""
    process.terminate()
    process.wait(_SECONDS)
    for mount in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        place = mount.split()[1]
        if place.startswith(tuple(f"{folder}/" for folder in folders)):
            subprocess.run(["umount", "--lazy", place], check=True)


def _await(running: Daemon, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        done = subprocess.run(
            ["docker", "version"], env=os.environ | running.environment, capture_output=True, check=False
        )
        if done.returncode == 0:
            return
        assert process.poll() is None, log.read_text("utf-8")[-2000:]
        assert time.monotonic() < deadline, log.read_text("utf-8")[-2000:]
        time.sleep(0.2)


def _image(busybox: Path) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("busybox")
        content = busybox.read_bytes()
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
