"""Notes on the real engine: what a preview shows, create, no change, drift, a failure in between, destroy.

Everything finer is tested without the engine, in `tests/unit/traefik_gateway/test_proxmox_provider.py`.
"""

from __future__ import annotations

import pytest

from tests.support.plugin_program import Program
from tests.support.proxmox import HUMAN, TOKEN_SECRET, Cluster, notes_values, router

pytestmark = pytest.mark.engine


def test_the_life_of_two_blocks(pve: Cluster, program: Program) -> None:
    guest = pve.guest(106, "web", HUMAN)
    pve.guest(110, "media", kind="lxc", node="pve2")
    web = {"vmid": 106, "containers": {"app": router("app")}}
    media = {"vmid": 110, "containers": {"tv": router("tv")}}
    values = notes_values(pve, web=web, media=media)

    shown = squeezed(program.run("preview", "--diff", values=values))
    assert 'traefik.http.routers.app.rule : "Host(`app.example.test`)"' in shown
    assert '"https://app.example.test/ -> web-traefik (http://<address of web>:8080), priority 1"' in shown
    assert pve.calls("PUT") == [], "a preview never writes"

    program.up(**values)
    right = pve.notes(106)
    assert right.startswith(f"{HUMAN}\n<!-- factory labels begin gateway -->\n```\ntraefik.enable=true\n")
    assert len(pve.calls("PUT")) == 2
    assert list(program.outputs()["routes"]["web (106)"]) == ["app"]
    assert TOKEN_SECRET not in shown + program.state()

    program.unchanged(**values)
    assert len(pve.calls("PUT")) == 2, "what did not change is not written"

    # Somebody edits the block, and the other guest is locked by a backup that does not end.
    guest.config["description"] = right.replace("Host(`app.example.test`)", "Host(`edited.example.test`)")
    pve.pve.snapshot_lock(110, "backup")
    media["containers"] = {"tv": router("films")}
    shown = squeezed(program.run("preview", "--refresh", "--diff", values=values))
    assert '"Host(`edited.example.test`)" => "Host(`app.example.test`)"' in shown
    said = program.run("up", "--refresh", "--yes", "--skip-preview", check=False, values=values)
    assert "media: writing the notes of media (VMID 110): 500 CT is locked (backup)" in said
    assert "Traceback" not in said
    assert pve.notes(106) == right, "the failing guest stops no other"

    pve.pve.unlock(110)
    program.up(**values)
    assert "routers.films.rule" in pve.notes(110)

    program.run("destroy", "--yes", "--skip-preview", values=values)
    assert (pve.notes(106), pve.notes(110)) == (HUMAN, ""), "a person's notes are what they were before"


def squeezed(text: str) -> str:
    """Return the text without the columns that the engine aligns."""
    return " ".join(text.split())
