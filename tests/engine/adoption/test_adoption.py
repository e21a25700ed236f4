"""Objects made by hand: compared without a write, refused where data would be overwritten, taken over untouched.

The tests share one site and go on from one another.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.endpoints import Endpoints
from tests.engine.adoption import by_hand
from tests.support.identities import Login, cluster_client, connect
from tests.support.project import Project

pytestmark = pytest.mark.engine

STACK = "adopting"
QUOTA = "/api/v1/namespaces/ledger/resourcequotas/ledger"
LIMITS = "/api/v1/namespaces/ledger/limitranges/ledger"
PATCH = {"Content-Type": "application/merge-patch+json"}


def adopt(project: Project, file: Path) -> dict[str, tuple[str, ...]]:
    """Run `./factory adopt` and return verdict and details of each object, by type and resource name."""
    done = project.factory("adopt", "apps.ledger", "--stack", STACK, "--file", str(file), "--json")
    found: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.index("[\n") :])
    return {one["urn"].rpartition("$")[2]: (one["verdict"], *one["details"]) for one in found}


def unequal(found: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return what is not simply equal."""
    return {name: verdict for name, verdict in found.items() if verdict != ("equal",)}


def mark_quota(endpoints: Endpoints, release: str | None) -> None:
    """Say, or no longer say, that a Helm release owns the quota."""
    with cluster_client(endpoints) as cluster:
        body = {"metadata": {"annotations": {"meta.helm.sh/release-name": release}}}
        cluster.patch(QUOTA, json=body, headers=PATCH).raise_for_status()


def test_the_comparison_says_what_is_there_and_writes_nothing(
    grown: Project, sandbox: Endpoints, tmp_path: Path
) -> None:
    by_hand.write_vault(sandbox, "sys/policies/acl/ledger-ops", {"policy": by_hand.OPS.replace('"delete", ', "")})
    mark_quota(sandbox, "ledger-chart")
    with cluster_client(sandbox) as cluster:
        cluster.delete(LIMITS).raise_for_status()
    before, stack_file = by_hand.snapshot(sandbox), grown.stack_file(STACK).read_bytes()

    found = adopt(grown, tmp_path / "adopt.json")

    assert by_hand.snapshot(sandbox) == before
    assert grown.stack_file(STACK).read_bytes() == stack_file
    assert grown.resources(STACK) == {}
    assert unequal(found) == {
        "vault:kv/secretV2:SecretV2::ledger-config": ("differs", "dataJson.SESSION_KEY"),
        "vault:index/policy:Policy::ledger-ops": ("differs", "policy"),
        "kubernetes:core/v1:LimitRange::ledger": ("missing",),
        "kubernetes:core/v1:ResourceQuota::ledger": ("foreign owner", "meta.helm.sh/release-name: ledger-chart"),
    }
    assert len(found) > 25
    text = (tmp_path / "adopt.json").read_text("utf-8")
    assert by_hand.EDITOR_PASSWORD not in text
    assert by_hand.SESSION_KEY not in text


def test_an_up_refuses_to_overwrite_a_secret_that_it_did_not_write(grown: Project, sandbox: Endpoints) -> None:
    before = by_hand.snapshot(sandbox)
    done = grown.factory("up", "--stack", STACK, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"a secret at {by_hand.KV} that this stack did not write" in done.stderr
    assert by_hand.snapshot(sandbox) == before


def test_what_is_equal_is_taken_over_without_a_write(grown: Project, sandbox: Endpoints, tmp_path: Path) -> None:
    secret = ("--secret", "--path", "factory:secrets.ledger.SESSION_KEY", by_hand.SESSION_KEY)
    grown.pulumi(STACK, "config", "set", "--stack", STACK, *secret)
    by_hand.write_vault(sandbox, "sys/policies/acl/ledger-ops", {"policy": by_hand.OPS})
    mark_quota(sandbox, None)
    file = tmp_path / "adopt.json"
    assert unequal(adopt(grown, file)) == {"kubernetes:core/v1:LimitRange::ledger": ("missing",)}
    before = by_hand.snapshot(sandbox)

    shown = grown.factory("up", "--stack", STACK, "--adopt", str(file)).stdout

    after = by_hand.snapshot(sandbox)
    assert after.pop("/api/v1/namespaces/ledger/limitranges/ledger"), "the missing object was made"
    assert after == before
    created = [line for line in shown.splitlines() if line.startswith(" +") and "LimitRange" in line]
    assert created, shown
    grown.factory("preview", "--stack", STACK, "--expect-no-changes")


def test_what_a_stack_lacks_beside_all_it_has_is_compared_too(grown: Project, tmp_path: Path) -> None:
    """Its providers exist already, and what is taken over belongs to them."""
    application = next(urn for urn in grown.resources(STACK) if urn.endswith(":Application::ledger"))
    grown.pulumi(STACK, "state", "delete", application, "--yes", "--stack", STACK)
    file = tmp_path / "adopt.json"
    assert adopt(grown, file) == {"kubernetes:argoproj.io/v1alpha1:Application::ledger": ("equal",)}
    grown.factory("up", "--stack", STACK, "--adopt", str(file))
    assert application in grown.resources(STACK)


def test_the_editor_keeps_its_password(sandbox: Endpoints, grown: Project) -> None:
    assert grown.resources(STACK), "the stack was brought up"
    with connect(sandbox, by_hand.APP, Login("ledger_edit", by_hand.EDITOR_PASSWORD, "")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("ledger_edit",)
