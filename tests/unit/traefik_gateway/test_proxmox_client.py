"""The client against a local API: what it reads and writes, whom it trusts, and what each failure is called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from components.traefik_gateway.args_proxmox import ProxmoxConnection
from components.traefik_gateway.proxmox import (
    BusyError,
    ChangedError,
    Guest,
    GuestKind,
    MissingError,
    Notes,
    ProxmoxError,
    RefusedError,
    UnreachableError,
    failure,
    guests_of,
    notes_of,
    tags_of,
)
from components.traefik_gateway.proxmox_client import ProxmoxClient
from tests.support.proxmox import TOKEN_ID, TOKEN_SECRET, Cluster, FaultyProxy

WEB = Guest(106, "web", "pve1", GuestKind.QEMU, tags=("exposed",))
NASTY = 'Host(`a.test`) && Path(`/x%2Fy`) || Query(`a=b+c`) & é 漢字 😀 \\d{2} "q" # [x] : 100%\ttab'


def connection(endpoint: str, **trust: Any) -> ProxmoxConnection:
    return ProxmoxConnection(endpoint=endpoint, token_id=TOKEN_ID, timeout_seconds=trust.pop("timeout", 5), **trust)


@pytest.fixture
def client(pve: Cluster) -> Iterator[ProxmoxClient]:
    with ProxmoxClient(connection(pve.endpoint, ca_pem=pve.ca_pem), TOKEN_SECRET) as made:
        yield made


@pytest.fixture
def behind(proxy: FaultyProxy, pve: Cluster) -> Iterator[ProxmoxClient]:
    """A client of the proxy, which waits a second at most."""
    with ProxmoxClient(connection(proxy.endpoint, ca_pem=pve.ca_pem, timeout=1), TOKEN_SECRET) as made:
        yield made


def test_guests_of_all_nodes_and_kinds(pve: Cluster, client: ProxmoxClient) -> None:
    pve.guest(106, "web", tags="exposed;prod")
    pve.guest(110, "ct", kind="lxc", node="pve2", tags="exposed-old")
    pve.guest(104, "old", status="stopped", template=True)
    assert client.guests() == [
        Guest(104, "old", "pve1", GuestKind.QEMU, running=False, template=True, tags=("exposed",)),
        Guest(106, "web", "pve1", GuestKind.QEMU, tags=("exposed", "prod")),
        Guest(110, "ct", "pve2", GuestKind.LXC, tags=("exposed-old",)),
    ]


@pytest.mark.parametrize("kind", list(GuestKind))
def test_notes_survive_the_way_there_and_back(pve: Cluster, client: ProxmoxClient, kind: GuestKind) -> None:
    """TPX-126: whatever the text holds, it is read back as it was written, with one line end at its end."""
    pve.guest(106, "web", kind=kind.value)
    guest = Guest(106, "web", "pve1", kind)
    client.write_notes(guest, f"{NASTY}\n\n{NASTY}\n", client.notes(guest).digest)
    assert client.notes(guest).text == f"{NASTY}\n\n{NASTY}\n"


def test_no_notes_and_deleted_notes_are_empty(pve: Cluster, client: ProxmoxClient) -> None:
    pve.guest(106, "web")
    assert client.notes(WEB).text == ""
    client.write_notes(WEB, "text", client.notes(WEB).digest)
    client.write_notes(WEB, "", client.notes(WEB).digest)
    assert client.notes(WEB).text == ""
    assert pve.notes(106) == ""


def test_a_change_by_somebody_else_is_never_overwritten(pve: Cluster, client: ProxmoxClient) -> None:
    """TPX-120."""
    guest = pve.guest(106, "web", "mine")
    digest = client.notes(WEB).digest
    guest.config["description"] = "theirs"
    with pytest.raises(
        ChangedError, match=r"writing the notes of web \(VMID 106\): 500 checksum mismatch.*somebody else"
    ):
        client.write_notes(WEB, "mine, changed", digest)
    assert pve.notes(106) == "theirs\n"


def test_a_locked_guest(pve: Cluster, client: ProxmoxClient) -> None:
    """TPX-227."""
    pve.guest(106, "web")
    digest = client.notes(WEB).digest
    pve.pve.snapshot_lock(106, "backup")
    digest = client.notes(WEB).digest
    with pytest.raises(BusyError, match=r"VM is locked \(backup\).*qm unlock"):
        client.write_notes(WEB, "text", digest)


def listed(at: ProxmoxConnection, secret: str = TOKEN_SECRET) -> list[Guest]:
    with ProxmoxClient(at, secret) as client:
        return client.guests()


def test_a_wrong_token(pve: Cluster) -> None:
    with pytest.raises(RefusedError, match="the token is wrong or has expired") as caught:
        listed(connection(pve.endpoint, ca_pem=pve.ca_pem), "wrong-secret")
    assert "wrong-secret" not in str(caught.value)


def test_a_missing_privilege_is_named_and_an_allowed_token_writes(pve: Cluster, client: ProxmoxClient) -> None:
    """TPX-198: reading and writing are two privileges; each refusal names the one that is missing."""
    pve.guest(106, "web")
    pve.pve.grant("somebody@pve", "/", "Sys.Audit")
    assert client.guests() == []
    with pytest.raises(RefusedError, match=r"lacks the privilege VM\.Audit on /vms/106"):
        client.notes(WEB)
    pve.pve.grant(TOKEN_ID, "/vms/106", "VM.Audit")
    digest = client.notes(WEB).digest
    with pytest.raises(RefusedError, match=r"lacks the privilege VM\.Config\.Options on /vms/106: grant it"):
        client.write_notes(WEB, "text", digest)
    pve.pve.grant(TOKEN_ID, "/vms/106", "VM.Config.Options")
    client.write_notes(WEB, "text", digest)
    assert pve.notes(106) == "text\n"


def test_a_guest_that_is_not_there_and_a_node_that_is_down(pve: Cluster, client: ProxmoxClient) -> None:
    with pytest.raises(MissingError, match="does not exist: is the VMID right"):
        client.notes(WEB)
    pve.guest(106, "web")
    pve.pve.set_node_offline("pve1")
    with pytest.raises(UnreachableError, match="595 No route to host"):
        client.notes(WEB)


def test_a_cluster_without_quorum(pve: Cluster, client: ProxmoxClient) -> None:
    pve.guest(106, "web")
    digest = client.notes(WEB).digest
    pve.pve.lose_quorum()
    with pytest.raises(UnreachableError, match="accepts no changes"):
        client.write_notes(WEB, "text", digest)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"cut": True}, "cannot be reached: IncompleteRead"),
        ({"lose": True}, "cannot be reached"),
        ({"seconds": 1.5}, "did not answer in time"),
        ({"body": b'{"data":{"digest":"abc","descri'}, "cut off, or not one of a Proxmox API"),
        ({"body": b'{"data":{"description":"text"}}'}, "cut off, or not one of a Proxmox API"),
        ({"body": b"<html>Welcome</html>"}, "cut off, or not one of a Proxmox API"),
        ({"body": b"{}"}, "not as a Proxmox API does"),
        ({"body": b"[]"}, "not as a Proxmox API does"),
        ({"status": 502, "reason": "Bad Gateway"}, "502 Bad Gateway"),
        ({"status": 596, "reason": "Connection timed out"}, "596 Connection timed out"),
        ({"status": 302, "reason": "Found"}, "cut off, or not one"),
    ],
)
def test_an_answer_that_is_none_is_never_taken_for_empty_notes(
    behind: ProxmoxClient, proxy: FaultyProxy, pve: Cluster, fault: dict[str, Any], said: str
) -> None:
    pve.guest(106, "web", "what a person wrote")
    proxy.inject("GET", "/106/config", **fault)
    with pytest.raises(UnreachableError, match=said):
        behind.notes(WEB)
    assert behind.notes(WEB).text == "what a person wrote\n"


def test_nothing_listens(pve: Cluster) -> None:
    with pytest.raises(UnreachableError, match=r"the guests of https://127\.0\.0\.1:1.*refused"):
        listed(connection("https://127.0.0.1:1", ca_pem=pve.ca_pem))


def test_only_the_pinned_certificate_or_authority_is_trusted(pve: Cluster) -> None:
    """TPX-118: each refusal beside the same call with the right pin; the shell's settings change nothing."""
    pve.guest(106, "web")
    wrong = pve.fingerprint[:-2] + ("00" if pve.fingerprint[-2:] != "00" else "11")
    for trust in ({"fingerprint": wrong}, {}):
        with pytest.raises(UnreachableError, match="is not the server that is trusted"):
            listed(connection(pve.endpoint, **trust))
    assert pve.calls("GET") == [], "the token was sent to a server that is not trusted"
    for trust in ({"fingerprint": pve.fingerprint}, {"fingerprint": pve.fingerprint.lower()}, {"ca_pem": pve.ca_pem}):
        assert len(listed(connection(pve.endpoint, **trust))) == 1


def test_the_environment_is_not_asked(pve: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pve.certificate))
    assert listed(connection(pve.endpoint, ca_pem=pve.ca_pem)) == []
    with pytest.raises(UnreachableError, match="is not the server that is trusted"):
        listed(connection(pve.endpoint))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"endpoint": "http://pve.example.test:8006"}, "no address of a Proxmox API"),
        ({"endpoint": "https://pve.example.test:8006/path"}, "no address of a Proxmox API"),
        ({"endpoint": "https://user@pve.example.test"}, "endpoint"),
        ({"endpoint": "pve.example.test"}, "endpoint"),
        ({"token_id": "notes"}, "token_id"),
        ({"token_id": "root@pam"}, "token_id"),
        ({"ca_pem": "not a certificate"}, "holds no certificate"),
        ({"fingerprint": "AA:BB"}, "fingerprint"),
    ],
)
def test_bad_connections_are_refused(values: dict[str, str], said: str) -> None:
    good = {"endpoint": "https://pve.example.test:8006", "token_id": TOKEN_ID}
    with pytest.raises(ValidationError, match=said):
        ProxmoxConnection.model_validate(good | values)


def test_two_kinds_of_trust_are_refused(pve: Cluster) -> None:
    with pytest.raises(ValidationError, match="keep one"):
        connection(pve.endpoint, ca_pem=pve.ca_pem, fingerprint=pve.fingerprint)


def test_the_documented_endpoint_with_its_path_is_understood() -> None:
    """TPX-32, TPX-258: the path belongs to the client, and the port has a default."""
    written = ProxmoxConnection(endpoint="https://pve.example.test/api2/json", token_id=TOKEN_ID)
    assert (written.endpoint, written.host, written.port) == ("https://pve.example.test", "pve.example.test", 8006)


def test_tags_are_whole_words() -> None:
    """TPX-28."""
    assert tags_of("exposed;prod, x") == ("exposed", "prod", "x")
    assert "exposed" not in tags_of("exposed-old")
    assert tags_of(None) == ()


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "invalid token value!", RefusedError),
        (403, "Permission check failed", RefusedError),
        (500, "Configuration file 'nodes/pve1/qemu-server/9.conf' does not exist", MissingError),
        (500, "can't lock file '/var/lock/qemu-server/lock-106.conf' - got timeout", BusyError),
        (500, "CT is locked (migrate)", BusyError),
        (500, "checksum mismatch (file change by other user?)", ChangedError),
        (500, "detected modified configuration - file changed by other user? Try again.", ChangedError),
        (500, "cluster not ready - no quorum?", UnreachableError),
        (400, "Parameter verification failed.", ProxmoxError),
        (500, "", ProxmoxError),
    ],
)
def test_answers_of_a_cluster_have_a_meaning(status: int, message: str, kind: type[ProxmoxError]) -> None:
    found = failure(status, message, {"description": "too\nlong"}, "the notes of web")
    assert type(found) is kind
    assert str(found).startswith("the notes of web: ")
    assert "description: too long" in str(found) or kind is not ProxmoxError


def test_a_list_of_guests_that_lacks_something_is_refused() -> None:
    assert guests_of([{"type": "storage"}], "x") == []
    whole = {"type": "qemu", "vmid": 106, "node": "pve1"}
    assert [guest.vmid for guest in guests_of([whole], "x")] == [106]
    changes: list[dict[str, object]] = [{"vmid": "x"}, {"vmid": [1]}, {"vmid": None}, {"node": ""}, {"template": "yes"}]
    answers: list[object] = [None, {}, [{"type": "qemu", "vmid": 106}], *([whole | change] for change in changes)]
    for unusable in answers:
        with pytest.raises(UnreachableError):
            guests_of(unusable, "x")


def test_what_is_no_guest_is_passed_over() -> None:
    assert guests_of([{"type": []}, {"type": None}, "text"], "x") == []


@pytest.mark.parametrize("secret", [f"{TOKEN_SECRET}\n", f" {TOKEN_SECRET}", f"{TOKEN_SECRET}\u20ac"])
def test_a_secret_that_no_header_can_hold_is_told_without_it(secret: str, pve: Cluster) -> None:
    """TPX-119: one that was set from a file has its line end; Python's own error would print the header."""
    with pytest.raises(RefusedError, match="set it without") as refused:
        ProxmoxClient(connection(pve.endpoint, ca_pem=pve.ca_pem), secret)
    assert TOKEN_SECRET not in str(refused.value)


@pytest.mark.parametrize("port", ["99999", "abc", "0", "-1"])
def test_an_endpoint_has_a_port_that_exists(port: str) -> None:
    with pytest.raises(ValidationError, match="names no host and port that can be reached"):
        connection(f"https://pve.example.test:{port}")


def test_a_configuration_that_lacks_something_is_refused() -> None:
    assert notes_of({"digest": "a"}, "x") == Notes("", "a")
    answers: list[object] = [None, [], {"digest": 1}, {"digest": "a", "description": 5}]
    for unusable in answers:
        with pytest.raises(UnreachableError):
            notes_of(unusable, "x")
