"""The vendors' official releases: where each asset and its published SHA-256 checksum lie, and how it is packed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

GITHUB = "https://github.com"


class Packing(StrEnum):
    """How an asset is packed."""

    TAR = "tar.gz"
    ZIP = "zip"
    BINARY = "binary"


class Sums(StrEnum):
    """How checksums are published."""

    LINES = "lines of sum and file name"
    BARE = "the sum alone"
    GITHUB_DIGEST = "the release's description in GitHub's API, a digest with each asset"


@dataclass(frozen=True)
class Release:
    """An official release.

    ``url`` and ``checksums`` are templates over name, version, os and arch. ``keep`` names the files taken from an
    archive (empty: all); if it is ``nested``, they lie in one outermost folder. ``platforms`` are those published.
    """

    version: str
    url: str
    checksums: str
    packing: Packing
    sums: Sums = Sums.LINES
    nested: bool = False
    keep: frozenset[str] = frozenset()
    platforms: frozenset[str] = frozenset({"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"})
    arch_names: Mapping[str, str] = field(default_factory=dict, hash=False)

    def locations(self, name: str, os: str, arch: str) -> tuple[str, str] | None:
        """Return the addresses of the asset and of its checksum, or None if this platform has no release."""
        if f"{os}-{arch}" not in self.platforms:
            return None
        values = {"name": name, "version": self.version, "os": os, "arch": self.arch_names.get(arch, arch)}
        return self.url.format(**values), self.checksums.format(**values)


LINUX = frozenset({"linux-amd64", "linux-arm64"})

_PULUMI = GITHUB + "/pulumi/pulumi/releases/download/v{version}/"
PULUMI = Release(
    version="3.272.0",
    url=_PULUMI + "pulumi-v{version}-{os}-{arch}.tar.gz",
    checksums=_PULUMI + "pulumi-{version}-checksums.txt",
    packing=Packing.TAR,
    nested=True,
    arch_names={"amd64": "x64"},
)

_ETCD = GITHUB + "/etcd-io/etcd/releases/download/v{version}/"
ETCD = Release(
    version="3.6.14",
    url=_ETCD + "etcd-v{version}-{os}-{arch}.tar.gz",
    checksums=_ETCD + "SHA256SUMS",
    packing=Packing.TAR,
    nested=True,
    keep=frozenset({"etcd"}),
    platforms=LINUX,
)

_KUBERNETES = "https://dl.k8s.io/release/v{version}/bin/{os}/{arch}/{name}"
KUBERNETES = Release(
    version="1.36.4",
    url=_KUBERNETES,
    checksums=_KUBERNETES + ".sha256",
    packing=Packing.BINARY,
    sums=Sums.BARE,
    platforms=LINUX,
)
KUBERNETES_CLIENT = Release(
    version="1.36.4", url=_KUBERNETES, checksums=_KUBERNETES + ".sha256", packing=Packing.BINARY, sums=Sums.BARE
)

# This project publishes no file of checksums; GitHub itself records a digest of every asset.
KWOK = Release(
    version="0.8.0",
    url=GITHUB + "/kubernetes-sigs/kwok/releases/download/v{version}/kwok-{os}-{arch}",
    checksums="https://api.github.com/repos/kubernetes-sigs/kwok/releases/tags/v{version}",
    packing=Packing.BINARY,
    sums=Sums.GITHUB_DIGEST,
)

_VAULT = "https://releases.hashicorp.com/vault/{version}/vault_{version}_"
VAULT = Release(
    version="1.21.1",
    url=_VAULT + "{os}_{arch}.zip",
    checksums=_VAULT + "SHA256SUMS",
    packing=Packing.ZIP,
    keep=frozenset({"vault"}),
)

_TRAEFIK = GITHUB + "/traefik/traefik/releases/download/v{version}/traefik_v{version}_"
TRAEFIK = Release(
    version="3.6.12",
    url=_TRAEFIK + "{os}_{arch}.tar.gz",
    checksums=_TRAEFIK + "checksums.txt",
    packing=Packing.TAR,
    keep=frozenset({"traefik"}),
)

_COMPOSE = GITHUB + "/docker/compose/releases/download/v{version}/docker-compose-{os}-{arch}"
COMPOSE = Release(
    version="2.40.3",
    url=_COMPOSE,
    checksums=_COMPOSE + ".sha256",
    packing=Packing.BINARY,
    sums=Sums.BARE,
    arch_names={"amd64": "x86_64", "arm64": "aarch64"},
)
