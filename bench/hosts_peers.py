"""The other programs of the benchmark `hosts`, each in an environment of its own below the user's cache."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from bench.hosts_work import FOLDER, GROUP, MODE, OWNER, Target, Work
from toolchain.paths import cache_dir

_SECONDS = 1800
_ANSIBLE = "ansible-core==2.19.14"
_MITOGEN = "mitogen==0.3.54"
_PYINFRA = "pyinfra==3.10.0"
_FORKS = 20

_DEPLOY = """\
from pyinfra.operations import apt, files, systemd
import json
work = json.load(open({work!r}))
for name in sorted(work["files"]):
    files.put(src=work["folder"] + "/" + name, dest=work["target"] + "/" + name,
              mode=work["mode"], user=work["owner"], group=work["group"])
if work["packages"]:
    apt.packages(packages=work["packages"])
for unit in work["units"]:
    systemd.service(service=unit, running=True, enabled=True)
"""


class PeerError(Exception):
    """A peer ended badly: what it printed."""


class Peer:
    """A program that brings work about on machines. Its files lie in a folder that lives as long as the benchmark."""

    name: str
    requirements: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def apply(self, work: Work, targets: Sequence[Target]) -> float | None:
        """Bring the work about on each target; returns seconds where its start is none of it. Raises PeerError."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the program and have it do nothing."""
        raise NotImplementedError

    @property
    def programs(self) -> Path:
        """The programs of the peer's own environment, made the first time."""
        name = "-".join(requirement.replace("==", "-") for requirement in self.requirements)
        home = cache_dir() / "peers" / f"{name}-py{sys.version_info.major}.{sys.version_info.minor}"
        if not (home / "complete").exists():
            venv.create(home, with_pip=True, clear=True)
            self.run([str(home / "bin/pip"), "install", "--quiet", *self.requirements])
            (home / "complete").touch()
        return home / "bin"

    def run(self, command: Sequence[str], **environment: str) -> None:
        """Run a program in the peer's folder."""
        done = subprocess.run(
            command, cwd=self.folder, env=os.environ | environment, check=False, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=_SECONDS,
        )  # fmt: skip
        if done.returncode:
            raise PeerError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")

    def known_hosts(self, targets: Sequence[Target]) -> Path:
        """Write the file of known hosts."""
        path = self.folder / "known_hosts"
        path.write_text("".join(target.known_hosts for target in targets))
        return path

    def sources(self, work: Work) -> Path:
        """Write the files to be copied."""
        path = self.folder / "files"
        path.mkdir(exist_ok=True)
        for name, content in work.files.items():
            (path / name).write_text(content)
        return path


class Ansible(Peer):
    """ansible-core as its manual advises for speed: pipelining, kept connections, no facts."""

    name = "ansible"
    requirements: tuple[str, ...] = (_ANSIBLE,)

    def apply(self, work: Work, targets: Sequence[Target]) -> None:
        """Run a playbook."""
        self.sources(work)
        known = self.known_hosts(targets)
        hosts = {
            f"host{number}": {
                "ansible_host": target.address,
                "ansible_port": target.port,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(target.identity_file),
                "ansible_python_interpreter": "/usr/bin/python3",
            }
            for number, target in enumerate(targets)
        }
        play = {"hosts": "all", "gather_facts": False, "tasks": list(self._tasks(work))}
        for name, document in (("inventory.yml", {"all": {"hosts": hosts}}), ("playbook.yml", [play])):
            (self.folder / name).write_text(yaml.safe_dump(document))
        arguments = f"-o ControlMaster=auto -o ControlPersist=10s -o UserKnownHostsFile={shlex.quote(str(known))}"
        self.run(
            [str(self.programs / "ansible-playbook"), "-i", "inventory.yml", "playbook.yml"],
            ANSIBLE_SSH_ARGS=arguments,
            ANSIBLE_SSH_CONTROL_PATH_DIR=str(self.folder / "control"),
            **self.settings(),
        )

    def start(self) -> None:
        """Print the version."""
        self.run([str(self.programs / "ansible-playbook"), "--version"], **self.settings())

    def settings(self) -> dict[str, str]:
        """Give what is set by environment variables."""
        return {"ANSIBLE_PIPELINING": "1", "ANSIBLE_FORKS": str(_FORKS), "ANSIBLE_HOME": str(self.folder / "home")}

    @staticmethod
    def _tasks(work: Work) -> list[dict[str, object]]:
        tasks: list[dict[str, object]] = []
        if work.files:
            copy = {
                "src": "files/{{ item }}",
                "dest": f"{FOLDER}/{{{{ item }}}}",
                "mode": MODE,
                "owner": OWNER,
                "group": GROUP,
            }
            tasks.append({"ansible.builtin.copy": copy, "loop": sorted(work.files)})
        if work.packages:
            tasks.append({"ansible.builtin.apt": {"name": list(work.packages), "state": "present"}})
        if work.units:
            service = {"name": "{{ item }}", "state": "started", "enabled": True}
            tasks.append({"ansible.builtin.systemd_service": service, "loop": list(work.units)})
        return tasks


class Mitogen(Ansible):
    """The same with mitogen's strategy."""

    name = "ansible + mitogen"
    requirements = (_ANSIBLE, _MITOGEN)

    def settings(self) -> dict[str, str]:
        """Add the strategy."""
        (plugins,) = self.programs.parent.glob("lib/python*/site-packages/ansible_mitogen/plugins/strategy")
        strategy = {"ANSIBLE_STRATEGY_PLUGINS": str(plugins), "ANSIBLE_STRATEGY": "mitogen_linear"}
        return super().settings() | strategy


class Pyinfra(Peer):
    """pyinfra's own command."""

    name = "pyinfra"
    requirements = (_PYINFRA,)

    def apply(self, work: Work, targets: Sequence[Target]) -> None:
        """Run a deploy."""
        sources, known = self.sources(work), self.known_hosts(targets)
        hosts = [
            (
                f"host{number}",
                {
                    "ssh_hostname": target.address,
                    "ssh_port": target.port,
                    "ssh_user": "root",
                    "ssh_key": str(target.identity_file),
                    "ssh_known_hosts_file": str(known),
                    "ssh_strict_host_key_checking": "yes",
                },
            )
            for number, target in enumerate(targets)
        ]
        (self.folder / "inventory.py").write_text(f"hosts = {hosts!r}\n")
        document = {
            "files": list(work.files),
            "packages": work.packages,
            "units": work.units,
            "folder": str(sources),
            "target": FOLDER,
            "mode": MODE.lstrip("0"),
            "owner": OWNER,
            "group": GROUP,
        }
        (self.folder / "work.json").write_text(json.dumps(document))
        (self.folder / "deploy.py").write_text(_DEPLOY.format(work=str(self.folder / "work.json")))
        self.run([str(self.programs / "pyinfra"), "-y", "inventory.py", "deploy.py"])

    def start(self) -> None:
        """Print the version."""
        self.run([str(self.programs / "pyinfra"), "--version"])


class OneByOne(Peer):
    """A connection for every command, as a resource per file would make: look, and write if it differs."""

    name = "one connection per command"

    def apply(self, work: Work, targets: Sequence[Target]) -> None:
        """Run the commands of a machine one after the other, the machines side by side."""
        known = self.known_hosts(targets)
        with ThreadPoolExecutor(len(targets)) as pool:
            for _ in pool.map(lambda target: self._one(work, target, known), targets):
                pass

    def start(self) -> None:
        """Print the version."""
        self.run(["ssh", "-V"])

    def _one(self, work: Work, target: Target, known: Path) -> None:
        def ssh(command: str, typed: str = "") -> str:
            options = ["-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR"]
            place = ["-i", str(target.identity_file), "-p", str(target.port), f"root@{target.address}"]
            done = subprocess.run(
                ["ssh", *options, *place, command], check=False, capture_output=True, text=True, input=typed,
                timeout=_SECONDS,
            )  # fmt: skip
            if done.returncode:
                raise PeerError(f"{command} ended with {done.returncode}\n{done.stderr}")
            return done.stdout

        for name, content in work.files.items():
            self._file(ssh, f"{FOLDER}/{name}", content)
        for package in work.packages:
            ssh(f"dpkg-query --show --showformat='${{Status}}' {shlex.quote(package)} | grep -q 'ok installed'")
        for unit in work.units:
            ssh(f"systemctl is-active {unit} && systemctl is-enabled {unit}")

    @staticmethod
    def _file(ssh: Callable[..., str], path: str, content: str) -> None:
        look = f"test -e {path} && cat {path} && stat --format='%a %U %G' {path} || true"
        if ssh(look) != f"{content}{MODE.lstrip('0')} {OWNER} {GROUP}\n":
            new = f"{path}.new"
            attributes = f"chmod {MODE} {new} && chown {OWNER}:{GROUP} {new}"
            ssh(f"umask 077; cat >{new} && {attributes} && sync {new} && mv {new} {path}", content)


PEERS = (Ansible, Mitogen, Pyinfra, OneByOne)
