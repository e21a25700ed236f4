"""The decisions of a plan: what is known, what is not, and what then becomes of the routes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from components.traefik_gateway import Mode, ProxmoxNotesArgs, TransformArgs, parse, transform
from components.traefik_gateway.discovery import DiscoveryError, Reason
from components.traefik_gateway.labels import Container
from components.traefik_gateway.proxmox import Guest, GuestKind
from components.traefik_gateway.proxmox_plan import Found, ordered, plan, standing
from tests.support.labels import application, example
from tests.support.proxmox import router

KEPT = {"traefik.enable": "true"}
WEB = Guest(106, "web", "pve1", GuestKind.QEMU, tags=("exposed",))
OTHER = Guest(107, "other", "pve1", GuestKind.LXC, tags=("exposed",))


def described(**guests: dict[str, Any]) -> ProxmoxNotesArgs:
    base = {"web": {"vmid": 106, "containers": {}}, "other": {"vmid": 107, "containers": {}}}
    return ProxmoxNotesArgs.model_validate(
        {"endpoint": "https://pve.example.test:8006", "token_id": "a@pve!b", "guests": guests or base}
    )


@pytest.mark.parametrize("reason", list(Reason))
def test_of_what_is_not_known_nothing_is_changed(reason: Reason) -> None:
    """TPX-50: a machine that is away is a warning; an engine that is missing, refuses or lies is a problem."""
    containers: dict[str, list[Container] | DiscoveryError] = {
        "web": DiscoveryError(reason, "web: said why"),
        "other": [Container("app", router("app"))],
    }
    found = plan(described(), Found([WEB, OTHER], containers, {106: "", 107: ""}), {"web": KEPT})
    assert found.labels["web"] == KEPT
    assert "traefik.http.routers.app.rule" in found.labels["other"], "the other is not hidden"
    assert found.problems == ({} if reason is Reason.UNREACHABLE else {"web": ["web: said why"]})
    assert any("its routes stay" in line for line in found.warnings) is (reason is Reason.UNREACHABLE)


def test_a_machine_that_was_never_reached_is_left_alone() -> None:
    containers: dict[str, list[Container] | DiscoveryError] = {"web": DiscoveryError(Reason.UNREACHABLE, "away")}
    found = plan(described(web={"vmid": 106, "containers": {}}), Found([WEB], containers), {})
    assert "web" not in found.labels


def test_without_the_cluster_the_labels_are_planned_all_the_same() -> None:
    """TPX-255."""
    containers: dict[str, list[Container] | DiscoveryError] = {"web": [Container("app", router("app"))], "other": []}
    found = plan(described(), Found(None, containers, warnings=("the cluster is away",)), {})
    assert found.labels["web"]["traefik.http.routers.app.service"] == "web-traefik"
    assert (found.routes, found.warnings) == ({}, ("the cluster is away",))


def test_who_is_asked() -> None:
    args = described(
        web={"vmid": 106, "containers": {}},
        gone={"vmid": 999, "containers": {}},
        untagged={"vmid": 108, "containers": {}},
        stopped={"vmid": 109, "containers": {}},
    )
    untagged = Guest(108, "u", "pve1", GuestKind.QEMU, tags=("exposed-old",))
    stopped = Guest(109, "s", "pve1", GuestKind.QEMU, running=False, tags=("exposed",))
    where = standing(args, [WEB, OTHER, untagged, stopped])
    assert where.asked == ("web",)
    assert set(where.resting) == {"gone", "stopped"}
    assert set(where.dismissed) == {"untagged"}
    assert [line.split(" carries")[0] for line in where.uninvited] == ["other (VMID 107)"]


@pytest.mark.parametrize("mode", list(Mode))
def test_the_order_of_the_labels_survives_a_map(mode: Mode, dice: random.Random) -> None:
    """TPX-107: the engine's maps have no order of their own."""
    containers = [*example(), *(application(name, priority="7") for name in ("a", "a-2", "b", "B9"))]
    labels = transform(parse(containers), TransformArgs(mode=mode, allow_dropped_auth=True)).labels
    shuffled = list(labels)
    dice.shuffle(shuffled)
    assert len(labels) > 20
    assert ordered(dict(shuffled)) == list(labels)


def test_each_guest_has_a_service_of_its_own_unless_one_is_named() -> None:
    """TPX-98."""
    args = described(
        web={"vmid": 106, "containers": {}},
        other={"vmid": 107, "containers": {}, "transform": {"gateway_service_name": "homelab-traefik"}},
    )
    assert [args.options_of(name).gateway_service_name for name in args.guests] == ["web-traefik", "homelab-traefik"]


@pytest.mark.parametrize(
    ("guest", "said"),
    [
        ({"vmid": 106}, "either host or containers"),
        ({"vmid": 99, "containers": {}}, "vmid"),
        ({"vmid": 106, "containers": {}, "inspection": "/usr/local/bin/x"}, "inspection is a program on host"),
    ],
)
def test_bad_guests(guest: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        described(web=guest)


def test_one_number_for_two_guests() -> None:
    with pytest.raises(ValueError, match=r"guests with one VMID: 106 \(a, b\)"):
        described(a={"vmid": 106, "containers": {}}, b={"vmid": 106, "containers": {}})
