"""etcd with one member: the API server's store, reached with client certificates of its own authority only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.certificates import Authority, KeyPair
from sandbox.files import make_directory
from sandbox.layout import Layout
from sandbox.ports import LOOPBACK
from sandbox.service import Service


@dataclass(frozen=True)
class Store:
    """How to reach etcd: the URL, the authority of its certificate, and a client's key pair."""

    url: str
    authority: Path
    client: KeyPair


def prepare(layout: Layout, program: Path, ports: Mapping[str, int]) -> tuple[Service, Store]:
    """Return the process, and how its only client reaches it."""
    authority = Authority(layout.etcd / "pki", "factory sandbox etcd")
    server = authority.issue("server", "etcd", hosts=[LOOPBACK, "localhost"])
    url = f"https://{LOOPBACK}:{ports['etcd']}"
    peer_url = f"https://{LOOPBACK}:{ports['etcd-peer']}"
    trusted = str(authority.files.certificate)
    argv = (
        str(program),
        "--name=sandbox",
        f"--data-dir={make_directory(layout.etcd / 'data')}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=sandbox={peer_url}",
        "--client-cert-auth",
        f"--trusted-ca-file={trusted}",
        f"--cert-file={server.certificate}",
        f"--key-file={server.key}",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={trusted}",
        f"--peer-cert-file={server.certificate}",
        f"--peer-key-file={server.key}",
        "--log-level=warn",
    )
    service = Service(name="etcd", argv=argv, address=url, environment={"GOMEMLIMIT": "200MiB"})
    return service, Store(url, authority.files.certificate, authority.issue("client", "kube-apiserver"))
