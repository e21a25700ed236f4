"""What people read: the reference, the file of `./factory init`, the sections of `--only`, the form of a message."""

import re
from pathlib import Path

import pytest

from stacks.settings import (
    EXIT_BAD_INPUT,
    EXIT_OK,
    SECTIONS,
    Problem,
    SettingsError,
    exit_status,
    reference,
    render,
    starter,
    targets,
    validate_files,
)
from stacks.settings.problems import did_you_mean, key_path, shown
from stacks.settings.reference import undescribed
from stacks.settings.starter import BLANK

ROOT = Path(__file__).resolve().parents[3]
ANSWERS = {
    "ips": "10.20.0.10",
    "hosts": "vault.example.test",
    "zones": "example.test",
    "organizations": "example",
    "context": "home",
    "address": "https://vault.example.test",
    "host": "db.example.test",
    "username": "provisioner",
    "organization": "example",
    "forge_url": "https://forge.example.test",
    "registry": "registry.example.test",
    "storage_class": "local-path",
    "namespace": "tools",
    "domain": "home.example.test",
    "middlewares": "lan-only@file",
    "certificate_resolver": "site",
}


def test_the_committed_reference_is_current() -> None:
    """`./factory config reference > docs/configuration.md` after a change of a model."""
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == reference()


def test_every_key_is_described_with_its_source() -> None:
    assert undescribed() == []


def test_the_reference_names_every_section_once() -> None:
    headings = re.findall(r"^## `(.+)`$", reference(), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert {"factory:platform.exposure.NAME", "factory:apps.NAME.workload.probes", "factory:sandbox"} <= set(headings)


def test_a_new_stack_file_lists_every_blank_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.home.yaml"
    file.write_text(starter("home"))
    problems = [problem for problem in validate_files([file]) if not problem.pending]
    assert {problem.rule for problem in problems} == {"is still to be filled in"}
    values = [line for line in file.read_text().splitlines() if BLANK in line and "#" not in line]
    assert len(problems) == len(values)
    assert exit_status(problems) == EXIT_BAD_INPUT


def test_a_new_stack_file_is_valid_once_its_blanks_are_filled(tmp_path: Path) -> None:
    def fill(match: re.Match[str]) -> str:
        return match.group().replace(BLANK, ANSWERS[match.group(1)])

    text = re.sub(rf"^ *(\w+): \[?{BLANK}\]?$", fill, starter("home"), flags=re.MULTILINE)
    # The API server as Vault reaches it is an address, where the other hosts are names.
    text = text.replace(
        "    kubernetes:\n      host: db.example.test", "    kubernetes:\n      host: https://api.example.test"
    )
    file = tmp_path / "Pulumi.home.yaml"
    file.write_text(text)
    problems = validate_files([file])
    missing = {problem.path for problem in problems}
    assert missing == {"factory:credentials.postgres_password", "factory:credentials.vault_token"}
    assert exit_status(problems) == EXIT_OK


@pytest.mark.parametrize("name", ["", "../x", "-home", "a b", "a" * 101, "x\n"])
def test_a_bad_stack_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="a stack's name is"):
        starter(name)


def test_a_section_is_found_by_the_type_of_its_component() -> None:
    assert targets("vault_foundation", "lab") == [
        "urn:pulumi:lab::factory::**factory:vault:VaultFoundation::*",
        "urn:pulumi:lab::factory::**factory:vault:VaultFoundation$**::*",
    ]
    assert targets("apps.webapp", "lab", ["webapp", "erp"]) == [
        "urn:pulumi:lab::factory::**factory:app:AppStack::webapp",
        "urn:pulumi:lab::factory::**factory:app:AppStack$**::webapp*",
    ]
    assert targets("hosts.pi", "lab", hosts=["pi", "pi-2"]) == [
        "urn:pulumi:lab::factory::**factory:host:Machine::pi",
        "urn:pulumi:lab::factory::**factory:host:Machine$**::pi.*",
    ]
    foundations = {"vault_foundation", "postgres_foundation"}
    assert set(SECTIONS) == foundations | {"apps", "hosts", "cm5_gateway", "traefik_gateway", "proxmox", "longhorn"}


@pytest.mark.parametrize(
    ("section", "advice"),
    [
        ("vault", "Did you mean `vault_foundation`?"),
        ("apps.webap", "Did you mean `webapp`?"),
        ("vault_foundation.x", "Did you mean `vault_foundation`?"),
        ("nonsense", "Known here: apps, apps.webapp, cm5_gateway, hosts, hosts.gateway, longhorn, "),
        ("hosts.gatway", "Did you mean `gateway`?"),
    ],
)
def test_an_unknown_section_is_refused(section: str, advice: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(advice)):
        targets(section, "lab", ["webapp"], ["gateway"])


def test_a_problem_is_one_line_with_place_value_rule_and_fix() -> None:
    problem = Problem("Pulumi.x.yaml", "factory:apps.web", "is bad", "Make it good", value='"x"', line=3, column=5)
    assert str(problem) == 'Pulumi.x.yaml:3:5: factory:apps.web = "x": is bad. Make it good.'
    assert str(Problem("", "FACTORY", "is bad", "Why?")) == "FACTORY: is bad. Why?"


def test_mistakes_come_before_what_is_left_to_the_operator() -> None:
    pending = Problem("a", "p", "to set", "Set it", pending=True)
    mistake = Problem("b", "p", "is bad", "Fix it")
    assert render([pending, mistake]).splitlines() == ["b: p: is bad. Fix it.", "to do: a: p: to set. Set it."]
    assert (exit_status([pending]), exit_status([pending, mistake]), exit_status([])) == (0, 2, 0)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("apps", "webapp", "hosts", 0), "factory:apps.webapp.hosts[0]"),
        (
            ("platform", "network", "ingress_labels", "app.io/name"),
            'factory:platform.network.ingress_labels["app.io/name"]',
        ),
        (("environment",), "factory:environment"),
    ],
)
def test_a_key_is_written_as_the_engine_takes_it(path: tuple[str | int, ...], text: str) -> None:
    assert key_path(path) == text


def test_values_that_may_be_secrets_are_not_shown() -> None:
    assert shown(("postgres", "password"), "hunter2") is None
    assert shown(("apps", "webapp", "workload", "environment", "API_KEY"), "hunter2") is None
    assert shown(("vault",), {"token": "hunter2"}) is None
    assert shown(("x",), "postgres://user:hunter2@db.example.test/x") == '"postgres://user:***@db.example.test/x"'
    assert len(shown(("x",), "y" * 500) or "") == 80


def test_advice_names_the_nearest_word_or_all_of_them() -> None:
    assert did_you_mean("replcas", ["replicas", "port"]) == "Did you mean `replicas`?"
    assert did_you_mean("production", ["prod", "sandbox"]) == "Did you mean `prod`?"
    assert did_you_mean("zzz", ["b", "a"]) == "Known here: a, b."
    assert did_you_mean("x", []) == "Remove it."
