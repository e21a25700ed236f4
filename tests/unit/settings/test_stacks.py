"""The committed stacks as the engine runs them, under mocks."""

import re
from pathlib import Path
from typing import Any

import pytest

from stacks import build as build_stack
from stacks.settings import SECTIONS, exit_status, render, targets, validate_files
from tests.support.mocks import Graph, Node, build
from tests.support.stacks import ROOT, computed, site_of

STACKS = ("lab", "sandbox", "example")


def graph(stack: str, directory: Path, **changed: Any) -> Graph:
    return build(lambda: build_stack(site_of(stack, directory, **changed)), computed=computed, stack_name=stack)


@pytest.fixture(scope="module", params=STACKS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return graph(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return graph("sandbox", tmp_path_factory.mktemp("sandbox"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return graph("lab", tmp_path_factory.mktemp("lab"))


@pytest.mark.parametrize("stack", STACKS)
def test_the_committed_file_is_valid(stack: str) -> None:
    problems = validate_files([ROOT / f"Pulumi.{stack}.yaml"])
    assert exit_status(problems) == 0, render(problems)
    assert all(problem.pending for problem in problems)


def test_the_sandbox_holds_all_its_secrets() -> None:
    assert validate_files([ROOT / "Pulumi.sandbox.yaml"]) == []


def test_the_documented_lab_declares_every_documented_application(lab: Graph) -> None:
    """ARGO-14, PG-02, NAME-33."""
    names = {node.name for node in lab.all("factory:app:AppStack")}
    expected = {"webapp", "url-shortener", "erp", "crowdsec", "plausible", "cms"}
    assert names == expected | {"telegram-gateway", "dance-lessons-coach", "tools"}


def test_every_resource_has_an_explicit_provider(built: Graph) -> None:
    """POL-33: the provider is one of this program's own."""
    own = {node.urn for node in built if node.type.startswith("pulumi:providers:")}
    strays = [f"{n.type} {n.name}" for n in built if n.custom and n.urn not in own and n.provider not in own]
    assert strays == []


def test_credentials_of_providers_are_secrets(built: Graph) -> None:
    for node in built:
        for key in {"token", "password", "kubeconfig"} & set(node.inputs):
            if node.type.startswith("pulumi:providers:"):
                assert set(node.inputs[key]) == {"secret"}, f"{node.type}.{key}"


def test_every_application_is_exported_as_documented(built: Graph) -> None:
    """Section 3.3."""
    apps = built.exports["apps"]
    apps = apps.get("secret", apps)
    assert set(apps) == {node.name for node in built.all("factory:app:AppStack")}
    for name, outputs in apps.items():
        assert outputs["name"] == name
        assert {"hosts", "vault_roles", "checks"} <= set(outputs)


@pytest.mark.parametrize("created", [True, False])
def test_a_generated_password_of_the_pooler_is_told_as_a_secret(tmp_path: Path, *, created: bool) -> None:
    """PG-31: whoever configures the pooler needs it."""
    foundation = {"create_pooler_role": created}
    found = graph("sandbox", tmp_path, postgres_foundation=foundation)
    assert ("pooler_password" in found.exports) is created
    if created:
        assert set(found.exports["pooler_password"]) == {"secret"}


def test_applications_wait_for_the_foundations(sandbox: Graph) -> None:
    """PLAT-07: the mounts exist before anything is written to them."""
    config = sandbox.one("vault:kv/secretV2:SecretV2", "webapp-config")
    mount = next(node for node in sandbox.all("vault:index/mount:Mount") if node.inputs["path"] == "kvv2")
    assert sandbox.waits_for(config, mount)


def test_data_is_protected_in_production_and_not_in_the_sandbox(lab: Graph, sandbox: Graph) -> None:
    """APP-39, POL-13."""
    kinds = ("postgresql:index/database:Database", "vault:kv/secretV2:SecretV2", "vault:index/mount:Mount")
    protected = {
        stack: {node.name for node in found if node.type in kinds and node.protect}
        for stack, found in (("lab", lab), ("sandbox", sandbox))
    }
    assert protected["sandbox"] == set()
    assert {"webapp-database", "erp-database", "erp-config", "vault-kv2"} <= protected["lab"]


def test_the_embedded_backends_reach_providers_and_applications(sandbox: Graph) -> None:
    vault = sandbox.one("pulumi:providers:vault")
    assert vault.get("address") == "https://127.0.0.1:18200"
    assert Path(vault.get("caCertFile")).read_text() == "PEM OF VAULT\n"
    assert sandbox.one("pulumi:providers:postgresql").get("port") in {15432, "15432"}
    connection = sandbox.one("vault:database/secretBackendConnection:SecretBackendConnection", "webapp-connection")
    assert "127.0.0.1:15432" in connection.get("postgresql.connectionUrl")


def test_a_plan_made_twice_is_the_same_and_leaves_one_public_file(tmp_path: Path) -> None:
    first, second = graph("sandbox", tmp_path), graph("sandbox", tmp_path)
    assert {node.urn: node.inputs for node in first} == {node.urn: node.inputs for node in second}
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "endpoints.json") == [
        Path(first.one("pulumi:providers:vault").get("caCertFile")).name
    ]


def test_applications_of_a_sandbox_follow_its_revision(sandbox: Graph) -> None:
    """SBX-07."""
    application = sandbox.one("kubernetes:argoproj.io/v1alpha1:Application")
    assert application.get("spec.source.targetRevision") == "sandbox"


def test_an_absent_section_builds_nothing_and_needs_no_credential(tmp_path: Path) -> None:
    others = ("kubernetes", "postgres", "platform", "apps", "postgres_foundation", "unseal_keys_path")
    absent = dict.fromkeys((*others, "cm5_gateway", "proxmox", "longhorn"))
    found = graph("lab", tmp_path, **absent)
    types = {node.type.partition("/")[0] for node in found}
    assert types == {
        "factory:vault:VaultFoundation",
        "pulumi:providers:vault",
        "vault:index",
        "vault:kubernetes",
        "vault:jwt",
    }


def test_the_example_has_no_value_of_the_lab(tmp_path: Path) -> None:
    from tests.unit.test_no_lab_values import lab_values, marks_in  # noqa: PLC0415 - one list for both tests

    found = graph("example", tmp_path)
    text = "\n".join(f"{node.name} {node.inputs}" for node in found) + str(found.exports)
    assert marks_in(text, lab_values()) == []


def matches(pattern: str, urn: str) -> bool:
    """As the engine reads a `--target`: `**` is anything, `*` anything without a colon."""
    parts = ("[^:]*".join(map(re.escape, part.split("*"))) for part in pattern.split("**"))
    return re.fullmatch(".*".join(parts), urn) is not None


def below(found: Graph, component: Node) -> set[str]:
    """A component and everything in it."""
    urns = {component.urn}
    while more := {node.urn for node in found if node.parent in urns} - urns:
        urns |= more
    return urns


def test_a_section_targets_exactly_its_own_resources(lab: Graph, sandbox: Graph) -> None:
    """`up --only SECTION`."""
    for stack, found in (("lab", lab), ("sandbox", sandbox)):
        apps = [node.name for node in found.all(SECTIONS["apps"])]
        for section in (*SECTIONS, *(f"apps.{app}" for app in apps)):
            name, _, app = section.partition(".")
            patterns = targets(section, stack, apps)
            hit = {node.urn for node in found if any(matches(pattern, node.urn) for pattern in patterns)}
            own = (below(found, node) for node in found.all(SECTIONS[name], app or None))
            assert hit == set().union(*own), section
