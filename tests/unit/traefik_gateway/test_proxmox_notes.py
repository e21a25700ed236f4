"""Changing notes against a local API: the number of calls, concurrent changes, locks, lost answers, many guests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from components.traefik_gateway.args_proxmox import ProxmoxConnection
from components.traefik_gateway.notes import NotesError, NotesUpdate, update
from components.traefik_gateway.proxmox import (
    BusyError,
    ChangedError,
    Guest,
    GuestKind,
    MissingError,
    RefusedError,
    UnreachableError,
)
from components.traefik_gateway.proxmox_client import ProxmoxClient
from components.traefik_gateway.proxmox_notes import PAUSES, change_notes, side_by_side
from tests.support.proxmox import TOKEN_ID, TOKEN_SECRET, Cluster, FaultyProxy

WEB = Guest(106, "web", "pve1", GuestKind.QEMU)
LABELS = (("traefik.enable", "true"), ("traefik.http.routers.app.rule", "Host(`app.example.test`)"))
HUMAN = "# My VM\n\nBackup: nightly 02:00, 100% [x] %2F é\n"


def with_labels(text: str) -> NotesUpdate:
    return update(text, LABELS, "edge")


@pytest.fixture
def client(proxy: FaultyProxy, pve: Cluster) -> Iterator[ProxmoxClient]:
    connection = ProxmoxConnection(
        endpoint=proxy.endpoint, token_id=TOKEN_ID, fingerprint=pve.fingerprint, timeout_seconds=1
    )
    with ProxmoxClient(connection, TOKEN_SECRET) as made:
        yield made


@pytest.fixture
def naps() -> list[float]:
    """How long the pauses were which nobody had to wait for."""
    return []


def test_one_read_and_one_write_then_one_read(pve: Cluster, client: ProxmoxClient) -> None:
    """TPX-137, TPX-241."""
    pve.guest(106, "web", HUMAN)
    assert change_notes(client, WEB, with_labels).changed
    assert (len(pve.calls("GET")), len(pve.calls("PUT"))) == (1, 1)
    pve.forget_calls()
    assert not change_notes(client, WEB, with_labels).changed
    assert (len(pve.calls("GET")), len(pve.calls("PUT"))) == (1, 0)


@pytest.mark.parametrize("kind", list(GuestKind))
def test_what_a_person_wrote_is_there_before_during_and_after(
    pve: Cluster, client: ProxmoxClient, kind: GuestKind
) -> None:
    """TPX-131, TPX-135."""
    pve.guest(106, "web", HUMAN, kind=kind.value)
    guest = Guest(106, "web", "pve1", kind)
    change_notes(client, guest, with_labels)
    assert pve.notes(106).startswith(HUMAN + "\n<!-- factory labels begin edge -->\n")
    change_notes(client, guest, lambda text: update(text, (), "edge"))
    assert pve.notes(106) == HUMAN


def test_a_change_in_between_is_kept(
    pve: Cluster, proxy: FaultyProxy, client: ProxmoxClient, naps: list[float]
) -> None:
    """TPX-120: somebody edits the notes between the read and the write."""
    guest = pve.guest(106, "web", HUMAN)

    def edit() -> None:
        guest.config["description"] = f"{HUMAN}and one more line"

    proxy.inject("PUT", "/106/config", before=edit)
    change_notes(client, WEB, with_labels, sleep=naps.append)
    assert naps == list(PAUSES[:1])
    assert pve.notes(106).startswith(f"{HUMAN}and one more line\n\n<!-- factory labels begin edge -->\n")
    assert len(pve.calls("PUT")) == 2


def test_a_change_in_between_each_time_ends_in_an_error(
    pve: Cluster, proxy: FaultyProxy, client: ProxmoxClient, naps: list[float]
) -> None:
    guest = pve.guest(106, "web", HUMAN)
    edits = iter(range(99))

    def edit() -> None:
        guest.config["description"] = f"edit {next(edits)}"

    proxy.inject("PUT", "/106/config", before=edit, times=99)
    with pytest.raises(ChangedError, match=rf"tried {len(PAUSES) + 1} times"):
        change_notes(client, WEB, with_labels, sleep=naps.append)
    assert naps == list(PAUSES)
    assert pve.notes(106) == f"edit {len(PAUSES)}\n"


def test_a_lock_that_ends_is_waited_for(pve: Cluster, client: ProxmoxClient) -> None:
    """TPX-227."""
    pve.guest(106, "web", HUMAN)
    pve.pve.snapshot_lock(106, "backup")
    change_notes(client, WEB, with_labels, sleep=lambda _: pve.pve.unlock(106))
    assert "traefik.enable=true" in pve.notes(106)


def test_a_lock_that_stays_is_an_error_and_nothing_is_written(
    pve: Cluster, client: ProxmoxClient, naps: list[float]
) -> None:
    pve.guest(106, "web", HUMAN)
    pve.pve.snapshot_lock(106, "migrate")
    with pytest.raises(BusyError, match=r"VM is locked \(migrate\)"):
        change_notes(client, WEB, with_labels, sleep=naps.append)
    assert (naps, pve.notes(106)) == (list(PAUSES), HUMAN)


@pytest.mark.parametrize(
    "fault",
    [{"lose": True}, {"cut": True}, {"status": 596, "reason": "Connection timed out"}, {"seconds": 1.3}],
    ids=["lost", "cut off", "refused by a node", "too slow"],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_answer_that_got_lost(
    proxy: FaultyProxy, client: ProxmoxClient, naps: list[float], method: str, fault: dict[str, Any]
) -> None:
    """Whether the cluster did what it was asked or not, the next attempt sees what is there."""
    pve = proxy.behind
    pve.guest(106, "web", HUMAN)
    proxy.inject(method, "/106/config", **fault)
    update = change_notes(client, WEB, with_labels, sleep=naps.append)
    assert len(naps) == 1
    assert pve.notes(106) == update.text
    assert pve.notes(106).count("factory labels begin") == 1


def test_a_node_that_is_down_and_a_refused_token_change_nothing(
    pve: Cluster, client: ProxmoxClient, naps: list[float]
) -> None:
    pve.guest(106, "web", HUMAN)
    pve.pve.set_node_offline("pve1")
    with pytest.raises(UnreachableError, match="595"):
        change_notes(client, WEB, with_labels, sleep=naps.append)
    pve.pve.set_node_offline("pve1", offline=False)
    pve.pve.grant(TOKEN_ID, "/vms/106", "VM.Audit")
    naps.clear()
    with pytest.raises(RefusedError, match=r"VM\.Config\.Options"):
        change_notes(client, WEB, with_labels, sleep=naps.append)
    assert (naps, pve.notes(106)) == ([], HUMAN), "what cannot get better is not tried again"


def test_notes_that_would_be_too_long_are_not_written(pve: Cluster, client: ProxmoxClient) -> None:
    """TPX-226: the exact limit passes, one character more does not."""
    room = 8192 - len(update("\n", LABELS, "edge").text) - len("\n\n")
    pve.guest(106, "web", "x" * room)
    change_notes(client, WEB, with_labels)
    assert len(pve.notes(106)) == 8192
    pve.guest(107, "other", "x" * (room + 1))
    with pytest.raises(NotesError, match="would have 8193 characters"):
        change_notes(client, Guest(107, "other", "pve1", GuestKind.QEMU), with_labels)
    assert pve.calls("PUT", "/107/") == []


def test_one_guest_that_fails_stops_no_other(pve: Cluster, client: ProxmoxClient) -> None:
    """TPX-196."""
    guests = {f"vm-{number}": Guest(number, f"vm-{number}", "pve1", GuestKind.QEMU) for number in (101, 102, 103, 104)}
    for guest in list(guests.values())[:-1]:
        pve.guest(guest.vmid, guest.name, "<!-- factory labels begin edge -->" if guest.vmid == 102 else HUMAN)
    done, failed = side_by_side(guests, lambda guest: change_notes(client, guest, with_labels))
    assert sorted(done) == ["vm-101", "vm-103"]
    assert "begins, but does not end" in failed["vm-102"]
    assert "does not exist" in failed["vm-104"]
    assert pve.notes(102) == "<!-- factory labels begin edge -->\n"


def test_a_guest_that_is_gone_is_not_tried_again(client: ProxmoxClient, naps: list[float]) -> None:
    with pytest.raises(MissingError):
        change_notes(client, WEB, with_labels, sleep=naps.append)
    assert naps == []


def test_fifty_guests(pve: Cluster) -> None:
    """TPX-241: the time is judged by the benchmark; the number of calls here."""
    guests = {f"vm-{number}": Guest(number, f"vm-{number}", "pve1", GuestKind.QEMU) for number in range(101, 151)}
    for guest in guests.values():
        pve.guest(guest.vmid, guest.name, HUMAN)
    connection = ProxmoxConnection(endpoint=pve.endpoint, token_id=TOKEN_ID, ca_pem=pve.ca_pem)
    with ProxmoxClient(connection, TOKEN_SECRET) as client:
        started = time.monotonic()
        _, failed = side_by_side(guests, lambda guest: change_notes(client, guest, with_labels))
        assert failed == {}
        assert (len(pve.calls("GET")), len(pve.calls("PUT"))) == (50, 50)
        pve.forget_calls()
        side_by_side(guests, lambda guest: change_notes(client, guest, with_labels))
        assert (len(pve.calls("GET")), len(pve.calls("PUT"))) == (50, 0)
    print(f"50 guests twice: {time.monotonic() - started:.2f} s")
