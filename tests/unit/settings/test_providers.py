"""A provider's inputs are the stack's: the operator's shell changes none of them (POL-33)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stacks import build as build_stack
from tests.support.mocks import build
from tests.support.stacks import computed, site_of

SHELL = {
    "VAULT_ADDR": "https://elsewhere.example.test",
    "VAULT_MAX_RETRIES": "90",
    "VAULT_SKIP_VERIFY": "true",
    "VAULT_TOKEN": "another",
    "PGHOST": "elsewhere.example.test",
    "PGDATABASE": "another",
    "PGSSLMODE": "disable",
    "PGCONNECT_TIMEOUT": "9000",
    "KUBECONFIG": "/nowhere",
}


def inputs(folder: Path) -> dict[str, dict[str, Any]]:
    graph = build(lambda: build_stack(site_of("example", folder)), computed=computed, stack_name="example")
    return {node.type: dict(node.inputs) for node in graph if node.type.startswith("pulumi:providers:")}


def test_no_variable_of_the_shell_gets_into_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SHELL:
        monkeypatch.delenv(name, raising=False)
    clean = inputs(tmp_path)
    assert {"pulumi:providers:vault", "pulumi:providers:postgresql", "pulumi:providers:kubernetes"} <= clean.keys()
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)
    assert inputs(tmp_path) == clean
