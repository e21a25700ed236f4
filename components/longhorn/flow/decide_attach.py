"""Phases 5 and 7: the volume attached to the source's node by a ticket, and the ticket removed (LHR-100 .. LHR-133)."""

from __future__ import annotations

from typing import Any

from .facts import ClusterFacts, deep
from .interfaces import Document, Ref
from .marks import TICKET
from .steps import Act, Create, Done, Patch, Step, Stop, Wait
from .volumes import FlowSettings, VolumeInput

__all__ = ["decide_attach", "decide_detach", "remove_ticket"]


def decide_attach(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings, node: str) -> Step:
    """Phase 5: attached to ``node`` and nowhere else, by nobody else."""
    present = facts.volume
    if present is None or deep(present, "metadata", "deletionTimestamp"):
        return Stop("volume-gone", f"the Volume {volume.pv_name} has gone since it was made; run again (FM-11)")
    tickets = _tickets(facts)
    others = sorted(set(tickets) - {TICKET})
    state, current = str(deep(present, "status", "state") or ""), str(deep(present, "status", "currentNodeID") or "")
    if others:
        return Wait("no other attachment", settings.short_wait_seconds, {"tickets": others, "node": current})
    mine = tickets.get(TICKET)
    if mine is None:
        if state != "detached" or current:
            return Wait("the volume is detached", settings.long_wait_seconds, {"state": state, "node": current})
        return _ticket(facts, volume, settings, node)
    return _attached(present, mine, volume, settings, node)


def _attached(present: Document, mine: dict[str, Any], volume: VolumeInput, settings: FlowSettings, node: str) -> Step:
    state, current = str(deep(present, "status", "state") or ""), str(deep(present, "status", "currentNodeID") or "")
    if mine.get("nodeID") != node:
        return Stop(
            "ticket-elsewhere", f"a ticket {TICKET!r} for node {mine.get('nodeID')} exists: is another run active?"
        )
    if state == "attached" and current != node:
        # `attached` alone may mean attached elsewhere (LHR-105).
        return Act(f"give up the attachment to {current or 'an unnamed node'}", remove_ticket(volume, settings))
    if state != "attached":
        seen = {"state": state, "node": current, "conditions": deep(present, "status", "conditions")}
        return Wait("the volume is attached", settings.long_wait_seconds, seen)
    return Done({"node": current})


def decide_detach(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings) -> Step:
    """Phase 7: our ticket is gone. The object stays, and nobody waits for `detached` (LHR-130, LHR-132)."""
    if TICKET not in _tickets(facts):
        return Done()
    return Act("give the ticket back", remove_ticket(volume, settings))


def remove_ticket(volume: VolumeInput, settings: FlowSettings) -> Patch:
    """Remove our ticket and nothing else."""
    ref = Ref("longhorn.VolumeAttachment", volume.pv_name, settings.longhorn_namespace)
    return Patch(ref, [{"op": "remove", "path": f"/spec/attachmentTickets/{TICKET}"}])


def _tickets(facts: ClusterFacts) -> dict[str, Any]:
    return dict(deep(facts.ticket_holder, "spec", "attachmentTickets") or {})


def _ticket(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings, node: str) -> Act:
    ref = Ref("longhorn.VolumeAttachment", volume.pv_name, settings.longhorn_namespace)
    ticket = {
        "id": TICKET,
        "generation": 0,
        "nodeID": node,
        "type": "longhorn-api",
        # Longhorn's own maintenance mode would give no device (GLK-024).
        "parameters": {"disableFrontend": "false"},
    }
    if facts.ticket_holder is not None:
        body = {"spec": {"attachmentTickets": {TICKET: ticket}}}
        return Act(f"ask for the volume on {node}", Patch(ref, body))
    manifest = {
        "apiVersion": "longhorn.io/v1beta2",
        "kind": "VolumeAttachment",
        "metadata": {"name": volume.pv_name, "namespace": settings.longhorn_namespace},
        "spec": {"volume": volume.pv_name, "attachmentTickets": {TICKET: ticket}},
    }
    return Act(f"ask for the volume on {node}", Create(ref, manifest))
