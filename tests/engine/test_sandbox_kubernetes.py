"""The embedded API server behaves as a cluster's: custom resources, identities, pods, volumes, namespaces."""

from __future__ import annotations

import base64
import json
import ssl
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sandbox.endpoints import Endpoints
from tests.support.waiting import until

pytestmark = pytest.mark.engine

Document = dict[str, Any]


@pytest.fixture
def namespace(kube: httpx.Client) -> Iterator[str]:
    name = f"t-{uuid.uuid4().hex[:8]}"
    kube.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
    yield name
    kube.delete(f"/api/v1/namespaces/{name}").raise_for_status()


# One valid object per kind: kind, path, spec; and a misspelt field, by the path to it, that a laxer schema would drop.
CUSTOM_RESOURCES: list[tuple[str, str, Document, list[str | int]]] = [
    (
        "Application",
        "argoproj.io/v1alpha1/{}/applications",
        {
            "project": "webapp",
            "source": {
                "repoURL": "https://git.example.test/o/webapp",
                "targetRevision": "HEAD",
                "path": "chart",
                "helm": {"valuesObject": {"anything": {"goes": ["here"]}}},
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "webapp"},
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                "syncOptions": ["CreateNamespace=true"],
                "retry": {"limit": 3, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "3m"}},
            },
            "ignoreDifferences": [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}],
            "revisionHistoryLimit": 3,
            "info": [{"name": "url", "value": "https://webapp.example.test"}],
        },
        ["syncPolicy", "automated", "selfheal"],
    ),
    (
        "AppProject",
        "argoproj.io/v1alpha1/{}/appprojects",
        {
            "description": "webapp only",
            "sourceRepos": ["https://git.example.test/o/webapp"],
            "destinations": [{"server": "https://kubernetes.default.svc", "namespace": "webapp"}],
            "clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}],
            "namespaceResourceWhitelist": [{"group": "*", "kind": "*"}],
            "orphanedResources": {"warn": True},
        },
        ["destinations", 0, "nameSpace"],
    ),
    (
        "VaultConnection",
        "secrets.hashicorp.com/v1beta1/{}/vaultconnections",
        {"address": "https://vault.example.test", "caCertSecretRef": "vault-ca", "skipTLSVerify": False},
        ["skipTlsVerify"],
    ),
    (
        "VaultAuth",
        "secrets.hashicorp.com/v1beta1/{}/vaultauths",
        {
            "method": "kubernetes",
            "mount": "kubernetes",
            "vaultConnectionRef": "vault",
            "kubernetes": {"role": "webapp", "serviceAccount": "webapp", "audiences": ["vault"]},
        },
        ["kubernetes", "service_account"],
    ),
    (
        "VaultDynamicSecret",
        "secrets.hashicorp.com/v1beta1/{}/vaultdynamicsecrets",
        {
            "mount": "postgres",
            "path": "creds/webapp",
            "renewalPercent": 67,
            "revoke": True,
            "vaultAuthRef": "auth",
            "destination": {
                "name": "vso-db-credentials",
                "create": True,
                "transformation": {"excludeRaw": True, "templates": {"url": {"text": "{{ .Secrets.username }}"}}},
            },
            "rolloutRestartTargets": [{"kind": "Deployment", "name": "webapp"}],
        },
        ["rolloutRestartTarget"],
    ),
    (
        "VaultStaticSecret",
        "secrets.hashicorp.com/v1beta1/{}/vaultstaticsecrets",
        {
            "type": "kv-v2",
            "mount": "kvv2",
            "path": "webapp/config",
            "refreshAfter": "24h",
            "hmacSecretData": True,
            "syncConfig": {"instantUpdates": True},
            "vaultAuthRef": "auth",
            "destination": {"name": "secretkv", "create": True},
        },
        ["destination", "creat"],
    ),
    (
        "IngressRoute",
        "traefik.io/v1alpha1/{}/ingressroutes",
        {
            "entryPoints": ["websecure"],
            "routes": [
                {
                    "kind": "Rule",
                    "match": "Host(`webapp.example.test`)",
                    "middlewares": [{"name": "waf", "namespace": "kube-system"}],
                    "services": [{"name": "webapp", "port": 80}, {"name": "webapp", "port": "http"}],
                }
            ],
            "tls": {"certResolver": "letsencrypt"},
        },
        ["routes", 0, "middleware"],
    ),
    (
        "Middleware",
        "traefik.io/v1alpha1/{}/middlewares",
        {
            "ipAllowList": {"sourceRange": ["10.0.0.0/8"]},
            "rateLimit": {"average": 10, "period": "1s"},
            "plugin": {"bouncer": {"enabled": True, "any": {"depth": 1}}},
        },
        ["ipAllowList", "sourceRanges"],
    ),
]
KINDS = [entry[0] for entry in CUSTOM_RESOURCES]


def with_value(spec: Document, path: list[str | int]) -> Document:
    copy: Document = json.loads(json.dumps(spec))
    target: Any = copy
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = True
    return copy


def holds_all(actual: Any, wanted: Any) -> bool:
    """Tell whether nothing of what was sent is missing; defaults may have been added."""
    if isinstance(wanted, dict):
        return all(key in actual and holds_all(actual[key], value) for key, value in wanted.items())
    return bool(actual == wanted)


@pytest.mark.parametrize("case", CUSTOM_RESOURCES, ids=KINDS)
def test_a_custom_resource_is_accepted_and_one_misspelt_field_is_refused(
    kube: httpx.Client, namespace: str, case: tuple[str, str, Document, list[str | int]]
) -> None:
    kind, path, spec, misspelt = case
    group, version, placeholder, plural = path.split("/")
    url = f"/apis/{group}/{version}/namespaces/{placeholder.format(namespace)}/{plural}"
    body = {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": "good"}, "spec": spec}
    accepted = kube.post(url, json=body, params={"fieldValidation": "Strict"})
    assert accepted.status_code == 201, accepted.text
    assert holds_all(accepted.json()["spec"], spec)

    body = {**body, "metadata": {"name": "bad"}, "spec": with_value(spec, misspelt)}
    refused = kube.post(url, json=body, params={"fieldValidation": "Strict"})
    assert refused.status_code == 400, refused.text
    assert f'unknown field "spec.{misspelt[0]}' in refused.json()["message"]
    assert str(misspelt[-1]) in refused.json()["message"]

    applied = kube.patch(
        f"{url}/bad",
        content=json.dumps(body),
        headers={"Content-Type": "application/apply-patch+yaml"},
        params={"fieldManager": "test", "fieldValidation": "Strict"},
    )
    assert not applied.is_success
    assert str(misspelt[-1]) in applied.json()["message"]


@pytest.mark.parametrize(
    ("plural", "spec", "named"),
    [
        (
            "vaultstaticsecrets",
            {"type": "kv-v3", "mount": "kvv2", "path": "p", "destination": {"name": "s"}},
            "spec.type",
        ),
        (
            "vaultstaticsecrets",
            {"type": "kv-v2", "mount": "kvv2", "path": "p", "destination": {"name": "s"}, "refreshAfter": "1 day"},
            "spec.refreshAfter",
        ),
        ("vaultdynamicsecrets", {"mount": "postgres", "path": "creds/x"}, "spec.destination"),
        (
            "vaultdynamicsecrets",
            {"mount": "m", "path": "p", "destination": {"name": "s"}, "renewalPercent": 99},
            "spec.renewalPercent",
        ),
        ("vaultauths", {"method": "userpass"}, "spec.method"),
    ],
    ids=["kv-version", "refresh-duration", "no-destination", "renewal-percent", "auth-method"],
)
def test_a_wrong_value_of_a_vault_resource_is_refused(
    kube: httpx.Client, namespace: str, plural: str, spec: Document, named: str
) -> None:
    kinds = {
        "vaultstaticsecrets": "VaultStaticSecret",
        "vaultdynamicsecrets": "VaultDynamicSecret",
        "vaultauths": "VaultAuth",
    }
    answer = kube.post(
        f"/apis/secrets.hashicorp.com/v1beta1/namespaces/{namespace}/{plural}",
        json={
            "apiVersion": "secrets.hashicorp.com/v1beta1",
            "kind": kinds[plural],
            "metadata": {"name": "x"},
            "spec": spec,
        },
    )
    assert answer.status_code == 422, answer.text
    assert named in answer.json()["message"]


def request_token(kube: httpx.Client, namespace: str, audience: str) -> str:
    answer = kube.post(
        f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token",
        json={
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": 600},
        },
    )
    return str(answer.raise_for_status().json()["status"]["token"])


def review(sandbox: Endpoints, reviewer_token: str, token: str, audience: str) -> Document:
    """Ask the way Vault does: with the token of its own ServiceAccount."""
    context = ssl.create_default_context(cadata=sandbox.kubernetes.ca_cert_pem)
    with httpx.Client(base_url=sandbox.kubernetes.server, verify=context, timeout=20) as client:
        answer = client.post(
            "/apis/authentication.k8s.io/v1/tokenreviews",
            headers={"Authorization": f"Bearer {reviewer_token}"},
            json={
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token, "audiences": [audience]},
            },
        )
    status: Document = answer.raise_for_status().json()["status"]
    return status


def test_vault_can_review_a_token_made_for_it_and_no_other(
    sandbox: Endpoints, kube: httpx.Client, namespace: str, reviewer_token: str
) -> None:
    until(lambda: kube.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default").is_success)
    token = request_token(kube, namespace, "vault")
    good = review(sandbox, reviewer_token, token, "vault")
    assert good["authenticated"] is True
    assert good["user"]["username"] == f"system:serviceaccount:{namespace}:default"
    assert good["audiences"] == ["vault"]
    assert not review(sandbox, reviewer_token, token, "somebody-else").get("authenticated")
    other = request_token(kube, namespace, "somebody-else")
    assert not review(sandbox, reviewer_token, other, "vault").get("authenticated")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["aud"] == ["vault"]


def test_a_token_for_vault_does_not_open_the_api_and_nobody_is_anonymous(
    sandbox: Endpoints, kube: httpx.Client, namespace: str
) -> None:
    until(lambda: kube.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default").is_success)
    context = ssl.create_default_context(cadata=sandbox.kubernetes.ca_cert_pem)
    tokens = {
        "vault": request_token(kube, namespace, "vault"),
        "api": request_token(kube, namespace, "https://kubernetes.default.svc.cluster.local"),
    }
    path = f"/api/v1/namespaces/{namespace}/secrets"
    with httpx.Client(base_url=sandbox.kubernetes.server, verify=context, timeout=20) as client:
        assert client.get("/version").status_code == 401
        assert client.get(path, headers={"Authorization": f"Bearer {tokens['vault']}"}).status_code == 401
        # Known, but without a role (RBAC); the administrator may.
        assert client.get(path, headers={"Authorization": f"Bearer {tokens['api']}"}).status_code == 403
    assert kube.get(path).status_code == 200


def test_etcd_refuses_a_client_without_its_certificate(sandbox_state: Any, sandbox: Endpoints) -> None:
    assert sandbox.kubernetes.server
    port = json.loads((sandbox_state / "ports.json").read_text())["etcd"]
    context = ssl.create_default_context(cafile=str(sandbox_state / "etcd" / "pki" / "ca.crt"))
    with pytest.raises(httpx.TransportError):
        httpx.get(f"https://127.0.0.1:{port}/version", verify=context, trust_env=False)
    context.load_cert_chain(
        sandbox_state / "etcd" / "pki" / "client.crt", sandbox_state / "etcd" / "pki" / "client.key"
    )
    assert httpx.get(f"https://127.0.0.1:{port}/version", verify=context, trust_env=False).status_code == 200


def deployment(name: str, claim: str) -> Document:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "nodeSelector": {"kubernetes.io/hostname": "node2"},
                    "containers": [{"name": "main", "image": "registry.example.test/x:1"}],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
                },
            },
        },
    }


def test_the_three_nodes_are_ready(kube: httpx.Client) -> None:
    nodes = kube.get("/api/v1/nodes").json()["items"]
    assert sorted(node["metadata"]["labels"]["kubernetes.io/hostname"] for node in nodes) == ["node1", "node2", "node3"]
    for node in nodes:
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"


def test_a_deployment_with_a_claim_becomes_ready_and_everything_goes_with_its_namespace(
    kube: httpx.Client, namespace: str
) -> None:
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    spec = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "longhorn",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    kube.post(claims, json={"metadata": {"name": "data"}, "spec": spec}).raise_for_status()
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    kube.post(deployments, json=deployment("web", "data")).raise_for_status()
    until(lambda: kube.get(f"{deployments}/web").json()["status"].get("readyReplicas") == 2)
    claim = kube.get(f"{claims}/data").json()
    assert claim["status"]["phase"] == "Bound"
    pods = kube.get(f"/api/v1/namespaces/{namespace}/pods").json()["items"]
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node2"}
    assert len({pod["status"]["podIP"] for pod in pods}) == 2

    kube.delete(f"/api/v1/namespaces/{namespace}").raise_for_status()
    until(lambda: kube.get(f"/api/v1/namespaces/{namespace}").status_code == 404, 40)
    volume = f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}"
    until(lambda: kube.get(volume).status_code == 404)
    # The fixture deletes a namespace that must exist.
    until(lambda: kube.post("/api/v1/namespaces", json={"metadata": {"name": namespace}}).is_success)


def test_the_pod_of_a_job_succeeds(kube: httpx.Client, namespace: str) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}}
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    kube.post(jobs, json={"metadata": {"name": "once"}, "spec": {"template": template}}).raise_for_status()
    until(lambda: kube.get(f"{jobs}/once").json()["status"].get("succeeded") == 1)


def test_an_ingress_gets_an_address(kube: httpx.Client, namespace: str) -> None:
    ingresses = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": "web.example.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    kube.post(ingresses, json={"metadata": {"name": "web"}, "spec": {"rules": [rule]}}).raise_for_status()
    until(lambda: kube.get(f"{ingresses}/web").json()["status"]["loadBalancer"].get("ingress") == [{"ip": "127.0.0.1"}])


def test_the_shared_namespaces_exist(kube: httpx.Client) -> None:
    for name in ("argocd", "tools"):
        assert kube.get(f"/api/v1/namespaces/{name}").json()["status"]["phase"] == "Active"
