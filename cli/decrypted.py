"""Secrets of a stack's file in clear, for what speaks with a backend or a machine beside the engine."""

from __future__ import annotations

import json
from typing import Any

from cli import engine
from cli.session import Session
from cli.stack import PROJECT


def decrypted(session: Session, section: str) -> dict[str, Any]:
    """Return a section of the stack's configuration as the engine decrypts it, empty if it is not there.

    Raises CommandError, also when the secrets cannot be decrypted.
    """
    shown = engine.capture_json(session, ["config", "--show-secrets", "--json", "--stack", session.stack.name])
    found: dict[str, Any] = json.loads((shown.get(f"{PROJECT}:{section}") or {}).get("value") or "{}")
    return found
