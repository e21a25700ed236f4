"""The containers: the configuration of each, and the one file that starts them (section 6.8)."""

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

from ..host.args import DirectoryArgs, FileArgs, HostStateArgs, StepArgs, UnitArgs
from ..host.args_services import Sections
from .args_containers import ConfigFileArgs, ContainerArgs, HostServiceArgs, VolumeArgs
from .formats import digest, env_file, filled, json_text, secret_digest, yaml_text
from .gateway import Gateway
from .render_edge import frontend_directory
from .role import Role, SecretFile, shell

__all__ = ["applied_file", "compose", "container", "host_service", "secret_mark"]

# The note goes before anything is changed: a return to what it says, after a start that failed, starts anew too.
_APPLY: Final = """set -e
docker compose --file "$1" pull --quiet
rm -f "$2"
docker compose --file "$1" up --detach --remove-orphans --quiet-pull
cp "$1" "$2.new" && sync "$2.new" && mv "$2.new" "$2\""""
_START_ADGUARD: Final = (
    "cat /factory/AdGuardHome.yaml /factory/users.yaml > /opt/adguardhome/conf/AdGuardHome.yaml && "
    "exec /opt/adguardhome/AdGuardHome --no-check-update "
    "--config /opt/adguardhome/conf/AdGuardHome.yaml --work-dir /opt/adguardhome/work"
)


def container(gateway: Gateway, name: str, args: ContainerArgs) -> Role:
    """Write what one container reads, and the directories of its data (CM5-115 to CM5-125, CM5-170)."""
    directory = f"{gateway.config_dir}/{name}"
    files: dict[str, FileArgs] = {}
    secret_files: dict[str, SecretFile] = {}
    for file, given in args.files.items():
        path = f"{directory}/{file}"
        if given.secrets:
            files[path] = FileArgs(mode="0600", secret=True)
            secret_files[path] = _with_secrets(given)
        else:
            files[path] = FileArgs(content=_text(given, given.content))
    if variables := args.secret_environment:
        path = f"{directory}/secrets.env"
        files[path] = FileArgs(mode="0600", secret=True)
        secret_files[path] = SecretFile(
            frozenset(variables.values()),
            lambda secrets: env_file({key: secrets[secret] for key, secret in variables.items()}),
        )
    parents = {f"{directory}/{file}".rpartition("/")[0] for file in args.files} | {directory}
    return Role(
        HostStateArgs(
            directories={path: DirectoryArgs() for path in sorted(parents)},
            files=files,
            steps={
                f"volume-{volume}": _volume(f"{gateway.data_dir}/{name}/{volume}", each)
                for volume, each in args.volumes.items()
            },
        ),
        after=("common",),
        secret_files=secret_files,
    )


def _volume(path: str, args: VolumeArgs) -> StepArgs:
    """Make a directory once. Whose it is afterwards is the container's own affair, unless it is said here."""
    if args.owner is None:
        return StepArgs(run=("mkdir", "-p", "-m", args.mode, path), creates=path)
    return StepArgs(
        run=shell('mkdir -p "$1" && chown "$2" "$1" && chmod "$3" "$1"', path, args.owner, args.mode),
        unless=shell('[ "$(stat -c %u:%g "$1" 2>/dev/null)" = "$2" ]', path, args.owner),
    )


def host_service(name: str, args: HostServiceArgs) -> Role:
    """Run a service of the host beside the containers (CM5-127, CM5-129, CM5-188)."""
    service, timer = f"{name}.service", f"{name}.timer"
    refs = tuple(f"files:{path}" for path in args.files)
    unit: Sections = args.unit if args.timer else {"Install": {"WantedBy": "multi-user.target"}, **args.unit}
    units = {
        service: UnitArgs(unit=unit, restart_on=refs, **({} if args.timer else {"enabled": True, "running": True}))
    }
    if args.timer:
        started: Sections = {"Install": {"WantedBy": "timers.target"}, **args.timer}
        units[timer] = UnitArgs(unit=started, enabled=True, running=True)
    return Role(
        HostStateArgs(files=args.files, units=units),
        after=("compose",),
        secret_files={
            path: SecretFile(frozenset({secret}), itemgetter(secret)) for path, secret in args.secrets.items()
        },
    )


def applied_file(gateway: Gateway) -> str:
    """Where the containers are noted that were started: what differs from it is started anew."""
    return f"{gateway.data_dir}/.docker-compose.applied.yml"


def compose(gateway: Gateway, configured: Mapping[str, Role]) -> Role:
    """Start all containers, those anew whose image or configuration changed (CM5-126, CM5-135, CM5-136, CM5-274).

    ``configured`` are the roles of the containers by name. The label `factory.configuration` of each carries a mark of
    what it reads, so that Docker Compose recreates exactly those that have to read it again.
    """
    path, applied = gateway.compose_file, applied_file(gateway)
    marks = {name: _mark(role) for name, role in configured.items()}
    secrets = {name: role.secret_files for name, role in configured.items() if role.secret_files}
    names = frozenset(secret for files in secrets.values() for file in files.values() for secret in file.secrets)

    def text(values: Mapping[str, str]) -> str:
        digests = {secret: secret_mark(gateway.product, secret, values[secret]) for secret in names}
        read = {
            name: sorted({secret for file in files.values() for secret in file.secrets})
            for name, files in secrets.items()
        }
        full = {name: digest(mark, *(digests[secret] for secret in read.get(name, ()))) for name, mark in marks.items()}
        return yaml_text({"name": gateway.product, "services": dict(_services(gateway, full))})

    validate = ("docker", "compose", "--file", "%s", "config", "--quiet")
    file = FileArgs(content=None if names else text({}), validate_with=validate)
    return Role(
        HostStateArgs(
            files={path: file},
            steps={
                "up": StepArgs(run=shell(_APPLY, path, applied), unless=("cmp", "--quiet", path, applied), timeout=1800)
            },
        ),
        after=(
            *(f"container-{name}" for name in configured),
            "docker",
            "firewall",
            *(("network",) if gateway.segment else ()),
            *(("frontend",) if gateway.frontend else ()),
        ),
        secret_files={path: SecretFile(names, text, public=True)} if names else {},
    )


def secret_mark(product: str, secret: str, value: str) -> str:
    """Give the mark of a secret that containers read. It is costly, and made once."""
    return secret_digest(f"{product}/{secret}", value)


def _mark(role: Role) -> str:
    """Give a mark of what a container reads, with the names of secrets in their places."""
    texts = {path: file.content or "" for path, file in role.desired.files.items()}
    texts |= {path: file.text({name: f"<{name}>" for name in file.secrets}) for path, file in role.secret_files.items()}
    return digest(*(f"{path}\0{text}" for path, text in sorted(texts.items())))


def _services(gateway: Gateway, marks: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    described = {
        **dict(_edge(gateway)),
        **{name: _service(gateway, name, each) for name, each in gateway.containers.items()},
    }
    for name, service in sorted(described.items()):
        yield (
            name,
            {
                "container_name": f"{gateway.product}-{name}",
                **service,
                "network_mode": "host",
                "restart": "unless-stopped",
                "labels": {"factory.configuration": marks[name]},
            },
        )


def _edge(gateway: Gateway) -> Iterator[tuple[str, dict[str, Any]]]:
    """Describe the containers whose configuration is written here."""
    args, config = gateway.args, gateway.config_dir
    static = gateway.frontend
    www = [_bind(frontend_directory(gateway, static), "/srv/www")] if static else []
    yield (
        "nginx",
        {
            "image": gateway.image(args.nginx.image),
            "volumes": [_bind(f"{config}/nginx/nginx.conf", "/etc/nginx/nginx.conf"), *www],
        },
    )
    acme = args.traefik.acme
    yield (
        "traefik",
        {
            "image": gateway.image(args.traefik.image),
            **({"env_file": [f"{config}/traefik/secrets.env"]} if acme and acme.dns_credentials else {}),
            "volumes": [
                _bind(f"{config}/traefik/traefik.yml", "/etc/traefik/traefik.yml"),
                _bind(f"{config}/traefik/dynamic", "/etc/traefik/dynamic"),
                _bind(f"{config}/traefik/acme", "/acme", writable=True),
            ],
        },
    )
    if args.adguard is not None:
        yield (
            "adguard",
            {
                "image": gateway.image(args.adguard.image),
                "entrypoint": ["sh", "-c", _START_ADGUARD],
                "tmpfs": ["/opt/adguardhome/conf"],
                "volumes": [
                    _bind(f"{config}/adguard", "/factory"),
                    _bind(f"{gateway.data_dir}/adguard", "/opt/adguardhome/work", writable=True),
                ],
            },
        )


def _service(gateway: Gateway, name: str, args: ContainerArgs) -> dict[str, Any]:
    config, data = f"{gateway.config_dir}/{name}", f"{gateway.data_dir}/{name}"
    binds = [_bind(f"{config}/{file}", each.mount) for file, each in sorted(args.files.items())]
    binds += [_bind(f"{data}/{volume}", each.mount, writable=True) for volume, each in sorted(args.volumes.items())]
    binds += [_bind(source, target) for source, target in sorted(args.mounts.items())]
    return {
        "image": args.image,
        # Docker Compose would put a variable in the place of a single dollar sign.
        **({"command": [word.replace("$", "$$") for word in args.command]} if args.command else {}),
        **(
            {"environment": {key: args.environment[key].replace("$", "$$") for key in sorted(args.environment)}}
            if args.environment
            else {}
        ),
        **({"env_file": [f"{config}/secrets.env"]} if args.secret_environment else {}),
        **({"volumes": binds} if binds else {}),
    }


def _bind(source: str, target: str, *, writable: bool = False) -> dict[str, Any]:
    """Mount a path that must be there: a missing one is an error, not a new directory."""
    mount: dict[str, Any] = {"type": "bind", "source": source, "target": target}
    return {**mount, **({} if writable else {"read_only": True}), "bind": {"create_host_path": False}}


def _with_secrets(given: ConfigFileArgs) -> SecretFile:
    return SecretFile(
        frozenset(given.secrets.values()), lambda values: _text(given, filled(given.content, given.secrets, values))
    )


def _text(given: ConfigFileArgs, content: Any) -> str:  # noqa: ANN401 - any document
    writers: dict[str, Callable[[Any], str]] = {"text": str, "yaml": yaml_text, "json": json_text}
    return writers[given.format](content)
