"""Which tools there are: versions, how each is recognised on PATH, fetched from its vendor, or built.

Sizes are bytes of the installed tool; times are seconds on two cores, downloads included. Both are for announcements.
"""

import functools
import hashlib
import importlib.util
import json
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolError
from toolchain.progress import GIGABYTE, MEGABYTE
from toolchain.releases import COMPOSE, ETCD, KUBERNETES, KUBERNETES_CLIENT, KWOK, PULUMI, TRAEFIK, VAULT, Release

HERE = Path(__file__).resolve().parent

ENGINE_VERSION = "3.259.0"
KUBERNETES_VERSION = "1.36.4"

Version = tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """How a tool is recognised on PATH.

    ``arguments`` make it print its version, ``at_least`` and ``below`` bound that version, and ``companions`` are
    programs that must lie beside it or on PATH as well.
    """

    arguments: tuple[str, ...]
    at_least: Version
    below: Version
    companions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Script:
    """A file which lies in a module's own folder and is installed, executable, beside the built binary."""

    module: str
    path: str


@dataclass(frozen=True)
class Build:
    """How a tool is built: the folder of its go.mod, the package, the flags; time and room for the caches meanwhile."""

    folder: str
    package: str
    seconds: int
    cache_bytes: int
    ldflags: str = "-s -w"
    tags: str = ""
    scripts: tuple[Script, ...] = ()

    @property
    def directory(self) -> Path:
        """The folder of the go.mod."""
        return HERE / self.folder

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of ``go build`` which decide what comes out."""
        return ("-trimpath", *(("-tags", self.tags) if self.tags else ()), "-ldflags", self.ldflags)

    @functools.cached_property
    def key(self) -> str:
        """A hash of everything the result depends on, 12 hexadecimal digits."""
        digest = hashlib.sha256("\0".join((*go_platform(), self.package, *self.flags)).encode())
        for file in sorted((*self.directory.glob("go.*"), *self.directory.glob("*.go"))):
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()[:12]


@dataclass(frozen=True)
class Spec:
    """One tool. ``version`` is what a build gives; a vendor's release may carry another one, see ``release``."""

    name: str
    version: str
    size: int
    found: Found | None = None
    release: Release | None = None
    build: Build | None = None
    optional: bool = False


def go_platform() -> tuple[str, str]:
    """Return the operating system and the architecture of this machine, in Go's words."""
    machine = platform.machine().lower()
    return sys.platform, {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def plugin_version(package: str) -> str:
    """Return the version which the installed Python package ``pulumi_<package>`` demands of its plugin.

    Raises ToolError if the package is not installed.
    """
    module = importlib.util.find_spec(f"pulumi_{package}")
    if module is None or module.origin is None:
        raise ToolError(f"the Python package pulumi-{package} is not installed; install requirements.txt")
    return str(json.loads(Path(module.origin).with_name("pulumi-plugin.json").read_text())["version"])


@functools.cache
def catalogue() -> dict[str, Spec]:
    """Return every tool by name, in the order in which they are made."""
    specs = (_pulumi(), _vault_plugin(), *_backends(), *_packages())
    return {spec.name: spec for spec in specs}


def _pulumi() -> Spec:
    module = f"github.com/pulumi/pulumi/sdk/v3@v{ENGINE_VERSION}"
    return Spec(
        name="pulumi",
        version=ENGINE_VERSION,
        size=115 * MEGABYTE,
        # The official release is a directory: the CLI with its language hosts, among them pulumi-language-python and
        # the script pulumi-language-python-exec. A build gives the CLI and the two scripts; its language host is ours.
        found=Found(("version",), (3, 259), (4,), companions=("pulumi-language-python", "pulumi-language-python-exec")),
        release=PULUMI,
        build=Build(
            folder="engine",
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            seconds=240,
            cache_bytes=4 * GIGABYTE,
            tags="osusergo,grpcnotrace",
            ldflags=f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{ENGINE_VERSION}",
            scripts=(
                Script(module, "python/cmd/pulumi-language-python-exec"),
                Script(module, "python/dist/pulumi-resource-pulumi-python"),
            ),
        ),
    )


def _vault_plugin() -> Spec:
    # Never taken from PATH, where it would shadow the engine's plugin folder. The official engine fetches its own.
    version = plugin_version("vault")
    return Spec(
        name="pulumi-resource-vault",
        version=version,
        size=85 * MEGABYTE,
        build=Build(
            folder="plugins/vault",
            package=".",
            seconds=150,
            cache_bytes=3 * GIGABYTE,
            ldflags=f"-s -w -X main.version={version}",
        ),
    )


def _backends() -> tuple[Spec, ...]:
    return (
        Spec(
            name="etcd",
            version="3.6.14",
            size=27 * MEGABYTE,
            found=Found(("--version",), (3, 5), (4,)),
            release=ETCD,
            build=Build(folder="backends/etcd", package="go.etcd.io/etcd/server/v3", seconds=60, cache_bytes=GIGABYTE),
        ),
        # Of one minor version all three: they are developed and tested as one.
        _kubernetes(
            "kube-apiserver", size=106, seconds=240, release=KUBERNETES, found=Found(("--version",), (1, 36), (1, 37))
        ),
        _kubernetes(
            "kube-controller-manager",
            size=96,
            seconds=80,
            release=KUBERNETES,
            found=Found(("--version",), (1, 36), (1, 37)),
        ),
        _kubernetes(
            "kube-scheduler", size=73, seconds=30, release=KUBERNETES, found=Found(("--version",), (1, 36), (1, 37))
        ),
        # The client may be one minor version off, in both directions.
        _kubernetes(
            "kubectl",
            size=60,
            seconds=30,
            release=KUBERNETES_CLIENT,
            found=Found(("version", "--client"), (1, 35), (1, 38)),
        ),
        Spec(
            name="kwok",
            version="0.8.0",
            size=64 * MEGABYTE,
            found=Found(("--version",), (0, 8), (0, 9)),
            release=KWOK,
            build=Build(
                folder="backends/kwok", package="sigs.k8s.io/kwok/cmd/kwok", seconds=80, cache_bytes=2 * GIGABYTE
            ),
        ),
        Spec(
            name="vault",
            version="1.21.1",
            size=361 * MEGABYTE,
            found=Found(("version",), (1, 18), (2,)),
            release=VAULT,
            build=Build(
                folder="backends/vault", package="github.com/hashicorp/vault", seconds=360, cache_bytes=6 * GIGABYTE
            ),
        ),
        _traefik(),
        _compose(),
    )


def _traefik() -> Spec:
    # No backend of the sandbox: the long tests give it the files that the gateway would get.
    version = "3.6.12"
    return Spec(
        name="traefik",
        version=version,
        size=178 * MEGABYTE,
        found=Found(("version",), (3, 5), (4,)),
        release=TRAEFIK,
        build=Build(
            folder="backends/traefik",
            package="github.com/traefik/traefik/v3/cmd/traefik",
            seconds=420,
            cache_bytes=5 * GIGABYTE,
            ldflags=f"-s -w -X github.com/traefik/traefik/v3/pkg/version.Version={version}",
        ),
        optional=True,
    )


def _compose() -> Spec:
    # No backend either: the long tests have it start a gateway's containers.
    version = "2.40.3"
    return Spec(
        name="docker-compose",
        version=version,
        size=67 * MEGABYTE,
        found=Found(("version", "--short"), (2, 24), (3,)),
        release=COMPOSE,
        build=Build(
            folder="backends/compose",
            package="github.com/docker/compose/v2/cmd",
            seconds=240,
            cache_bytes=2 * GIGABYTE,
            ldflags=f"-s -w -X github.com/docker/compose/v2/internal.Version={version}",
        ),
        optional=True,
    )


def _kubernetes(name: str, *, size: int, seconds: int, release: Release, found: Found) -> Spec:
    stamp = "k8s.io/component-base/version.git"
    major, minor, _ = KUBERNETES_VERSION.split(".")
    return Spec(
        name=name,
        version=KUBERNETES_VERSION,
        size=size * MEGABYTE,
        found=found,
        release=release,
        build=Build(
            folder="backends/kubernetes",
            package=f"k8s.io/kubernetes/cmd/{name}",
            seconds=seconds,
            cache_bytes=2 * GIGABYTE if name == "kube-apiserver" else GIGABYTE // 4,
            ldflags=f"-s -w -X {stamp}Version=v{KUBERNETES_VERSION} -X {stamp}Major={major} -X {stamp}Minor={minor}",
        ),
    )


def _packages() -> tuple[Spec, ...]:
    return (
        Spec(
            name="postgres",
            version="16",
            size=30 * MEGABYTE,
            found=Found(("--version",), (16,), (19,), companions=("initdb",)),
        ),
        Spec(
            name="pgbouncer", version="1.18", size=MEGABYTE, found=Found(("--version",), (1, 18), (2,)), optional=True
        ),
        Spec(name="go", version="1.26.6", size=250 * MEGABYTE, found=Found(("version",), (1, 26, 2), (2,))),
    )
