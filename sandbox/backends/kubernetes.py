"""The control plane: API server with RBAC and ServiceAccount tokens, controller manager, scheduler, and kwok.

kwok plays the machines: nodes become Ready, pods get an address and run, deleted pods go.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import yaml

from sandbox.backends.etcd import Store
from sandbox.certificates import Authority, KeyPair, signing_key
from sandbox.endpoints import KubernetesEndpoint
from sandbox.files import write_private
from sandbox.layout import Layout
from sandbox.ports import LOOPBACK
from sandbox.service import Service

CONTEXT = "factory-sandbox"
ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVICE_RANGE = "10.96.0.0/16"
FIRST_SERVICE_ADDRESS = "10.96.0.1"
POD_RANGE = "10.244.0.0/16"
# Where the simulated machines would be: a documentation range.
NODE_ADDRESS = "203.0.113.10"

STAGES = Path(__file__).resolve().parent.parent / "objects" / "stages.yaml"

_ADMIN_GROUP = "system:masters"


class Cluster:
    """The keys of the control plane, and its processes."""

    def __init__(self, layout: Layout, port: int) -> None:
        self._directory = layout.kubernetes
        self.authority = Authority(layout.kubernetes / "pki", "factory sandbox Kubernetes")
        self.server = f"https://{LOOPBACK}:{port}"
        self.admin = self.authority.issue("admin", "factory-admin", organization=_ADMIN_GROUP)
        self._port = port
        self._token_keys = signing_key(layout.kubernetes / "pki", "service-accounts")

    def api_server(self, program: Path, store: Store) -> Service:
        """Return the API server: nobody is anonymous, everybody but the administrator needs an RBAC role."""
        serving = self.authority.issue(
            "apiserver",
            "kube-apiserver",
            hosts=[LOOPBACK, "localhost", FIRST_SERVICE_ADDRESS, "kubernetes", "kubernetes.default.svc"],
        )
        argv = (
            str(program),
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self._port}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.authority.files.certificate}",
            "--anonymous-auth=false",
            "--authorization-mode=RBAC",
            f"--etcd-servers={store.url}",
            f"--etcd-cafile={store.authority}",
            f"--etcd-certfile={store.client.certificate}",
            f"--etcd-keyfile={store.client.key}",
            # Tokens for other audiences, such as `vault`, can be requested and reviewed; they do not open this API.
            f"--service-account-issuer={ISSUER}",
            f"--service-account-signing-key-file={self._token_keys.key}",
            f"--service-account-key-file={self._token_keys.certificate}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            # A loopback address cannot be an endpoint of the `kubernetes` Service.
            "--endpoint-reconciler-type=none",
            "--profiling=false",
        )
        return Service("kube-apiserver", argv, address=self.server, environment={"GOMEMLIMIT": "500MiB"})

    def controller_manager(self, program: Path) -> Service:
        """Return the controller manager; each controller has a ServiceAccount of its own."""
        argv = (
            str(program),
            f"--kubeconfig={self.kubeconfig('kube-controller-manager')}",
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self._token_keys.key}",
            f"--root-ca-file={self.authority.files.certificate}",
            # Made for large clusters, the defaults slow a small one down: a namespace would take seconds longer to go.
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--profiling=false",
        )
        return Service("kube-controller-manager", argv, environment={"GOMEMLIMIT": "200MiB"})

    def scheduler(self, program: Path) -> Service:
        """Return the scheduler."""
        argv = (
            str(program),
            f"--kubeconfig={self.kubeconfig('kube-scheduler')}",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        )
        return Service("kube-scheduler", argv, environment={"GOMEMLIMIT": "150MiB"})

    def machines(self, program: Path) -> Service:
        """Return kwok, with this project's stages."""
        argv = (
            str(program),
            f"--kubeconfig={self.kubeconfig('kwok', organization=_ADMIN_GROUP)}",
            f"--config={STAGES}",
            "--manage-all-nodes=true",
            f"--cidr={POD_RANGE}",
            f"--node-ip={NODE_ADDRESS}",
            "--node-lease-duration-seconds=40",
        )
        # kwok looks for a configuration of its user in the home directory; there is none.
        environment = {"HOME": str(self._directory), "GOMEMLIMIT": "150MiB"}
        return Service("kwok", argv, environment=environment)

    def endpoint(self) -> KubernetesEndpoint:
        """Describe the API server for the stacks."""
        return KubernetesEndpoint(
            server=self.server,
            kubeconfig=self._kubeconfig_text("factory-admin", self.admin),
            context=CONTEXT,
            ca_cert_pem=self.authority.pem,
        )

    def kubeconfig(self, name: str, *, organization: str = "") -> Path:
        """Write the kubeconfig of one component and return its path."""
        pair = self.authority.issue(name, f"system:{name}", organization=organization)
        path = self._directory / f"{name}.kubeconfig"
        write_private(path, self._kubeconfig_text(name, pair).encode())
        return path

    def _kubeconfig_text(self, user: str, pair: KeyPair) -> str:
        return render_kubeconfig(
            self.server, self.authority.pem, user, pair.certificate.read_text(), pair.key.read_text()
        )


def render_kubeconfig(server: str, authority_pem: str, user: str, certificate_pem: str, key_pem: str) -> str:
    """Return a kubeconfig that needs no other file."""
    document: Mapping[str, object] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": _encode(authority_pem)}}
        ],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": _encode(certificate_pem), "client-key-data": _encode(key_pem)},
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
        "current-context": CONTEXT,
    }
    return yaml.safe_dump(document, sort_keys=False)


def _encode(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()
