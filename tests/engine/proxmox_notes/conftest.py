"""A program with nothing but notes, on the real engine, against a local Proxmox API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.plugin_program import Program
from tests.support.proxmox import Cluster, cluster
from toolchain.paths import ROOT

SOURCE = f"""
import json, os, sys

sys.path.insert(0, {str(ROOT)!r})
import pulumi

from components.traefik_gateway.args_notes import ProxmoxNotesArgs
from components.traefik_gateway.provider import ProxmoxNotes

values = json.loads(os.environ["VALUES"])
secret = values.pop("token_secret")
notes = ProxmoxNotes("notes", ProxmoxNotesArgs.model_validate(values), token_secret=secret)
pulumi.export("routes", notes.routes)
pulumi.export("notes", notes.notes)
"""


@pytest.fixture
def pve(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster."""
    with cluster(tmp_path) as running:
        yield running


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program, in a stack of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Program.write(tmp_path / "program", SOURCE)
