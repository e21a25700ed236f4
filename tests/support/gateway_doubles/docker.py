"""The `docker` of a gateway's test machine, where no daemon runs: what a gateway asks of it, and nothing else.

A container is a unit of systemd that sees the files that its mounts say. Its program is the real one where the machine
has it (nginx), else a double of `serve.py`. What the real one refuses is refused: an image or a source of a mount that
is not there. Each call is noted in `CALLS`.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

CALLS = Path("/var/log/docker-calls")
RECORDS = Path("/var/lib/docker-double")
SERVE = "/usr/lib/docker-double/serve.py"
STATIC = "/usr/share/nginx/html/"
REAL_TRAEFIK = "/usr/bin/traefik"
PROGRAMS: dict[str, list[str]] = {
    "nginx": ["/usr/sbin/nginx", "-g", "daemon off;"],
    "traefik": [REAL_TRAEFIK] if Path(REAL_TRAEFIK).exists() else [SERVE, "traefik"],
    "adguardhome": [],
    "backend": [SERVE, "http", "7070"],
    "eclipse-mosquitto": [SERVE, "http", "1883"],
    "node-exporter": [SERVE, "http", "9101"],
    "frontend": [],
}
FILES = {"frontend": {"index.html": "the pages of {tag}\n"}}


def main(arguments: Sequence[str]) -> None:
    with CALLS.open("a") as calls:
        calls.write(shlex.join(arguments) + "\n")
    RECORDS.mkdir(exist_ok=True)
    verb, *rest = arguments
    if verb == "compose":
        assert rest[0] == "--file", rest
        compose(Path(rest[1]), rest[2], rest[3:])
    else:
        verbs: dict[str, Callable[..., None]] = {"pull": pull, "create": create, "cp": copy, "rm": remove, "boot": boot}
        verbs[verb](*rest)


def compose(file: Path, verb: str, arguments: Sequence[str]) -> None:
    services = yaml.safe_load(file.read_text())["services"]
    for name, service in services.items():
        if not isinstance(service.get("image"), str) or service.get("network_mode") != "host":
            sys.exit(f"services.{name} must have an image, and the host's network")
    if verb in ONE_BY_ONE:
        for name in arguments:
            ONE_BY_ONE[verb](name)
    elif verb in ALL:
        ALL[verb](services, arguments)
    elif verb != "config":
        sys.exit(f"unknown command {verb}")


def pull_all(services: dict[str, Any], _arguments: Sequence[str]) -> None:
    for service in services.values():
        found(service["image"])


def up_all(services: dict[str, Any], _arguments: Sequence[str]) -> None:
    remove_all({record.stem: None for record in RECORDS.glob("*.json") if record.stem not in services}, ())
    for name, service in services.items():
        up(name, service)


def list_all(services: dict[str, Any], arguments: Sequence[str]) -> None:
    paused = arguments[arguments.index("--status") + 1] == "paused"
    print("\n".join(name for name in services if is_active(name) and is_paused(name) is paused))


def remove_all(services: dict[str, Any], _arguments: Sequence[str]) -> None:
    for name in services:
        stop(name)
        (RECORDS / f"{name}.json").unlink(missing_ok=True)


def up(name: str, service: dict[str, Any]) -> None:
    record = RECORDS / f"{name}.json"
    text = json.dumps(service, sort_keys=True)
    if record.exists() and record.read_text() == text and is_active(name):
        return
    for mount in service.get("volumes", []):
        if not Path(mount["source"]).exists():
            sys.exit(f'invalid mount config for type "bind": bind source path does not exist: {mount["source"]}')
    stop(name)
    record.write_text(text)
    start(name, service)


def start(name: str, service: dict[str, Any]) -> None:
    """Run a container; its files are its own, and its network the host's."""
    image = found(service["image"])
    properties = ["PrivateTmp=yes", "Restart=always", f"StandardOutput=append:/var/log/container-{name}.log"]
    properties += [f"StandardError=append:/var/log/container-{name}.log"]
    properties += [f"TemporaryFileSystem={path}" for path in service.get("tmpfs", [])]
    for mount in service.get("volumes", []):
        kind = "BindReadOnlyPaths" if mount.get("read_only") else "BindPaths"
        properties.append(f"{kind}={mount['source']}:{mount['target']}")
    properties += [f"EnvironmentFile={path}" for path in service.get("env_file", [])]
    properties += [
        f"Environment={shlex.quote(f'{key}={value}')}" for key, value in service.get("environment", {}).items()
    ]
    command = service.get("entrypoint") or PROGRAMS[image]
    subprocess.run(
        ["systemd-run", "--quiet", f"--unit={unit(name)}", *(f"--property={each}" for each in properties), *command],
        check=True,
    )


def stop(name: str) -> None:
    subprocess.run(["systemctl", "stop", unit(name)], check=False, stderr=subprocess.DEVNULL)


def resume(name: str) -> None:
    start(name, json.loads((RECORDS / f"{name}.json").read_text()))


def pause(name: str) -> None:
    signal(name, "STOP")
    mark(name).touch()


def unpause(name: str) -> None:
    signal(name, "CONT")
    mark(name).unlink()


def signal(name: str, word: str) -> None:
    subprocess.run(["systemctl", "kill", f"--signal={word}", unit(name)], check=True)


def mark(name: str) -> Path:
    return RECORDS / f"{name}.paused"


def is_paused(name: str) -> bool:
    return mark(name).exists()


def is_active(name: str) -> bool:
    return subprocess.run(["systemctl", "is-active", "--quiet", unit(name)], check=False).returncode == 0


def unit(name: str) -> str:
    return f"container-{name}.service"


def found(image: str) -> str:
    """The name of an image without registry and tag, if there is such an image."""
    name = image.rpartition("/")[2].partition(":")[0]
    if name not in PROGRAMS:
        sys.exit(f"pull access denied for {image}, repository does not exist or may require 'docker login'")
    return name


def pull(*arguments: str) -> None:
    found(arguments[-1])


def create(image: str, _command: str) -> None:
    print(image)


def copy(source: str, target: str) -> None:
    image, _, path = source.rpartition(":")
    assert path == f"{STATIC}.", path
    for name, text in FILES[found(image)].items():
        Path(target, name).write_text(text.format(tag=image.rpartition(":")[2]))


def remove(container: str) -> None:
    print(container)


def boot() -> None:
    """The daemon's start: containers that are to run, run."""
    for record in sorted(RECORDS.glob("*.json")):
        if not is_active(record.stem):
            start(record.stem, json.loads(record.read_text()))


ALL: dict[str, Callable[[dict[str, Any], Sequence[str]], None]] = {
    "pull": pull_all,
    "up": up_all,
    "ps": list_all,
    "down": remove_all,
}
ONE_BY_ONE: dict[str, Callable[[str], None]] = {"stop": stop, "start": resume, "pause": pause, "unpause": unpause}

if __name__ == "__main__":
    main(sys.argv[1:])
