"""Stack files named after what they show: accepted ones, and refused ones with the problems they must produce."""

import shutil
from pathlib import Path

import pytest
import yaml

from stacks.settings import exit_status, render, starter, validate_files

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "settings"
ACCEPT = sorted((FIXTURES / "accept").iterdir())
REJECT = sorted((FIXTURES / "reject").iterdir())
SANDBOXES = [folder for folder in REJECT if (folder / "Pulumi.production.yaml").exists()]


def test_there_are_enough() -> None:
    assert len(ACCEPT) >= 8
    assert len(REJECT) >= 30


@pytest.mark.parametrize("folder", ACCEPT, ids=lambda folder: folder.name)
def test_accepted(folder: Path) -> None:
    problems = validate_files([folder / "Pulumi.site.yaml"])
    pending = folder / "pending.yaml"
    expected = yaml.safe_load(pending.read_text()) if pending.exists() else []
    assert sorted(problem.path for problem in problems) == expected, render(problems)
    assert exit_status(problems) == 0


@pytest.mark.parametrize("folder", REJECT, ids=lambda folder: folder.name)
def test_refused_with_exactly_the_expected_problems(folder: Path) -> None:
    problems = validate_files([folder / "Pulumi.site.yaml"])
    expected = yaml.safe_load((folder / "expected.yaml").read_text())
    left = list(problems)
    for one in expected:
        match = [p for p in left if p.path == one["path"] and one["rule"] in p.rule and one["fix"] in p.fix]
        assert match, f"not reported: {one}\nreported:\n{render(problems)}"
        left.remove(match[0])
    assert left == [], f"also reported:\n{render(left)}"
    assert exit_status(problems) == 2
    assert all(problem.file == "Pulumi.site.yaml" and problem.rule and problem.fix for problem in problems)


@pytest.mark.parametrize("folder", REJECT, ids=lambda folder: folder.name)
def test_no_secret_is_repeated(folder: Path) -> None:
    """`hunter2` stands for a secret wherever a fixture has one in clear."""
    assert "hunter2" not in render(validate_files([folder / "Pulumi.site.yaml"]))


@pytest.mark.parametrize("folder", SANDBOXES, ids=lambda folder: folder.name)
def test_production_beside_a_refused_sandbox_is_itself_valid(folder: Path) -> None:
    assert validate_files([folder / "Pulumi.production.yaml"]) == []


def test_a_production_file_that_is_not_understood_is_no_permission(tmp_path: Path) -> None:
    """What production marks is unknown then: the sandbox is refused, and the file at fault is named."""
    shutil.copy(FIXTURES / "accept" / "embedded-sandbox" / "Pulumi.site.yaml", tmp_path)
    (tmp_path / "Pulumi.production.yaml").write_text("config: [broken\n")
    problems = validate_files([tmp_path / "Pulumi.site.yaml"])
    assert {problem.file for problem in problems} == {"Pulumi.site.yaml", "Pulumi.production.yaml"}
    assert exit_status(problems) == 2


def test_a_new_stack_file_stands_in_no_sandbox_s_way(tmp_path: Path) -> None:
    """Its blanks mark nothing, and are told as blanks alone; what the other files of production mark still counts."""
    for file in (FIXTURES / "reject" / "sandbox-in-a-production-zone").glob("Pulumi.*.yaml"):
        shutil.copy(file, tmp_path)
    sandbox, new = tmp_path / "Pulumi.site.yaml", tmp_path / "Pulumi.home.yaml"
    before = validate_files([sandbox])
    new.write_text(starter("home"))
    assert validate_files([sandbox]) == before
    assert validate_files([new, sandbox]) == [*validate_files([new]), *before]


def test_a_missing_secret_is_told_with_the_command_that_sets_it(tmp_path: Path) -> None:
    """For this stack, whichever is selected, and also where no `pulumi` is on PATH."""
    file = tmp_path / "Pulumi.home.yaml"
    shutil.copy(FIXTURES / "accept/host-secrets-to-be-set/Pulumi.site.yaml", file)
    told = render(validate_files([file]))
    assert "Run `./factory pulumi home -- stack init home`, then" in told
    assert "`./factory pulumi home -- config set --secret --path 'host_secrets.gateway.WEB_TOKEN'`" in told
