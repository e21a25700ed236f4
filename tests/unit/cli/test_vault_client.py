"""What answers in Vault's place, and what the operator wrote about it, ends in one sentence."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from cli.errors import CommandError
from cli.vault_client import VaultClient
from stacks.settings.access import VaultAccess
from stacks.settings.connections import VaultConnection
from tests.support.web_servers import free_port, web_server


def client(address: str, authority: str | None = None) -> VaultClient:
    return VaultClient(VaultAccess(VaultConnection(address=address, ca_cert_file=authority), "token-secret"))


def refusal(vault: VaultClient) -> str:
    with pytest.raises(CommandError) as refused:
        vault.read("sys/mounts")
    assert "token-secret" not in str(refused.value)
    return str(refused.value)


def test_a_page_in_the_place_of_an_answer_is_told() -> None:
    with web_server("<html>Please log in</html>") as port:
        told = refusal(client(f"http://127.0.0.1:{port}"))
    assert f"what answers GET sys/mounts at http://127.0.0.1:{port} is not Vault: it sends" in told
    assert "look for a proxy in between, and at `factory:vault.address`" in told


@pytest.mark.parametrize("status", [200, 404])
def test_what_is_no_object_is_told_and_not_taken_for_nothing(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Where a proxy says that it finds nothing, Vault may well have something."""
    answers(monkeypatch, status, [1])
    assert "is not Vault: it sends application/json, no JSON object" in refusal(client("http://127.0.0.1"))


def test_what_vault_says(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = client("http://127.0.0.1")
    answers(monkeypatch, 200, {"data": {"key": "value"}})
    assert vault.read("x") == {"key": "value"}
    answers(monkeypatch, 404, {"errors": [], "data": {"deletion_time": "now"}})
    assert vault.read("x") is None
    answers(monkeypatch, 204, None)
    assert vault.read("x") is None
    answers(monkeypatch, 403, {"errors": ["permission denied"]})
    assert refusal(vault) == "Vault refuses GET sys/mounts: HTTP 403"


def answers(monkeypatch: pytest.MonkeyPatch, status: int, body: object) -> None:
    """Answer every request so; None is no body."""
    answer = httpx.Response(status, json=body, request=httpx.Request("GET", "http://127.0.0.1"))
    monkeypatch.setattr(httpx, "request", lambda *_, **__: answer)


def test_a_server_that_is_not_there_is_named() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    assert f"Vault at {address} does not answer: " in refusal(client(address))


def test_an_address_that_only_this_client_refuses_is_told() -> None:
    """Validation judges what all clients refuse; none may end in a traceback."""
    connection = VaultConnection.model_construct(address="http://127.0.0.1:82OO", ca_cert_file=None)
    assert "Vault at http://127.0.0.1:82OO does not answer: " in refusal(VaultClient(VaultAccess(connection, "x")))


def test_an_authority_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.pem").write_text("no certificate")
    written = {
        "~/ca.pem": f"factory:vault.ca_cert_file: {tmp_path}/ca.pem: it holds no certificate; name a PEM file",
        str(tmp_path): f"factory:vault.ca_cert_file: {tmp_path}: Is a directory; name a PEM file",
        f"{tmp_path}/gone.pem": f"factory:vault.ca_cert_file: {tmp_path}/gone.pem: No such file or directory; name a",
    }
    for authority, told in written.items():
        assert told in refusal(client("https://127.0.0.1:1", authority))
