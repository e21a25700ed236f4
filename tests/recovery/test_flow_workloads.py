"""What is done with workloads, said explicitly: when they stop, when they start, and after whom (VAR-008)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.longhorn.flow.describe import steps_of
from components.longhorn.flow.interfaces import Ref
from components.longhorn.flow.recover import Recovery
from components.longhorn.flow.report import Outcome
from components.longhorn.flow.world import Consent
from tests.support.fake_longhorn import Manners
from tests.support.recovery_site import FILES, PV, Site, make_site, volume

SECOND = "pvc-00000000-0000-4000-8000-000000000002"
WEB, VAULT = (Ref("StatefulSet", name, "shop") for name in ("web", "vault"))
AFTER_VAULT = [{"kind": "StatefulSet", "namespace": "shop", "name": "vault"}]


def with_vault(root: Path, **second: Any) -> Site:
    """`web`, which waits for `vault`; both have a volume, and `web` comes first in the input."""
    vault = volume(pv_name=SECOND, pvc_name="data-vault-0", workload_name="vault", **second)
    site = make_site(root, volume(scale_up_after=AFTER_VAULT), vault)
    site.cluster.objects[WEB]["spec"]["claims"] = ["data-web-0"]
    site.put(VAULT, {"spec": {"replicas": 1, "claims": ["data-vault-0"]}})
    return site


def replicas(site: Site, ref: Ref) -> int:
    count: int = site.cluster.objects[ref]["spec"]["replicas"]
    return count


def starts(site: Site) -> list[str]:
    """The workloads in the order in which they were scaled up."""
    patches = [step for step in site.cluster.mutations if step.startswith("patch StatefulSet")]
    return [step.split()[2] for step in patches if "'replicas': 0" not in step]


def test_a_workload_starts_after_what_it_waits_for(fast_path: Path) -> None:
    """VAR-008: in one run too, whatever the order of the entries."""
    site = with_vault(fast_path)
    assert "wait until StatefulSet shop/vault is ready" in steps_of(site.world(), site.volumes[0])
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert starts(site) == ["shop/vault", "shop/web"]


def test_it_stays_down_until_then_and_the_same_command_starts_it(fast_path: Path) -> None:
    """VAR-006, CLR-020, FM-30: the data is back, and the secret store wants to be unsealed by a person."""
    site = with_vault(fast_path, scale_up=False)
    report = site.run()
    web, vault = report.volumes
    assert (web.outcome, vault.outcome) == (Outcome.UNVERIFIED, Outcome.RECOVERED)
    assert "StatefulSet shop/vault is ready, before StatefulSet shop/web starts" in web.verification
    assert (replicas(site, WEB), starts(site)) == (0, [])
    assert site.restored() == FILES
    site.cluster.patch(VAULT, {"spec": {"replicas": 1}})  # somebody starts and unseals it
    site.longhorn.step()
    site.longhorn.step()
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert replicas(site, WEB) == 2


def test_what_somebody_else_stops_is_only_looked_at(fast_path: Path) -> None:
    """VAR-008, INV-012: `scale_down: false` is a promise that is checked, not believed."""
    site = make_site(fast_path, volume(scale_down=False, replicas_after=3))
    report = site.run()
    assert report.volumes[0].code == "in-use"
    assert "wants 2 replicas" in report.volumes[0].error
    assert site.cluster.mutations == []
    site.cluster.patch(WEB, {"spec": {"replicas": 0}})
    assert site.run().outcome is Outcome.RECOVERED
    assert replicas(site, WEB) == 3


def test_what_somebody_else_stopped_stays_as_it_was_found(fast_path: Path) -> None:
    site = make_site(fast_path, volume(scale_down=False))
    site.cluster.patch(WEB, {"spec": {"replicas": 0}})
    assert site.run().outcome is Outcome.RECOVERED
    assert replicas(site, WEB) == 0


def test_pods_that_linger_stop_a_volume_whose_workload_is_left_alone(fast_path: Path) -> None:
    site = make_site(fast_path, volume(scale_down=False), manners=Manners(keeps_pods=True))
    site.cluster.patch(WEB, {"spec": {"replicas": 0}})
    mounts = {"volumes": [{"persistentVolumeClaim": {"claimName": "data-web-0"}}]}
    site.put(Ref("Pod", "web-0", "shop"), {"spec": mounts, "status": {"phase": "Running"}})
    assert site.run().volumes[0].code == "in-use"


@pytest.mark.parametrize("name", ["web", ""])
def test_a_workload_waits_for_its_other_volumes_that_were_not_named(name: str, fast_path: Path) -> None:
    """LHR-008: recovered one by one, it would start on a claim that is missing, and get an empty one (PIT-10)."""
    other = volume(pv_name=SECOND, pvc_name="data-web-1", workload_name=name)
    site = make_site(fast_path, volume(), other)
    site.cluster.objects[WEB]["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}}]

    def run(*indexes: int) -> Outcome:
        wanted = [site.volumes[index] for index in indexes]
        beside = [item for item in site.volumes if item not in wanted]
        consent = Consent(yes=True, named=frozenset(item.pv_name for item in wanted))
        report = Recovery(site.world(), wanted, consent, beside=beside).run()
        last.append(report.volumes[-1].verification)
        return report.outcome

    last: list[str] = []
    assert run(0) is Outcome.UNVERIFIED
    assert "StatefulSet shop/web stays down until shop/data-web-1 is recovered too" in last[-1]
    assert (replicas(site, WEB), starts(site)) == (0, [])
    assert run(1) is Outcome.RECOVERED
    assert replicas(site, WEB) == 2
    assert site.restored(PV) == site.restored(SECOND) == FILES
