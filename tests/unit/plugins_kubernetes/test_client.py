from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.dead_ends import silent
from tests.support.web_servers import web_server
from toolchain.plugins.kit import ProviderError
from toolchain.plugins.kubernetes import client as module
from toolchain.plugins.kubernetes.client import ApiError, Client, Rate, UnreachableError
from toolchain.plugins.kubernetes.discovery import Discovery, Kind, Resource
from toolchain.plugins.kubernetes.kubeconfig import Access, Cluster, User
from toolchain.plugins.kubernetes.objects import ExistsError, Objects, Target

Answer = Callable[[httpx.Request], httpx.Response]


@contextmanager
def talking_to(answer: Answer, user: User | None = None) -> Iterator[Client]:
    access = Access("here", "default", Cluster(server="https://k8s.example.test"), user or User(token="t0ken"))
    client = Client(access, transport=httpx.MockTransport(answer))
    yield client
    client.close()


def status(code: int, **document: object) -> httpx.Response:
    return httpx.Response(code, json={"kind": "Status", **document})


def always(response: httpx.Response) -> Answer:
    return lambda _request: response


def test_a_document_is_read_and_an_absent_one_is_none() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer t0ken"
        return httpx.Response(200, json={"a": 1}) if request.url.path == "/there" else status(404, message="not found")

    with talking_to(answer) as client:
        assert client.get("/there") == {"a": 1}
        assert client.find("/elsewhere") is None
        with pytest.raises(ApiError, match="not found"):
            client.get("/elsewhere")


def test_a_refusal_has_its_causes() -> None:
    causes = [{"reason": "FieldManagerConflict", "message": 'conflict with "other"', "field": ".data.a"}]
    refusal = status(409, reason="Conflict", message="no", details={"causes": causes})
    with talking_to(lambda _: refusal) as client, pytest.raises(ApiError) as error:
        client.request("PATCH", "/x", body={})
    assert [cause.field for cause in error.value.conflicts] == [".data.a"]


def test_a_server_that_answers_no_packet_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.3)
    with silent() as port:
        client = Client(Access("here", "default", Cluster(server=f"http://127.0.0.1:{port}"), User()))
        try:
            with pytest.raises(UnreachableError, match=rf"http://127\.0\.0\.1:{port} .*: no connection within 0\.3 s"):
                client.get("/x")
        finally:
            client.close()


def test_refused_credentials_are_said_without_repeating_them() -> None:
    with talking_to(lambda _: status(401, message="Unauthorized")) as client, pytest.raises(ProviderError) as error:
        client.get("/x")
    assert "does not accept the credentials" in str(error.value)
    assert "t0ken" not in str(error.value)


def test_what_is_no_api_server_is_said_so() -> None:
    for code, message in ((200, "does not answer as an API server does"), (502, "HTTP 502 Bad Gateway")):
        with talking_to(always(httpx.Response(code, text="<html>"))) as client, pytest.raises(ApiError, match=message):
            client.get("/x")


def test_an_unreachable_server_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        raise httpx.ConnectError("[Errno 111] Connection refused")

    with talking_to(answer) as client:
        for _ in range(3):
            with pytest.raises(UnreachableError, match=r"https://k8s.example.test \(context 'here'\).*refused"):
                client.get("/x")
        assert asked == 1
        monkeypatch.setattr(module, "DOWN_SECONDS", 0.0)
        client._down = (0.0, "")
        with pytest.raises(UnreachableError):
            client.get("/x")
    assert asked == 2


def test_a_slow_answer_does_not_make_the_server_unreachable() -> None:
    answers: list[httpx.Response | Exception] = [httpx.ReadTimeout("slow"), httpx.Response(200, json={})]

    def answer(_request: httpx.Request) -> httpx.Response:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    with talking_to(answer) as client:
        with pytest.raises(UnreachableError, match="did not answer in time"):
            client.get("/x")
        assert client.get("/x") == {}


def test_an_overloaded_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    busy = httpx.Response(429, json={"message": "busy"}, headers={"retry-after": "2"})
    answers = [busy, busy, httpx.Response(200, json={"done": True})]
    with talking_to(lambda _: answers.pop(0)) as client:
        assert client.get("/x") == {"done": True}
    assert slept == [2.0, 2.0]
    with talking_to(lambda _: busy) as client, pytest.raises(ApiError, match="busy"):
        client.get("/x")


def test_a_server_which_starts_or_stops_is_asked_again_when_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    starting = httpx.Response(503, json={"message": "starting"}, headers={"retry-after": "1"})
    answers = [starting, httpx.Response(200, json={"done": True})]
    with talking_to(lambda _: answers.pop(0)) as client:
        assert client.get("/x") == {"done": True}
    assert slept == [1.0]
    broken = [status(500, message="broken"), httpx.Response(200, json={})]
    with talking_to(lambda _: broken.pop(0)) as client, pytest.raises(ApiError, match="broken"):
        client.get("/x")


QUOTA = {
    "message": 'Operation cannot be fulfilled on resourcequotas "q": the object has been modified',
    "reason": "Conflict",
    "details": {"name": "q", "kind": "resourcequotas"},
}


def test_what_competes_for_a_quota_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was done: the server counts the objects of a namespace in one object, which several requests change."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    answers = [status(409, **QUOTA), httpx.Response(200, json={"done": True})]
    with talking_to(lambda _: answers.pop(0)) as client:
        assert client.request("PATCH", "/x", body={}) == {"done": True}


def test_a_quota_in_the_way_does_not_mean_that_the_object_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    target = Target(Resource(Kind("", "v1", "ConfigMap"), "configmaps", namespaced=True), "n", "c")
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}
    about = {"": ExistsError, "configmaps": ExistsError, "resourcequotas": ProviderError}
    for kind, error in about.items():
        refusal = status(409, **(QUOTA | {"details": {"kind": kind}}))
        with talking_to(always(refusal)) as client, pytest.raises(ProviderError) as refused:
            Objects(client, Discovery(client)).apply(target, item, "m", create_only=True)
        assert type(refused.value) is error


def test_a_token_which_cannot_be_sent_is_not_told(tmp_path: Path) -> None:
    """The HTTP client's own words repeat the header."""
    file = tmp_path / "token"
    file.write_text("can\nary")
    users = User(token="canary\n"), User(tokenFile=str(file)), User.model_validate({"as": "can\nary"})
    with web_server("nobody") as port:
        for user in users:
            client = Client(Access("here", "default", Cluster(server=f"http://127.0.0.1:{port}"), user))
            with pytest.raises(ProviderError, match="holds a character") as error:
                client.get("/x")
            assert "nary" not in str(error.value)
            client.close()


def test_deprecation_warnings_are_passed_on() -> None:
    said: list[str] = []
    headers = {"warning": '299 - "policy/v1beta1 is \\"old\\""'}
    with talking_to(lambda _: httpx.Response(200, json={}, headers=headers)) as client:
        client.request("PATCH", "/x", body={}, warn=said.append)
    assert said == ['policy/v1beta1 is "old"']


def test_a_token_file_is_read_for_each_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json={})

    with talking_to(answer, User(tokenFile=str(file))) as client:
        with pytest.raises(ProviderError, match=r"token file .* cannot be read"):
            client.get("/x")
        for token in ("one", "two"):
            file.write_text(f"{token}\n")
            client.get("/x")
    assert seen == ["Bearer one", "Bearer two"]


def test_impersonation_and_passwords_are_headers() -> None:
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, json={})

    user = User.model_validate({"username": "u", "password": "p", "as": "viewer", "as-groups": ["a", "b"]})
    with talking_to(answer, user) as client:
        client.get("/x")
    assert seen[0]["authorization"].startswith("Basic ")
    assert seen[0].get_list("impersonate-group") == ["a", "b"]


def test_certificates_which_cannot_be_used_are_named() -> None:
    cluster = Cluster.model_validate({"server": "https://k8s.example.test", "certificate-authority": "/nowhere/ca.crt"})
    with pytest.raises(ProviderError, match="Certificates of the kubeconfig's context 'here'"):
        Client(Access("here", "default", cluster, User()))
    half = User.model_validate({"client-certificate": "/keys/admin.crt"})
    with pytest.raises(ProviderError, match="has a client certificate but no `client-key-data`"):
        Client(Access("here", "default", Cluster(server="https://k8s.example.test"), half))


def test_only_the_kubeconfig_tells_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the shell would see the cluster's requests; one of the kubeconfig is asked for everything."""
    with web_server("proxy") as proxy, web_server("server") as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        for through in (None, f"http://127.0.0.1:{proxy}"):
            cluster = Cluster.model_validate({"server": f"http://127.0.0.1:{server}", "proxy-url": through})
            client = Client(Access("here", "default", cluster, User()))
            answer = client._send("GET", "/x", None, None, {})
            assert answer.text.split()[0] == ("proxy" if through else "server")
            client.close()


def test_a_certificate_is_verified_unless_the_kubeconfig_says_otherwise() -> None:
    for given, mode in (({}, ssl.CERT_REQUIRED), ({"insecure-skip-tls-verify": True}, ssl.CERT_NONE)):
        cluster = Cluster.model_validate({"server": "https://k8s.example.test", **given})
        context = module._tls(Access("here", "default", cluster, User()))
        assert (context.verify_mode, context.check_hostname) == (mode, mode is ssl.CERT_REQUIRED)


def test_the_rate_allows_a_burst_and_then_slows_down(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    slept: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", slept.append)
    rate = Rate(qps=10, burst=3)
    for _ in range(5):
        rate.wait()
    assert slept == pytest.approx([0.1, 0.2])
