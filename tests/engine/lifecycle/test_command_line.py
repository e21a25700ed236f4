"""The commands as a person or a script uses them, on a stack that is up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.endpoints import Endpoints
from sandbox.layout import Layout
from sandbox.record import Record
from tests.engine.lifecycle.conftest import STACK, with_applications
from tests.support.project import Project

pytestmark = pytest.mark.engine

COPIES_KEPT = 10
_ENDED_SECONDS = 300
"""For a run whose backend is gone, on a busy machine. Vault's client asks again, for one resource after the other."""


@pytest.fixture(scope="module")
def stack_up(tmp_path_factory: pytest.TempPathFactory, sandbox_state: Path, sandbox: Endpoints) -> Iterator[Project]:
    """A committed checkout whose stack is up; at the end it is gone."""
    assert sandbox.vault.address
    project = Project.copy_to(tmp_path_factory.mktemp("checkout"), sandbox_state)
    project.configure(STACK, with_applications(project.configuration(STACK), "webapp"))
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "-q", "-m", "all")
    for number in range(2 * COPIES_KEPT):
        copy = sandbox_state / "state-copies" / STACK / f"20000101T0000{number:02}Z.json"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    first = project.factory("up")
    assert "\x1b" not in first.stdout + first.stderr, "off a terminal there are plain lines only"
    assert "created" in first.stdout
    yield project
    project.factory("destroy", "--yes")
    project.remove(STACK)


def git(project: Project, *arguments: str) -> str:
    """Run git in the checkout."""
    done = subprocess.run(["git", *arguments], cwd=project.root, check=True, capture_output=True, text=True)
    return done.stdout


def urns(project: Project) -> dict[str, str]:
    """Return the resources by URN, each as text."""
    return {urn: json.dumps(resource, sort_keys=True) for urn, resource in project.resources(STACK).items()}


@contextmanager
def another_tag(project: Project, tag: str) -> Iterator[None]:
    """Change the image of the application for a while."""
    file = project.stack_file(STACK)
    before = file.read_text("utf-8")
    document = project.configuration(STACK)
    document["config"]["factory:apps"]["webapp"]["image"] = {"tag": tag}
    project.configure(STACK, document)
    try:
        yield
    finally:
        file.write_text(before, "utf-8")


def test_up_leaves_the_checkout_clean_and_ten_copies_of_the_state(stack_up: Project) -> None:
    assert git(stack_up, "status", "--porcelain") == ""
    copies = sorted((stack_up.state / "state-copies" / STACK).iterdir())
    assert len(copies) == COPIES_KEPT
    assert json.loads(copies[-1].read_text("utf-8"))["version"] == 3
    assert copies[-1].stat().st_mode & 0o077 == 0


def test_outputs_are_printed_as_json_too(stack_up: Project) -> None:
    printed = json.loads(stack_up.factory("outputs", "--json").stdout)
    assert printed["environment"] == "sandbox"
    assert printed["apps"]["webapp"]["database"] == "webapp"


def test_exports_make_a_plain_pulumi_command_work_with_the_policy_pack(stack_up: Project) -> None:
    script = (
        'eval "$(./factory env)" && pulumi preview --refresh --non-interactive --expect-no-changes '
        '--policy-pack policies --policy-pack-config "$FACTORY_POLICY_CONFIG"'
    )
    done = subprocess.run(
        ["sh", "-c", script], cwd=stack_up.root, env=stack_up.variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Policies" in done.stdout


def test_a_pass_through_keeps_arguments_and_exit_status(stack_up: Project) -> None:
    listed = json.loads(stack_up.pulumi(STACK, "stack", "ls", "--json").stdout)
    assert STACK in {stack["name"] for stack in listed}
    failed = stack_up.pulumi(STACK, "no-such-command", check=False)
    assert failed.returncode > 0
    assert "no-such-command" in failed.stderr


def test_options_reach_the_engine(stack_up: Project) -> None:
    deployment = next(urn for urn in stack_up.resources(STACK) if "apps/v1:Deployment::" in urn)
    with another_tag(stack_up, "1.0.7"):
        shown = json.loads(stack_up.factory("preview", "--json", "--target", deployment).stdout)
    assert [step["urn"] for step in shown["steps"] if step["op"] == "update"] == [deployment]
    assert len(shown["steps"]) < len(stack_up.resources(STACK))


def test_only_one_section_is_brought_up(stack_up: Project) -> None:
    before = stack_up.resources(STACK).keys()
    with another_tag(stack_up, "1.0.8"):
        foundation = stack_up.factory("up", "--only", "vault_foundation").stdout
        application = stack_up.factory("up", "--only", "apps.webapp", "--diff").stdout
    assert "vault-kv2" in foundation
    assert "Deployment" not in foundation
    assert "1.0.0" in application
    assert "1.0.8" in application
    assert "vault-kv2" not in application
    assert before == stack_up.resources(STACK).keys()


def test_a_wrong_passphrase_is_refused(stack_up: Project) -> None:
    before = urns(stack_up)
    stack_up.environment["PULUMI_CONFIG_PASSPHRASE"] = "not the passphrase"
    try:
        refused = stack_up.factory("up", check=False)
    finally:
        del stack_up.environment["PULUMI_CONFIG_PASSPHRASE"]
    said = refused.stdout + refused.stderr
    assert refused.returncode == 2
    assert "incorrect passphrase" in said
    assert "PULUMI_CONFIG_PASSPHRASE" in said
    assert "Traceback" not in said
    assert urns(stack_up) == before


def test_a_state_of_other_plugins_is_refused(stack_up: Project) -> None:
    stack_up.pulumi(STACK, "stack", "tag", "set", "factory:plugins", "official")
    try:
        refused = stack_up.factory("preview", check=False)
    finally:
        stack_up.pulumi(STACK, "stack", "tag", "set", "factory:plugins", "local")
    assert refused.returncode == 1
    assert "was made with the official provider plugins" in refused.stderr


def test_an_interrupt_stops_the_run_and_not_the_backends(stack_up: Project, tmp_path: Path) -> None:
    with another_tag(stack_up, "1.0.9"):
        run = stack_up.start("up", log=tmp_path / "run.log")
        wait_for(tmp_path / "run.log", "updating|refreshing")
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(timeout=300) == 1
    assert "Traceback" not in (tmp_path / "run.log").read_text()
    assert json.loads(stack_up.factory("sandbox", "status", "--json").stdout)["state"] == "running"


def test_a_second_run_waits_for_nobody_and_names_the_first(stack_up: Project, tmp_path: Path) -> None:
    first = stack_up.start("up", log=tmp_path / "first.log")
    wait_for(tmp_path / "first.log", "Updating")
    second = stack_up.factory("up", check=False)
    assert second.returncode == 1
    assert "is locked by a live run (process" in second.stderr
    assert first.wait(timeout=300) == 0, (tmp_path / "first.log").read_text()
    assert not stack_up.state_of(STACK).get("pending_operations")


@pytest.mark.parametrize("backend", ["kube-apiserver", pytest.param("vault", marks=pytest.mark.long)])
def test_a_backend_that_dies_in_mid_run_is_named_and_the_next_run_heals(
    stack_up: Project, tmp_path: Path, backend: str
) -> None:
    record = Record.load(Layout(stack_up.state).record)
    assert record is not None
    place = record.backends[backend].address.removeprefix("https://")
    with another_tag(stack_up, "1.0.10"):
        run = stack_up.start("up", log=tmp_path / "run.log")
        wait_for(tmp_path / "run.log", "Updating")
        record.backends[backend].process.signal(signal.SIGKILL)
        assert run.wait(timeout=_ENDED_SECONDS) == 1
    said = (tmp_path / "run.log").read_text()
    assert place in said, said
    assert "Traceback" not in said
    status = json.loads(stack_up.factory("sandbox", "status", "--json", check=False).stdout)
    assert backend in {each["backend"] for each in status["backends"] if each["state"] == "crashed"}
    assert "the sandbox is degraded; it is started anew" in stack_up.factory("up").stderr
    stack_up.factory("preview", "--expect-no-changes")


def wait_for(log: Path, words: str) -> None:
    """Wait until one of the words, written `a|b`, stands in the log."""
    deadline = time.monotonic() + 300
    while not any(word in log.read_text(errors="replace") for word in words.split("|")):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
