from __future__ import annotations

import threading
import time

import httpx
import pytest

from toolchain.plugins.kit import ProviderError
from toolchain.plugins.kubernetes.client import Client
from toolchain.plugins.kubernetes.discovery import Discovery, Kind, Resource
from toolchain.plugins.kubernetes.kubeconfig import Access, Cluster, User

TOKENS = {
    "kubernetes:core/v1:Namespace": (Kind("", "v1", "Namespace"), "v1", "/api/v1"),
    "kubernetes:apps/v1:Deployment": (Kind("apps", "v1", "Deployment"), "apps/v1", "/apis/apps/v1"),
    "kubernetes:networking.k8s.io/v1:Ingress": (
        Kind("networking.k8s.io", "v1", "Ingress"),
        "networking.k8s.io/v1",
        "/apis/networking.k8s.io/v1",
    ),
    "kubernetes:argoproj.io/v1alpha1:Application": (
        Kind("argoproj.io", "v1alpha1", "Application"),
        "argoproj.io/v1alpha1",
        "/apis/argoproj.io/v1alpha1",
    ),
    # What `CustomResource(api_version="v1", kind="ConfigMap")` makes.
    "kubernetes:v1:ConfigMap": (Kind("", "v1", "ConfigMap"), "v1", "/api/v1"),
}


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_names_a_kind(token: str) -> None:
    kind, api_version, root = TOKENS[token]
    assert Kind.of_token(token) == kind
    assert (kind.api_version, kind.root) == (api_version, root)
    assert Kind.of_object({"apiVersion": api_version, "kind": kind.kind}) == kind


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:helm.sh/v4:Chart",
        "kubernetes:yaml/v2:ConfigGroup",
        "kubernetes:yaml:ConfigFile",
        "kubernetes:kustomize/v2:Directory",
        "kubernetes:apps/v1",
        "vault:index:Mount",
    ],
)
def test_what_is_no_object_is_refused(token: str) -> None:
    with pytest.raises(ProviderError, match=f"{token} is not an object of the Kubernetes API"):
        Kind.of_token(token)


DEPLOYMENT = Resource(Kind("apps", "v1", "Deployment"), "deployments", namespaced=True)
NAMESPACE = Resource(Kind("", "v1", "Namespace"), "namespaces", namespaced=False)


def test_paths_and_ids() -> None:
    assert DEPLOYMENT.path("tools", "web") == "/apis/apps/v1/namespaces/tools/deployments/web"
    assert DEPLOYMENT.path("tools") == "/apis/apps/v1/namespaces/tools/deployments"
    assert NAMESPACE.path("", "a/b") == "/api/v1/namespaces/a%2Fb"
    assert (DEPLOYMENT.identity("tools", "web"), NAMESPACE.identity("", "tools")) == ("tools/web", "tools")
    assert DEPLOYMENT.locate("tools/web") == ("tools", "web")
    assert DEPLOYMENT.locate("web") == ("default", "web")
    assert NAMESPACE.locate("tools") == ("", "tools")
    for resource, identity in ((NAMESPACE, "a/b"), (DEPLOYMENT, "a/b/c"), (DEPLOYMENT, "a/")):
        with pytest.raises(ProviderError, match="is not an id of a"):
            resource.locate(identity)


class ApiServer:
    """Answers discovery requests, and counts them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pause = 0.0
        self.kinds = {"apps/v1": ["Deployment"]}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        time.sleep(self.pause)
        group_version = request.url.path.removeprefix("/apis/")
        self.asked.append(group_version)
        if group_version not in self.kinds:
            return httpx.Response(404, json={"message": "the server could not find the requested resource"})
        found = [{"name": f"{k.lower()}s", "kind": k, "namespaced": True} for k in self.kinds[group_version]]
        found += [{"name": f"{k.lower()}s/status", "kind": k, "namespaced": True} for k in self.kinds[group_version]]
        return httpx.Response(200, json={"resources": found})


@pytest.fixture
def api() -> ApiServer:
    return ApiServer()


@pytest.fixture
def discovery(api: ApiServer) -> Discovery:
    access = Access("here", "default", Cluster(server="http://k8s.example.test"), User())
    return Discovery(Client(access, transport=httpx.MockTransport(api)))


def test_a_kind_is_asked_for_once(discovery: Discovery, api: ApiServer) -> None:
    api.pause = 0.2  # so that all ask while the first answer is on its way
    threads = [threading.Thread(target=discovery.find, args=(DEPLOYMENT.kind,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert discovery.resource(DEPLOYMENT.kind, "token") == DEPLOYMENT
    assert api.asked == ["apps/v1"]


def test_a_missing_kind_names_the_token_and_what_is_missing(discovery: Discovery) -> None:
    token = "kubernetes:example.test/v1:Widget"
    with pytest.raises(ProviderError) as error:
        discovery.resource(Kind.of_token(token), token)
    message = str(error.value)
    assert message.startswith(f"{token}: the Kubernetes API server http://k8s.example.test has no kind 'Widget'")
    assert "CustomResourceDefinition" in message
    with pytest.raises(ProviderError, match="no kind 'Deploymnt' in apps/v1"):
        discovery.resource(Kind("apps", "v1", "Deploymnt"), "token")


def test_a_kind_is_known_from_its_planned_definition_and_found_once_it_is_served(
    discovery: Discovery, api: ApiServer
) -> None:
    kind = Kind("example.test", "v1", "Widget")
    names = {"plural": "widgets", "kind": "Widget"}
    versions = [{"name": "v1"}]
    discovery.plan({"spec": {"group": "example.test", "scope": "Namespaced", "names": names, "versions": versions}})
    assert discovery.find(kind) is None
    assert discovery.resource(kind, "token") == Resource(kind, "widgets", namespaced=True)
    threading.Timer(0.2, lambda: api.kinds.update({"example.test/v1": ["Widget"]})).start()
    discovery.await_served(kind, threading.Event())
    assert discovery.find(kind) == Resource(kind, "widgets", namespaced=True)


def test_an_interrupted_wait_for_a_kind_ends(discovery: Discovery) -> None:
    cancelled = threading.Event()
    cancelled.set()
    discovery.plan({"spec": {"group": "g.test", "names": {"kind": "W", "plural": "ws"}, "versions": [{"name": "v1"}]}})
    discovery.await_served(Kind("g.test", "v1", "W"), cancelled)
    assert discovery.find(Kind("g.test", "v1", "W")) is None
