"""The provider of notes as the engine calls it, without the engine: plans, drift, adoption, failures, neighbours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from components.traefik_gateway import proxmox_notes
from components.traefik_gateway.provider import ProxmoxNotesProvider
from tests.support.labels import example
from tests.support.proxmox import HUMAN, TOKEN_ID, Cluster, FaultyProxy, notes_values, router

BEGIN = "<!-- factory labels begin gateway -->"


class RefusedError(Exception):
    """A plan that is impossible."""


@dataclass
class Stack:
    """The engine's part: refresh, check, compare, create or update, and the state."""

    provider: ProxmoxNotesProvider = field(default_factory=ProxmoxNotesProvider)
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    def plan(self, values: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Refresh and check; return the planned inputs, and whether something would be done."""
        if self.outputs:
            read = self.provider.read("gateway", dict(self.outputs))
            self.outputs, self.inputs = read.outs or {}, read.inputs or self.inputs
        checked = self.provider.check(dict(self.inputs), dict(values))
        if checked.failures:
            raise RefusedError("; ".join(f"{failure.property}: {failure.reason}" for failure in checked.failures))
        changes = not self.outputs or self.provider.diff("gateway", self.outputs, checked.inputs).changes
        return checked.inputs, bool(changes)

    def up(self, values: dict[str, Any]) -> bool:
        """Bring the resource up; return whether something was done."""
        planned, changes = self.plan(values)
        if changes:
            if self.outputs:
                self.outputs = self.provider.update("gateway", self.outputs, planned).outs or {}
            else:
                self.outputs = self.provider.create(planned).outs or {}
        self.inputs = planned
        return changes

    def destroy(self) -> None:
        """Delete the resource."""
        self.provider.delete("gateway", self.outputs)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """An empty stack; nobody waits between attempts, and the traceback limit is restored."""
    monkeypatch.setattr(proxmox_notes, "PAUSES", (0.0, 0.0))
    yield Stack()
    sys.__dict__.pop("tracebacklimit", None)


def app(vmid: int, name: str = "app", **more: Any) -> dict[str, Any]:
    """Describe a guest with one published container."""
    return {"vmid": vmid, "containers": {name: router(name)}} | more


def test_the_second_run_does_nothing(pve: Cluster, stack: Stack) -> None:
    """TPX-217, TPX-137."""
    pve.guest(106, "web", HUMAN)
    values = notes_values(pve, web=app(106))
    assert stack.up(values)
    pve.forget_calls()
    assert not stack.up(values)
    assert pve.calls("PUT") == []
    assert stack.outputs["notes"]["web"] | {"block": ""} == {
        "vmid": 106, "node": "pve1", "type": "qemu", "labels": 8, "length": len(pve.notes(106)), "block": "",
    }  # fmt: skip


def test_an_emptied_state_finds_its_blocks_right(pve: Cluster, stack: Stack) -> None:
    pve.guest(106, "web", HUMAN)
    values = notes_values(pve, web=app(106))
    stack.up(values)
    right = pve.notes(106)
    pve.forget_calls()
    Stack().up(values)
    assert (pve.notes(106), pve.calls("PUT")) == (right, [])


def test_only_the_guest_that_changed_is_written(pve: Cluster, stack: Stack) -> None:
    pve.guest(106, "web", HUMAN)
    pve.guest(107, "db", kind="lxc")
    stack.up(notes_values(pve, web=app(106), db=app(107, "adminer")))
    pve.forget_calls()
    assert stack.up(notes_values(pve, web=app(106, "new"), db=app(107, "adminer")))
    assert [path.split("/")[-2] for path in pve.calls("PUT")] == ["106"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda right: right.replace("Host(`app.example.test`)", "Host(`other.example.test`)"),
        lambda right: right.replace("# Router 1 : app", "# my comment"),
        lambda right: right.replace("traefik.enable=true\n", ""),
        lambda right: HUMAN,  # noqa: ARG005 - the block is gone
    ],
    ids=["a value", "a comment", "a line less", "no block"],
)
def test_an_edited_block_is_drift_and_is_repaired(pve: Cluster, stack: Stack, edit: Any) -> None:
    """TPX-138."""
    guest = pve.guest(106, "web", HUMAN)
    values = notes_values(pve, web=app(106))
    stack.up(values)
    right = pve.notes(106)
    guest.config["description"] = edit(right)
    assert pve.notes(106) != right
    assert stack.up(values)
    assert pve.notes(106) == right
    assert not stack.up(values)


def test_a_change_of_other_notes_is_no_drift(pve: Cluster, stack: Stack) -> None:
    """TPX-138."""
    guest = pve.guest(106, "web", HUMAN)
    values = notes_values(pve, web=app(106))
    stack.up(values)
    guest.config["description"] = f"A new first line.\n{pve.notes(106)}\nA new last line."
    assert not stack.up(values)
    stack.destroy()
    assert pve.notes(106) == f"A new first line.\n{HUMAN}\nA new last line.\n"


def test_a_guest_that_moved_is_found(pve: Cluster, stack: Stack) -> None:
    """TPX-123."""
    guest = pve.guest(106, "web", HUMAN)
    stack.up(notes_values(pve, web=app(106)))
    pve.pve.add_node("pve3")
    guest.node = "pve3"
    assert not stack.up(notes_values(pve, web=app(106)))
    stack.up(notes_values(pve, web=app(106, "new")))
    assert "routers.new.rule" in pve.notes(106)
    assert stack.outputs["notes"]["web"]["node"] == "pve3"


def test_a_guest_with_another_number(pve: Cluster, stack: Stack) -> None:
    pve.guest(106, "old", HUMAN)
    pve.guest(206, "new", HUMAN)
    stack.up(notes_values(pve, web=app(106)))
    stack.up(notes_values(pve, web=app(206)))
    assert pve.notes(106) == HUMAN
    assert BEGIN in pve.notes(206)


def test_a_guest_that_is_described_no_more_loses_its_block(pve: Cluster, stack: Stack) -> None:
    """TPX-234; also where it does not run, and where it is gone."""
    pve.guest(106, "web", HUMAN)
    stopped = pve.guest(107, "stopped", HUMAN)
    pve.guest(108, "gone", HUMAN)
    stack.up(notes_values(pve, web=app(106), stopped=app(107, "b"), gone=app(108, "c")))
    stopped.status = "stopped"
    pve.pve.vms = [vm for vm in pve.pve.vms if vm.vmid != 108]
    stack.up(notes_values(pve, web=app(106)))
    assert (BEGIN in pve.notes(106), pve.notes(107)) == (True, HUMAN)


def test_another_name_of_the_block(pve: Cluster, stack: Stack) -> None:
    pve.guest(106, "web", HUMAN)
    stack.up(notes_values(pve, web=app(106)))
    stack.up(notes_values(pve, web=app(106)) | {"block": "edge"})
    assert pve.notes(106).count("factory labels begin") == 1
    assert "factory labels begin edge" in pve.notes(106)
    stack.destroy()
    assert pve.notes(106) == HUMAN


def test_another_way_to_the_same_cluster_changes_no_notes(pve: Cluster, proxy: FaultyProxy, stack: Stack) -> None:
    pve.guest(106, "web", HUMAN)
    stack.up(notes_values(pve, web=app(106)))
    pve.forget_calls()
    assert stack.up(notes_values(proxy, web=app(106))), "the state must know the new way, or nothing could be removed"
    assert pve.calls("PUT") == []
    assert stack.outputs["endpoint"] == proxy.endpoint


def test_two_stacks_share_the_notes_of_one_guest(pve: Cluster, stack: Stack) -> None:
    pve.guest(106, "web", HUMAN)
    other = Stack()
    other_values = notes_values(pve, web=app(106, "other", adopt="refuse")) | {"block": "other"}
    stack.up(notes_values(pve, web=app(106)))
    with pytest.raises(RuntimeError, match="another block has the same labels"):
        other.up(other_values)
    stack.destroy()
    other.up(other_values)
    assert "factory labels begin other" in pve.notes(106)


def test_what_is_said(pve: Cluster, stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """TPX-46, TPX-61, TPX-116, TPX-140, TPX-145: the documented messages, and only for what was done."""
    pve.guest(106, "homelab", HUMAN)
    containers = {container.name: dict(container.labels) for container in example()}
    stack.up(notes_values(pve, homelab={"vmid": 106, "containers": containers}))
    found = "homelab (VMID 106): Found 26 Traefik labels across 2 containers."
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if not line.startswith("warning: ")] == [
        f"{found} Parsed 13 labels (2 routers, 1 services, 0 middlewares)",
        "Updated Proxmox notes for homelab (VMID 106) with 13 Traefik labels",
    ]
    assert sum("(TPX-174)" in line and line.count("warning") == 1 for line in said) == 2
    stack.up(notes_values(pve, homelab={"vmid": 106, "containers": containers}))
    assert "Updated" not in capsys.readouterr().err


# What a person or another tool wrote.


def test_labels_made_by_hand(pve: Cluster, stack: Stack) -> None:
    """TPX-133: told in the plan, refused by `up` with their lines, and adopted on demand."""
    loose = "traefik.enable=true\ntraefik.http.routers.hand.rule=Host(`hand.example.test`)\n"
    pve.guest(106, "web", f"{HUMAN}{loose}")
    values = notes_values(pve, web=app(106, "hand"))
    planned, _ = stack.plan(values)
    assert "line 4 traefik.enable, line 5 traefik.http.routers.hand.rule" in planned["problems"]["web"][0]
    with pytest.raises(RuntimeError, match="web: labels stand outside the block"):
        stack.up(values)
    assert pve.notes(106) == f"{HUMAN}{loose}"
    stack.up(notes_values(pve, web=app(106, "hand", adopt="same")))
    assert pve.notes(106).startswith(f"{HUMAN}\n{BEGIN}")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda right: right.replace("labels end", "labels done"), "begins, but does not end"),
        (lambda right: right.replace(BEGIN, ""), "ends, but did not begin"),
        (lambda right: right + right, "second block"),
        (lambda right: right.replace("traefik.enable=true", BEGIN), "begins inside"),
    ],
    ids=["no end", "no begin", "two", "nested"],
)
def test_damaged_markers_are_left_for_a_person(pve: Cluster, stack: Stack, damage: Any, said: str) -> None:
    """TPX-134: reported with line numbers, nothing is written there, and the other guest is."""
    guest = pve.guest(106, "web", HUMAN)
    pve.guest(107, "other", HUMAN)
    stack.up(notes_values(pve, web=app(106)))
    damaged = damage(pve.notes(106))
    guest.config["description"] = damaged
    with pytest.raises(RuntimeError, match=rf"web: .*line \d+.*{said}"):
        stack.up(notes_values(pve, web=app(106), other=app(107, "b")))
    assert pve.notes(106) == guest.config["description"]
    assert BEGIN in pve.notes(107)


def test_notes_that_would_be_too_long(pve: Cluster, stack: Stack) -> None:
    """TPX-226, TPX-169: an error that a plan shows already."""
    pve.guest(106, "web", HUMAN)
    many = {f"app-{number}": router(f"application-{number}") for number in range(60)}
    values = notes_values(pve, web={"vmid": 106, "containers": many})
    planned, _ = stack.plan(values)
    assert "Proxmox VE stores 8192 (TPX-121): the block of 60 routers" in planned["problems"]["web"][0]
    with pytest.raises(RuntimeError, match="stores 8192"):
        stack.up(values)
    assert (pve.notes(106), pve.calls("PUT")) == (HUMAN, [])


# Labels.


def test_equal_names_on_two_guests_make_the_plan_impossible(pve: Cluster, stack: Stack) -> None:
    """TPX-98, TPX-99, TPX-171, TPX-228: beside the same guests with names of their own."""
    pve.guest(106, "web")
    pve.guest(107, "other")
    with pytest.raises(RefusedError, match="TPX-99"):
        stack.up(notes_values(pve, web=app(106), other=app(107)))
    same: dict[str, Any] = {"transform": {"gateway_service_name": "homelab-traefik"}}
    with pytest.raises(RefusedError, match="TPX-98"):
        stack.up(notes_values(pve, web=app(106, **same), other=app(107, "b", **same)))
    assert pve.calls("PUT") == []
    assert stack.up(notes_values(pve, web=app(106), other=app(107, "b")))


def test_a_name_that_a_foreign_guest_uses_is_told(pve: Cluster, stack: Stack) -> None:
    """TPX-267: the notes of every guest count, also of those that are nobody's business here."""
    pve.guest(900, "foreign", "traefik.enable=true\ntraefik.http.routers.app.rule=Host(`x.test`)\n", tags="")
    pve.guest(106, "web")
    planned, _ = stack.plan(notes_values(pve, web=app(106)))
    assert any("foreign (900)" in line and "TPX-267" in line for line in planned["warnings"])
    assert set(planned["routes"]) == {"web (106)", "foreign (900)"}


def test_two_containers_that_contradict_each_other_stop_no_other_guest(pve: Cluster, stack: Stack) -> None:
    """TPX-152, TPX-196: the guest keeps what it has, the rest is done, the run fails and names both containers."""
    pve.guest(106, "web", HUMAN)
    pve.guest(107, "other", HUMAN)
    stack.up(notes_values(pve, web=app(106)))
    right = pve.notes(106)
    clash = {"one": router("app"), "two": router("app") | {"traefik.http.routers.app.rule": "Host(`b.test`)"}}
    values = notes_values(pve, web={"vmid": 106, "containers": clash}, other=app(107, "b"))
    with pytest.raises(RuntimeError, match=r"web: .*(one.*two|two.*one)"):
        stack.up(values)
    assert pve.notes(106) == right
    assert BEGIN in pve.notes(107)


@pytest.mark.parametrize("when_empty", ["clear", "keep"])
def test_nothing_is_published_any_more(pve: Cluster, stack: Stack, when_empty: str) -> None:
    """TPX-136."""
    pve.guest(106, "web", HUMAN)
    stack.up(notes_values(pve, web=app(106)))
    right = pve.notes(106)
    stack.up(notes_values(pve, web={"vmid": 106, "containers": {}, "when_empty": when_empty}))
    assert pve.notes(106) == (HUMAN if when_empty == "clear" else right)


# Guests that are not asked.


def test_guests_without_the_tag_lose_their_routes(pve: Cluster, stack: Stack) -> None:
    """TPX-27, TPX-28, TPX-195, TPX-234."""
    guest = pve.guest(106, "web", HUMAN, tags="prod;exposed")
    stack.up(notes_values(pve, web=app(106)))
    assert BEGIN in pve.notes(106)
    guest.config["tags"] = "prod;exposed-old"
    planned, _ = stack.plan(notes_values(pve, web=app(106)))
    assert any("does not carry the tag 'exposed'" in line for line in planned["warnings"])
    stack.up(notes_values(pve, web=app(106)))
    assert pve.notes(106) == HUMAN
    assert stack.up(notes_values(pve, web=app(106)) | {"tag": ""})
    assert BEGIN in pve.notes(106)


def test_a_tagged_guest_that_is_not_described_is_told(pve: Cluster, stack: Stack) -> None:
    pve.guest(106, "web")
    pve.guest(107, "forgotten")
    planned, _ = stack.plan(notes_values(pve, web=app(106)))
    assert any("forgotten (VMID 107) carries the tag 'exposed'" in line for line in planned["warnings"])


def test_stopped_guests_templates_and_unknown_numbers_are_left_alone(pve: Cluster, stack: Stack) -> None:
    """TPX-31."""
    stopped = pve.guest(106, "web", HUMAN)
    pve.guest(107, "base", HUMAN, template=True, status="stopped")
    stack.up(notes_values(pve, web=app(106)))
    right = pve.notes(106)
    stopped.status = "stopped"
    pve.forget_calls()
    values = notes_values(pve, web=app(106, "new"), base=app(107, "b"), ghost=app(999, "c"))
    stack.up(values)
    assert (pve.notes(106), pve.notes(107)) == (right, HUMAN)
    assert pve.calls("PUT") == []
    said = "\n".join(stack.inputs["warnings"])
    for part in ("web: it does not run", "base: it is a template", "ghost: there is no guest with VMID 999"):
        assert part in said


# A cluster that does not answer.


def test_an_unreachable_cluster_does_not_stop_a_plan_but_stops_a_change(
    pve: Cluster, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """TPX-255: the labels are shown all the same, and nothing is lost."""
    pve.guest(106, "web", HUMAN)
    stack.up(notes_values(pve, web=app(106)))
    away = notes_values(pve, web=app(106)) | {"endpoint": "https://127.0.0.1:1"}
    stack.outputs |= {"endpoint": away["endpoint"]}
    planned, changes = stack.plan(away | {"guests": {"web": app(106, "new")}})
    assert changes
    assert "traefik.http.routers.new.rule" in planned["labels"]["web"]
    assert any("does not show what the gateway makes" in line for line in planned["warnings"])
    assert "the notes are taken to be as they were" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="cannot be reached"):
        stack.up(away | {"guests": {"web": app(106, "new")}})
    assert "routers.app.rule" in pve.notes(106)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 401, "reason": "invalid token value!"}, "the token is wrong or has expired"),
        ({"status": 403, "reason": "Permission check failed (/vms/106, VM.Config.Options)"}, "VM.Config.Options on"),
        ({"status": 500, "reason": "VM is locked (backup)"}, "locked"),
        ({"status": 500, "reason": "detected modified configuration - file changed by other user? Try again."}, "else"),
        ({"status": 595, "reason": "No route to host"}, "is the node up"),
        ({"cut": True, "status": 500}, "cannot be reached"),
    ],
    ids=["401", "403", "lock", "digest", "node down", "cut off"],
)
def test_a_write_that_fails_leaves_the_notes_and_the_rest_is_done(
    pve: Cluster, proxy: FaultyProxy, stack: Stack, fault: dict[str, Any], said: str
) -> None:
    """TPX-196, TPX-119, TPX-223, TPX-224; and the next run, without the fault, is right."""
    pve.guest(106, "web", HUMAN)
    pve.guest(107, "other", HUMAN)
    proxy.inject("PUT", "/106/config", times=3, **fault)
    values = notes_values(proxy, web=app(106), other=app(107, "b"))
    with pytest.raises(RuntimeError, match=f"web: .*{said}.*All others are"):
        stack.up(values)
    assert (pve.notes(106), BEGIN in pve.notes(107)) == (HUMAN, True)
    proxy.faults.clear()
    stack.up(values)
    assert BEGIN in pve.notes(106)
    assert not stack.up(values)


def test_destroying_while_a_guest_is_locked_keeps_the_resource(pve: Cluster, stack: Stack) -> None:
    pve.guest(106, "web", HUMAN)
    pve.guest(107, "other", HUMAN)
    stack.up(notes_values(pve, web=app(106), other=app(107, "b")))
    pve.pve.snapshot_lock(106, "migrate")
    with pytest.raises(RuntimeError, match=r"web: .*locked \(migrate\).*All others are"):
        stack.destroy()
    assert (BEGIN in pve.notes(106), pve.notes(107)) == (True, HUMAN)
    pve.pve.unlock(106)
    stack.destroy()
    assert pve.notes(106) == HUMAN


def test_the_least_privileges_are_enough(pve: Cluster, stack: Stack) -> None:
    """TPX-198: VM.Audit and VM.Config.Options on the guests."""
    pve.guest(106, "web", HUMAN)
    pve.pve.grant(TOKEN_ID, "/vms", "VM.Audit")
    with pytest.raises(RuntimeError, match=r"VM\.Config\.Options"):
        stack.up(notes_values(pve, web=app(106)))
    pve.pve.grant(TOKEN_ID, "/vms", "VM.Config.Options")
    stack.up(notes_values(pve, web=app(106)))
    stack.destroy()
    assert pve.notes(106) == HUMAN


# Input.


def test_all_mistakes_are_told_at_once_and_no_secret(pve: Cluster, stack: Stack) -> None:
    values = notes_values(pve, web={"vmid": 5}) | {"endpoint": "pve", "token_id": "x"}
    with pytest.raises(RefusedError) as caught:
        stack.up(values)
    for part in ("guests.web.vmid", "endpoint", "token_id"):
        assert part in str(caught.value)
    assert values["token_secret"] not in str(caught.value)


def test_what_another_resource_makes_is_awaited(pve: Cluster, stack: Stack) -> None:
    pve.guest(106, "web", HUMAN)
    values = notes_values(pve, web=app(106))
    stack.up(values)
    planned, changes = stack.plan(values | {"token_secret": UNKNOWN})
    assert changes
    assert planned["labels"] == stack.outputs["labels"]
