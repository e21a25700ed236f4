"""Test machines: Debian with systemd in a container, reached over OpenSSH, in the state of its image after each reset.

Everything a machine has lives in namespaces of its own: mounts and files in memory, and a network with one link to this
machine. All of it disappears with its processes, so a run that is killed leaves nothing to clean up.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.service import launched
from tests.support.machine_image import CAREFUL, DEPLOYER, image
from toolchain.debian_packages import program

PROGRAMS = ("systemd-nspawn", "mmdebstrap", "ip", "nsenter", "unshare", "mount")
_START_SECONDS = 30
_STOP_SECONDS = 10
_COMMAND_SECONDS = 60
_LINK_PREFIX = 30
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
_GROUP = "factory-machine-"
_NETWORK = ipaddress.ip_network("10.128.0.0/9")

# Run in fresh namespaces for mounts and network.
_BOOT = """\
set -eu
wires=$1 layers=$2 work=$3 name=$4 systemd=$5 options=$6
shift 6
for group in "$@"; do mkdir -p "$group"; echo $$ > "$group/cgroup.procs"; done
# Whoever has mounted something there keeps what the machine writes.
mountpoint -q "$work" || mount -t tmpfs -o mode=755 machine "$work"
mkdir -p "$work/upper" "$work/scratch" "$work/root"
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$work/upper,workdir=$work/scratch" "$work/root"
ip link set lo up
eval "$wires"
# A network of its own: its kernel parameters may be set.
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
exec "$systemd" --quiet --boot --register=no $options --directory="$work/root" --machine="$name" \\
    --network-namespace-path=/proc/self/ns/net --capability=CAP_NET_ADMIN
"""


def missing() -> str:
    """Say why there can be no test machine here; empty when there can."""
    if os.geteuid() != 0:
        return "test machines need root"
    absent = [name for name in PROGRAMS if program(name) is None]
    return f"test machines need {', '.join(absent)}" if absent else ""


@dataclass(frozen=True)
class Keys:
    """The key pairs of a machine and of whoever logs in to it; they outlive its resets."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Keys:
        """Make both pairs in a folder."""
        for name in ("host", "client"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)]
            subprocess.run(command, check=True, timeout=_COMMAND_SECONDS)
        return cls(folder)

    @property
    def host_key(self) -> str:
        """The machine's public key."""
        return (self.folder / "host.pub").read_text().strip()

    @property
    def client(self) -> Path:
        """The file of the private key that may log in as every user."""
        return self.folder / "client"

    @property
    def private_key(self) -> str:
        """The private key that may log in as every user."""
        return self.client.read_text()


@dataclass
class Machine:
    """One machine. It is usable between `start` and `stop`; `reset` puts it into the state of its image, running."""

    name: str
    folder: Path
    keys: Keys
    seeds: Sequence[Path] = ()
    """Directories laid over the image, the first on top: what each reset shall find again."""
    port: int = 22
    _link: ipaddress.IPv4Network = field(init=False)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    _leader: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._link = unused_network()
        seed, ssh = self.folder / "identity", self.folder / "identity/etc/ssh"
        ssh.mkdir(parents=True)
        for source, target in (("host", "ssh_host_ed25519_key"), ("host.pub", "ssh_host_ed25519_key.pub")):
            shutil.copy(self.keys.folder / source, ssh / target)
        (seed / "etc/hostname").write_text(f"{self.name}\n")
        (seed / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        owners = {"root": 0, f"home/{DEPLOYER}": 1000, f"home/{CAREFUL}": 1001}
        for home, owner in owners.items():
            keys = seed / home / ".ssh"
            keys.mkdir(parents=True)
            shutil.copy(self.keys.folder / "client.pub", keys / "authorized_keys")
            for path, mode in ((keys.parent, 0o700), (keys, 0o700), (keys / "authorized_keys", 0o600)):
                os.chown(path, owner, owner)
                path.chmod(mode)
        (self.folder / "boot").write_text(_BOOT)

    @property
    def address(self) -> str:
        """Where it is reached from this machine."""
        return str(self._link[2])

    @property
    def _own_link(self) -> str:
        """The name of this machine's end of the link."""
        return f"ve{self._link[1].packed.hex()[2:]}"

    def start(self) -> None:
        """Boot; returns when OpenSSH answers. Raises RuntimeError with the console's last lines when it does not."""
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        layers = ":".join(str(layer) for layer in (self.folder / "identity", *self.seeds, image()))
        # Where systemd does not run this machine, it cannot be asked for a scope.
        keep = "" if Path("/run/systemd/system").is_dir() else "--keep-unit"
        groups = _control_groups(self.name) if keep else []
        arguments = [self._wires(), layers, str(work), self.name]
        script = ["sh", str(self.folder / "boot"), *arguments, str(program("systemd-nspawn"))]
        script += [" ".join([keep, *self._options()]), *map(str, groups)]
        command = [*self._place(), str(program("unshare")), "--mount", "--net", "--propagation=private", *script]
        with (self.folder / "console").open("wb") as console:
            self._process = subprocess.Popen(
                launched(tuple(command), unprivileged=False, death_signal=signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait(self._connected, "its network")
        self._wait(self.answers, "OpenSSH")
        # Not earlier: the first children of nspawn only prepare the machine's namespaces.
        self._leader = int(Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text())

    def stop(self) -> None:
        """End it at once, with all that it has in memory."""
        process, leader = self._process, self._leader
        self._process, self._leader = None, 0
        if process is None:
            return
        if leader and process.poll() is None:
            # With its first process all others of the machine end; killed itself, nspawn would leave them.
            os.kill(leader, signal.SIGKILL)
        else:
            process.terminate()
        process.wait(_STOP_SECONDS)
        self._disconnect()
        deadline = time.monotonic() + _STOP_SECONDS
        for group in _control_groups(self.name):
            while not _removed(group):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"processes of the machine {self.name} are still in {group}")
                time.sleep(0.01)
        with suppress(OSError):
            Path("/run/systemd/nspawn/propagate", self.name).rmdir()

    def reset(self) -> None:
        """Boot anew from the image."""
        self.stop()
        self.start()

    def run(self, *command: str, check: bool = True, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command as root inside, without OpenSSH; with `check`, a failure shows what it printed."""
        done = subprocess.run(
            self._inside(*command),
            check=False,
            capture_output=True,
            text=True,
            input=typed,
            env=_ENVIRONMENT,
            timeout=_COMMAND_SECONDS,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    @contextmanager
    def running_inside(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command inside meanwhile; it ends with its input, or is killed."""
        with subprocess.Popen(
            self._inside(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_ENVIRONMENT
        ) as process:
            try:
                yield process
            finally:
                if process.stdin is not None:
                    process.stdin.close()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_SECONDS)
                process.kill()

    def path(self, path: str) -> Path:
        """Return where this machine finds a file of that one. Absolute links inside lead astray."""
        return Path(f"/proc/{self._leader}/root", path.lstrip("/"))

    def network(self, *command: str) -> None:
        """Run a program of this machine as root in that one's network."""
        enter = [str(program("nsenter")), f"--target={self._leader}", "--net", "--", *command]
        subprocess.run(enter, check=True, capture_output=True, timeout=_COMMAND_SECONDS)

    def _place(self) -> list[str]:
        """Return the command by which the machine's namespaces are made somewhere else than in this one's."""
        return []

    def _options(self) -> list[str]:
        """Return further options of systemd-nspawn; none holds a space."""
        return []

    def _wires(self) -> str:
        """Return the commands that make its interfaces, run as root in its network."""
        return (
            f"ip link add host0 type veth peer name {self._own_link} netns {os.getpid()}\n"
            f"ip address add {self.address}/{self._link.prefixlen} dev host0\n"
            "ip link set host0 up"
        )

    def _connected(self) -> bool:
        """Bring up the other end of its wires, once it is there; false until then."""
        if not Path("/sys/class/net", self._own_link).exists():
            return False
        ip("address", "add", f"{self._link[1]}/{self._link.prefixlen}", "dev", self._own_link)
        ip("link", "set", self._own_link, "up")
        return True

    def _disconnect(self) -> None:
        """Remove that end. The kernel would too, but later, when the next start has the same name."""
        ip("link", "delete", self._own_link, check=False)

    def _inside(self, *command: str) -> list[str]:
        enter = [str(program("nsenter")), f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        return [*enter, "--root", "--wd=/", "--", *command]

    def answers(self) -> bool:
        """Tell whether OpenSSH greets."""
        try:
            with socket.create_connection((self.address, self.port), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                console = (self.folder / "console").read_text("utf-8", "replace")[-2000:]
                self.stop()
                raise RuntimeError(f"the test machine {self.name} did not come up with {what}:\n{console}")
            time.sleep(0.02)


@contextmanager
def running(name: str, *, seeds: Sequence[Path] = ()) -> Iterator[Machine]:
    """Run a machine of that name and this process's id."""
    with tempfile.TemporaryDirectory(prefix="factory-machine-") as folder:
        keys = Path(folder, "keys")
        keys.mkdir()
        _forget_the_dead()
        machine = Machine(f"{name}-{os.getpid()}", Path(folder), Keys.make(keys), seeds=seeds)
        try:
            machine.start()
            yield machine
        finally:
            machine.stop()


def _control_groups(name: str) -> list[Path]:
    """List the groups that a machine's systemd must have to itself, in each hierarchy by which systemd works."""
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        place, (kind, _, options) = before.split()[4], after.split(maxsplit=2)
        hierarchy = "" if kind == "cgroup2" else "name=systemd" if "name=systemd" in options.split(",") else None
        if kind in {"cgroup", "cgroup2"} and hierarchy is not None and hierarchy in own:
            found.append(Path(place, own[hierarchy].lstrip("/"), f"{_GROUP}{name}"))
    return found


def _forget_the_dead() -> None:
    """Remove the empty groups that machines of killed runs left; with the runs' processes theirs have ended."""
    for parent in {group.parent for group in _control_groups("")}:
        for group in parent.glob(f"{_GROUP}*"):
            owner = group.name.rpartition("-")[2]
            if owner.isdigit() and not Path("/proc", owner).exists():
                _removed(group)


def _removed(group: Path) -> bool:
    """Remove a control group and those below it; false while processes are in it."""
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            Path(folder).rmdir()
        except OSError:
            return False
    return True


def unused_network(prefix: int = _LINK_PREFIX) -> ipaddress.IPv4Network:
    """Draw a network that this machine does not know yet; by default one of two addresses."""
    listed = subprocess.run(
        [str(program("ip")), "-json", "-4", "address"], check=True, capture_output=True, timeout=_COMMAND_SECONDS
    )
    known = [
        ipaddress.ip_network(f"{entry['local']}/{entry['prefixlen']}", strict=False)
        for device in json.loads(listed.stdout)
        for entry in device["addr_info"]
    ]
    draw = random.SystemRandom()
    size = 1 << (_NETWORK.max_prefixlen - prefix)
    while True:
        offset = draw.randrange(_NETWORK.num_addresses // size) * size
        network = ipaddress.IPv4Network((int(_NETWORK.network_address) + offset, prefix))
        if not any(network.overlaps(other) for other in known):
            return network


def ip(*arguments: str, check: bool = True) -> None:
    """Run `ip ARGUMENTS` as root in this machine's network."""
    subprocess.run([str(program("ip")), *arguments], check=check, capture_output=True, timeout=_COMMAND_SECONDS)
