"""The pure parts of adoption, and the guard of KV secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli import kv_guard
from cli.adoption import _kv_outputs, foreign_owner, read_import_file
from cli.errors import InputError
from cli.stack import Stack
from stacks.settings import load, production_fingerprints
from stacks.settings.yaml_file import read
from tests.support.stacks import ROOT

STACK = Stack("site", Path("Pulumi.site.yaml"), "sandbox", embedded=True, config={})


@pytest.mark.parametrize(
    ("wanted", "live", "owner"),
    [
        ({"owner": "shop_role"}, {"owner": "shop_role"}, None),
        ({"owner": "shop_role"}, {"owner": "legacy"}, "owned by role legacy"),
        ({}, {"metadata": {"ownerReferences": [{"kind": "Job", "name": "x"}]}}, "owned by Job x"),
        (
            {"metadata": {"labels": {"app.kubernetes.io/managed-by": "pulumi"}}},
            {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}},
            "app.kubernetes.io/managed-by: Helm",
        ),
        (
            {"metadata": {"labels": {"app.kubernetes.io/managed-by": "pulumi"}}},
            {"metadata": {"labels": {"app.kubernetes.io/managed-by": "pulumi"}}},
            None,
        ),
        (
            {},
            {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "shop:v1"}}},
            "argocd.argoproj.io/tracking-id: shop:v1",
        ),
    ],
)
def test_another_owner_is_named(wanted: dict[str, Any], live: dict[str, Any], owner: str | None) -> None:
    assert foreign_owner(wanted, live) == owner


def test_the_secret_is_noted_as_its_provider_would_write_it() -> None:
    noted = _kv_outputs('{"b": "é <&>", "a": "1"}')
    assert json.loads(noted["dataJson"]["plaintext"]) == '{"a":"1","b":"é \\u003c\\u0026\\u003e"}'


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, "cannot be read: No such file"),
        ("no json", "not an import file"),
        ("[]", "not an import file"),
        ("[" * 100_000, "not an import file"),
        ('{"stack": "site", "section": "apps", "resources": [1]}', "not an import file"),
        ('{"stack": "site", "section": "apps", "resources": [{}]}', "not an import file"),
        (
            '{"stack": "site", "section": "apps", "resources": [{"urn": "u", "type": "t", "dependencies": 1}]}',
            "not an import file",
        ),
        ('{"stack": "other", "section": "apps", "resources": []}', "made for stack 'other', not for 'site'"),
    ],
)
def test_a_file_that_is_no_import_file_of_this_stack_is_refused(content: str | None, rule: str, tmp_path: Path) -> None:
    file = tmp_path / "adopt.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=rule):
        read_import_file(STACK, file)


class _Vault:
    """A Vault that holds these paths, and notes what it was asked."""

    def __init__(self, *paths: str) -> None:
        self.paths, self.asked = paths, list[str]()

    def read(self, path: str) -> dict[str, Any] | None:
        self.asked.append(path)
        return {"data": {}} if path in self.paths else None


def guard(vault: _Vault, *, owned: set[str] | None = None, only: str | None = None) -> None:
    file = read(ROOT / "Pulumi.sandbox.yaml")
    settings = load(file.values, file, production=production_fingerprints(ROOT))
    kv_guard.refuse_overwriting("sandbox", settings, owned or set(), only, lambda: vault)  # type: ignore[arg-type,return-value]


CONFIG = "kvv2/data/webapp/config"
URN = f"urn:pulumi:sandbox::factory::{kv_guard._KIND}::webapp-config"


def test_a_secret_of_somebody_else_stops_the_up() -> None:
    with pytest.raises(InputError, match=f"'webapp': Vault has a secret at {CONFIG} that this stack did not write"):
        guard(_Vault(CONFIG))


@pytest.mark.parametrize(
    ("owned", "only", "asked"),
    [
        (set[str](), None, [CONFIG]),
        ({URN}, None, []),
        (set[str](), "apps.url-shortener", []),
        (set[str](), "vault_foundation", []),
        (set[str](), "apps", [CONFIG]),
    ],
)
def test_vault_is_asked_about_secrets_that_would_be_created(
    owned: set[str], only: str | None, asked: list[str]
) -> None:
    vault = _Vault()
    guard(vault, owned=owned, only=only)
    assert vault.asked == asked
