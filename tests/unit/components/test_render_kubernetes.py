"""CHART-01 to CHART-43: namespace and workload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.app_stack import App
from components.app_stack import render_argocd as argocd
from components.app_stack import render_namespace as ground
from components.app_stack import render_workload as workload
from tests.support.site import PLATFORM, application, platform

CRDS = Path(__file__).parents[3] / "sandbox" / "crds"
VOLUME = {"name": "data", "size": "1Gi", "mount_path": "/data"}


def app(name: str = "webapp", **overrides: Any) -> App:
    return App.of(name, application(**overrides), platform())


def vault_object(kind: str, application: App) -> dict[str, Any]:
    (found,) = [each for each in ground.vault_objects(application) if each["kind"] == kind]
    spec: dict[str, Any] = found["spec"]
    return spec


def container(application: App) -> dict[str, Any]:
    (found,) = workload.deployment(application)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_the_config_map_holds_the_pooler_and_no_secret() -> None:  # CHART-04, CHART-05
    declared = {"environment": {"MODE": "live"}}
    assert workload.config_map(app(workload=declared))["data"] == {
        "DB_HOST": "pooler.tools",
        "DB_PORT": "5432",
        "DB_NAME": "webapp",
        "MODE": "live",
    }


def test_names_of_the_variables_are_the_applications() -> None:
    variables = {"host": "DOLI_DB_HOST", "port": None, "name": None, "type": "DOLI_DB_TYPE", "url": None}
    users = {"username": "DOLI_DB_USER", "password": "DOLI_DB_PASSWORD"}
    erp = app("erp", database={"variables": variables | users})
    assert workload.config_map(erp)["data"] == {"DOLI_DB_HOST": "pooler.tools", "DOLI_DB_TYPE": "pgsql"}
    assert container(erp)["env"] == [  # CHART-06
        {"name": name, "valueFrom": {"secretKeyRef": {"name": "vso-db-credentials", "key": key}}}
        for key, name in users.items()
    ]
    assert "transformation" not in vault_object("VaultDynamicSecret", erp)["destination"]


def test_the_url_is_composed_from_short_lived_credentials() -> None:  # WEBAPP-L01
    destination = vault_object("VaultDynamicSecret", app())["destination"]
    assert destination["transformation"]["templates"]["url"]["text"] == (
        "postgres://{{ .Secrets.username | urlquery }}:{{ .Secrets.password | urlquery }}"
        "@pooler.tools:5432/webapp?sslmode=disable"
    )
    assert container(app())["env"] == [
        {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "vso-db-credentials", "key": "url"}}}
    ]


def test_vault_resources_say_what_is_documented() -> None:
    assert vault_object("VaultAuth", app()) == {  # CHART-10
        "vaultConnectionRef": "vault",
        "method": "kubernetes",
        "mount": "kubernetes",
        "kubernetes": {"role": "webapp", "serviceAccount": "webapp", "audiences": ["vault"]},
    }
    dynamic = vault_object("VaultDynamicSecret", app())  # CHART-11, CHART-13
    assert (dynamic["mount"], dynamic["path"]) == ("postgres", "creds/webapp")
    assert (dynamic["destination"]["name"], dynamic["destination"]["create"]) == ("vso-db-credentials", True)
    assert dynamic["rolloutRestartTargets"] == [{"kind": "Deployment", "name": "webapp"}]
    static = vault_object("VaultStaticSecret", app(vault={"refresh_after": "30s"}))  # CHART-12, CHART-14
    assert (static["type"], static["mount"], static["path"]) == ("kv-v2", "kvv2", "webapp/config")
    assert (static["destination"], static["refreshAfter"]) == ({"name": "secretkv", "create": True}, "30s")
    assert vault_object("VaultStaticSecret", app())["refreshAfter"] == "24h"


def test_vault_is_reached_over_verified_tls() -> None:
    assert vault_object("VaultConnection", app()) == {
        "address": "https://vault.example.test",
        "caCertSecretRef": "vault-ca",
        "skipTLSVerify": False,
    }
    trusted = platform(vault={"address": "https://vault.example.test"})
    assert "caCertSecretRef" not in vault_object("VaultConnection", App.of("webapp", application(), trusted))


def test_two_ingresses_from_one_declaration() -> None:  # CHART-20 to CHART-25, WEBAPP-L02
    inside, public = workload.ingresses(app())
    router = "traefik.ingress.kubernetes.io/router"
    assert inside["metadata"]["annotations"] == {
        f"{router}.entrypoints": "websecure",
        f"{router}.middlewares": "lan-only@file",
        f"{router}.tls": "true",
        f"{router}.tls.certresolver": "letsencrypt",
    }
    assert public["metadata"]["annotations"] == {
        f"{router}.entrypoints": "web",
        f"{router}.middlewares": "kube-system-waf@kubernetescrd",
    }
    assert "tls" not in public["spec"]
    for ingress, host in ((inside, "webapp.inside.example.test"), (public, "webapp.example.test")):
        assert ingress["spec"]["rules"] == [
            {
                "host": host,
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "webapp", "port": {"name": "http"}}},
                        }
                    ]
                },
            }
        ]


def test_the_other_source_of_certificates() -> None:  # CHART-27, APPG-17, APPG-18
    issued = dict(PLATFORM["exposure"]["internal"], certificate_resolver=None, issuer="step-issuer")  # type: ignore[index]
    here = platform(exposure={"internal": issued})
    (ingress,) = workload.ingresses(App.of("webapp", application(exposure=["internal"]), here))
    annotations = ingress["metadata"]["annotations"]
    assert annotations["cert-manager.io/issuer-kind"] == "StepClusterIssuer"
    assert not any("certresolver" in key for key in annotations)
    assert ingress["spec"]["tls"] == [{"hosts": ["webapp.inside.example.test"], "secretName": "webapp-internal-tls"}]


def test_every_ingress_carries_a_middleware() -> None:  # CHART-26
    for ingress in workload.ingresses(app()):
        assert ingress["metadata"]["annotations"]["traefik.ingress.kubernetes.io/router.middlewares"]


def test_only_an_exposure_class_pins_a_node() -> None:  # CHART-23, CHART-28
    pod = workload.deployment(app())["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/hostname": "entry"}
    assert "nodeSelector" not in workload.deployment(app(exposure=["internal"]))["spec"]["template"]["spec"]


def test_a_volume_is_kept_by_helm_and_by_argocd() -> None:  # CHART-30, CHART-33
    (claim,) = ground.claims(app(volumes=[VOLUME]))
    assert claim["metadata"]["annotations"] == {
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
        "helm.sh/resource-policy": "keep",
    }
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "replicated",
        "resources": {"requests": {"storage": "1Gi"}},
    }


@pytest.mark.parametrize(("mode", "strategy"), [("ReadWriteOnce", "Recreate"), ("ReadWriteMany", "RollingUpdate")])
def test_one_writer_never_overlaps_with_itself(mode: str, strategy: str) -> None:  # CHART-31
    spec = workload.deployment(app(volumes=[VOLUME | {"access_mode": mode}]))["spec"]
    assert (spec["strategy"]["type"], spec["replicas"]) == (strategy, 1)
    assert {"name": "data", "mountPath": "/data"} in spec["template"]["spec"]["containers"][0]["volumeMounts"]


def test_pods_are_restricted() -> None:  # CHART-42
    pod = workload.deployment(app())["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(app())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert ground.service_account(app())["automountServiceAccountToken"] is False


def test_the_namespace_enforces_a_level_and_limits() -> None:  # CHART-42
    labels = ground.namespace(app())["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert ground.resource_quota(app())["spec"]["hard"]["pods"] == "20"
    assert ground.limit_range(app())["spec"]["limits"][0]["default"] == {"cpu": "500m", "memory": "256Mi"}


def test_everything_is_denied_but_what_the_application_needs() -> None:  # CHART-41
    deny, allow = ground.network_policies(app())
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    destinations = [(rule["to"][0], [port["port"] for port in rule["ports"]]) for rule in allow["spec"]["egress"]]
    in_namespace = "kubernetes.io/metadata.name"
    assert destinations == [
        (
            {
                "namespaceSelector": {"matchLabels": {in_namespace: "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            },
            [53, 53],
        ),
        ({"namespaceSelector": {"matchLabels": {in_namespace: "tools"}}}, [5432]),
    ]
    (ingress,) = allow["spec"]["ingress"]
    assert ingress["ports"] == [{"protocol": "TCP", "port": 8080}]


def test_the_network_follows_the_declaration() -> None:  # CHART-41
    quiet = app(mode="application-only", database={}, exposure=[], egress=[{"cidr": "203.0.113.0/24", "ports": [443]}])
    _, allow = ground.network_policies(quiet)
    assert "ingress" not in allow["spec"]
    assert [rule["to"][0] for rule in allow["spec"]["egress"][1:]] == [{"ipBlock": {"cidr": "203.0.113.0/24"}}]
    outside = PLATFORM["postgres"] | {"pooler": {"host": "pooler.example.test", "cidr": "203.0.113.7/32"}}  # type: ignore[operator]
    _, allow = ground.network_policies(App.of("webapp", application(), platform(postgres=outside)))
    assert allow["spec"]["egress"][1]["to"] == [{"ipBlock": {"cidr": "203.0.113.7/32"}}]


def test_pods_are_reached_and_reach_by_namespace_and_labels() -> None:  # CHART-41
    redis = {"namespace": "tools", "labels": {"app": "redis"}}
    scraper = {"namespace": "monitoring", "ports": [9090]}
    declared = app(
        egress=[{"pods": redis, "ports": [6379]}], ingress=[scraper, {"namespace": "webapp"}], exposure=["public"]
    )
    _, allow = ground.network_policies(declared)
    name = "kubernetes.io/metadata.name"
    (place,) = allow["spec"]["egress"][-1]["to"]
    assert place == {
        "namespaceSelector": {"matchLabels": {name: "tools"}},
        "podSelector": {"matchLabels": {"app": "redis"}},
    }
    traefik, metrics, own = allow["spec"]["ingress"]
    assert traefik["ports"] == own["ports"] == [{"protocol": "TCP", "port": declared.args.workload.port}]
    assert metrics["from"] == [{"namespaceSelector": {"matchLabels": {name: "monitoring"}}}]
    assert metrics["ports"] == [{"protocol": "TCP", "port": 9090}]
    assert own["from"] == [{"namespaceSelector": {"matchLabels": {name: "webapp"}}}]


def test_the_pooler_s_pods_may_have_another_port_than_its_service() -> None:  # CHART-41
    pooler = {"host": "pooler.tools", "namespace": "tools", "pod_port": 6432}
    inside = platform(postgres=PLATFORM["postgres"] | {"pooler": pooler})  # type: ignore[operator]
    _, allow = ground.network_policies(App.of("webapp", application(), inside))
    assert allow["spec"]["egress"][1]["ports"] == [{"protocol": "TCP", "port": 6432}]
    assert workload.config_map(App.of("webapp", application(), inside))["data"]["DB_PORT"] == "5432"


def test_a_claim_that_exists_keeps_its_name() -> None:  # CHART-33
    adopted = app(volumes=[VOLUME | {"claim": "documents-of-2019"}])
    (claim,) = ground.claims(adopted)
    assert claim["metadata"]["name"] == "documents-of-2019"
    volumes = workload.deployment(adopted)["spec"]["template"]["spec"]["volumes"]
    (volume,) = [one for one in volumes if "persistentVolumeClaim" in one]
    assert volume["persistentVolumeClaim"] == {"claimName": "documents-of-2019"}


def test_a_pod_that_talks_to_vault_may() -> None:  # CHART-42
    own = app(workload={"service_account_token": True})
    here = platform(network={"vault_namespace": "tools"})
    _, allow = ground.network_policies(App.of("webapp", own.args, here))
    assert allow["spec"]["egress"][-1]["ports"] == [{"protocol": "TCP", "port": 8200}]
    assert ground.service_account(own)["automountServiceAccountToken"] is True


def test_probes() -> None:  # WEBAPP-24
    found = container(app())
    assert found["livenessProbe"]["httpGet"] == {"path": "/liveness", "port": "http"}
    assert found["readinessProbe"]["httpGet"] == {"path": "/readiness", "port": "http"}
    assert container(app(workload={}))["livenessProbe"]["tcpSocket"] == {"port": "http"}


def test_an_autoscaler_exists_on_demand_and_then_owns_the_replicas() -> None:  # CHART-01, WEBAPP-25
    assert workload.autoscaler(app()) is None
    scaled = app(workload={"autoscaling": {"max_replicas": 4}})
    scaler = workload.autoscaler(scaled)
    assert scaler is not None
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 4)
    assert "replicas" not in workload.deployment(scaled)["spec"]


def test_a_changed_config_map_restarts_the_pods() -> None:
    def checksum(value: str) -> str:
        declared = app(workload={"environment": {"MODE": value}})
        annotations = workload.deployment(declared)["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["checksum/config"])

    assert checksum("one") == checksum("one") != checksum("two")


def test_a_digest_names_the_image() -> None:  # CHART-43
    digest = "sha256:" + "a" * 64
    assert workload.image(app(image={"tag": "latest", "digest": digest})).endswith(f"/webapp@{digest}")
    assert workload.image(app(image={"kind": "public", "repository": "example/erp", "tag": "1"})) == "example/erp:1"


def test_argocd_cannot_take_our_objects_for_its_own() -> None:
    everything = [*workload.manifests(app(volumes=[VOLUME])), *ground.claims(app(volumes=[VOLUME]))]
    for manifest in everything:
        assert "app.kubernetes.io/instance" not in manifest["metadata"]["labels"]


def _misfits(schema: dict[str, Any], value: Any, path: str) -> list[str]:
    if schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema:
        return []
    if isinstance(value, dict):
        known = schema.get("properties", {})
        missing = [f"{path}.{key} is missing" for key in schema.get("required", []) if key not in value]
        unknown = [f"{path}.{key} is unknown" for key in value if key not in known]
        return (
            missing
            + unknown
            + [m for key in value if key in known for m in _misfits(known[key], value[key], f"{path}.{key}")]
        )
    if isinstance(value, list):
        return [misfit for item in value for misfit in _misfits(schema.get("items", {}), item, f"{path}[]")]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path} = {value!r} is not one of {schema['enum']}"]
    return []


def test_custom_resources_fit_their_definitions() -> None:
    definitions = {
        document["spec"]["names"]["kind"]: document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        for file in sorted(CRDS.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
        if document
    }
    full = app(argo={"maintenance": True, "cascade": True})
    manifests = [*ground.vault_objects(full), argocd.app_project(full), argocd.application(full)]
    assert {each["kind"] for each in manifests} <= set(definitions)
    for manifest in manifests:
        schema = definitions[manifest["kind"]]["spec"]
        assert _misfits(schema, manifest["spec"], manifest["kind"]) == []
    assert _misfits(definitions["VaultAuth"]["spec"], {"mehtod": "kubernetes"}, "spec") != []
