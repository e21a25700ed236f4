"""The input of a recovery, made of a dump and compared with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cli.recover import app
from components.longhorn.flow.dump import Dump, DumpError
from components.longhorn.flow.dump_store import DumpFolder
from components.longhorn.flow.from_dump import described_volumes, disagreements
from components.longhorn.flow.recover import PreflightError
from components.longhorn.flow.volumes import WorkloadKind, parse
from tests.support.recovery_site import PV, make_site, volume

MIB = 1 << 20


def dump(*, capacity: str = "128Mi", size: int = 128 * MIB, users: int = 1, replicas: int = 1, **claim: Any) -> Dump:
    """One claim of the shop on a Longhorn volume, one on another storage."""

    def pv(name: str, driver: str) -> dict[str, Any]:
        spec = {"csi": {"driver": driver, "volumeHandle": name}, "capacity": {"storage": capacity}}
        owner = {"namespace": "shop", "name": "data-web-0"}
        body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
        return {**body, "spec": spec | {"accessModes": ["ReadWriteOnce"], "claimRef": owner}}

    def bound(name: str, to: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": "shop"}
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": {"volumeName": to, **claim},
        }

    longhorn = {
        "apiVersion": "longhorn.io/v1beta2",
        "kind": "Volume",
        "metadata": {"name": PV},
        "spec": {"size": str(size)},
    }
    workload = {
        "kind": "StatefulSet",
        "namespace": "shop",
        "name": "web",
        "replicas": replicas,
        "claims": ["data-web-0"],
    }
    objects = {
        "PersistentVolume": (pv(PV, "driver.longhorn.io"), pv("pv-other", "other.example.test")),
        "PersistentVolumeClaim": (bound("data-web-0", PV), bound("cache", "pv-other")),
        "longhorn.Volume": (longhorn,),
    }
    return Dump(objects, {"taken": "2026-01-01T00:00:00+00:00", "workloads": [workload] * users})


def test_an_entry_is_made_of_the_dump() -> None:
    """VAR-012."""
    (found,), notes = described_volumes(dump())
    assert (found.pv_name, found.size_bytes, found.size_human) == (PV, str(128 * MIB), "128Mi")
    assert (found.workload_kind, found.workload_name) == (WorkloadKind.STATEFUL_SET, "web")
    assert notes == ()
    assert disagreements(found, (dump().find("PersistentVolume", PV), None)) == []


def test_a_size_that_longhorn_rounded_up_is_the_volume_s() -> None:
    (found,), _ = described_volumes(dump(capacity="1M", size=2 * MIB))
    assert (found.size_bytes, found.size_human) == (str(2 * MIB), str(2 * MIB))
    assert disagreements(found, (dump(capacity="1M").find("PersistentVolume", PV), None)) == []


def test_the_replicas_and_the_places_of_that_day_are_known() -> None:
    """BKP-011: today the workload may be down already, and which directory was in use nobody else remembers."""
    (found,), _ = described_volumes(dump(replicas=3))
    assert found.replicas_after == 3
    (found,), (note,) = described_volumes(dump(replicas=0))
    assert found.replicas_after == "restore"
    assert "StatefulSet web was down on the day of the dump; scale_up: false keeps it so" in note
    known = dump()
    directories = [
        {"node": "node1", "directory": f"{PV}-0a1b2c3d", "volume": PV, "replica": f"{PV}-r-1", "kib": 900},
        {"node": "node2", "directory": f"{PV}-00000001", "volume": PV, "kib": 20},
        {"node": "node2", "directory": "pvc-other-00000001", "volume": "pvc-other", "kib": 20},
    ]
    _, (note,) = described_volumes(Dump(known.objects, {**known.index, "directories": directories}))
    here = f"node1:{PV}-0a1b2c3d; on the disks was also node2:{PV}-00000001"
    assert note == f"shop/data-web-0: its data lay in {here}"


@pytest.mark.parametrize("users", [0, 2])
def test_who_is_not_known_is_not_guessed(users: int) -> None:
    (found,), (note,) = described_volumes(dump(users=users))
    assert found.workload_name == ""
    assert "workload_name" in note


@pytest.mark.parametrize("claim", ["shop/cache", "shop/none", "data-web-0"])
def test_what_the_dump_does_not_know_is_refused(claim: str) -> None:
    with pytest.raises(DumpError, match=f"{claim}: the dump knows no such claim"):
        described_volumes(dump(), [claim])


def test_def_27_an_entry_that_contradicts_the_dump_stops_before_anything(tmp_path: Path) -> None:
    """A wrong name, copied from an example, would recover another volume: OQ-06, OQ-07."""
    site = make_site(tmp_path)
    known = dump(capacity="8Mi")
    claim = known.find("PersistentVolumeClaim", "data-web-0", "shop")
    assert claim is not None
    other = {**claim, "spec": {"volumeName": "pvc-another"}}
    run = site.recovery(dumped=lambda _volume: (known.find("PersistentVolume", PV), other))
    with pytest.raises(PreflightError) as error:
        run.run()
    assert "belongs to pvc-another" in str(error.value)
    assert "it has 8Mi, not 4Mi" in str(error.value)
    assert site.cluster.mutations == []
    (found,) = disagreements(
        volume(pvc_name="other", size_bytes=str(128 * MIB), size_human="128Mi"),
        (dump().find("PersistentVolume", PV), None),
    )
    assert "belongs to the claim shop/data-web-0, not to shop/other" in found


def test_the_command_prints_what_run_reads(tmp_path: Path) -> None:
    DumpFolder(tmp_path / "dumps").write(dump(), 1_767_225_600.0)
    done = CliRunner().invoke(app, ["volumes", "--folder", str(tmp_path / "dumps"), "--claim", "shop/data-web-0"])
    assert done.exit_code == 0, done.output
    (found,) = parse(yaml.safe_load(done.stdout))
    assert found.pv_name == PV
    refused = CliRunner().invoke(app, ["volumes", "--folder", str(tmp_path / "none")])
    assert "no good dump" in str(refused.exception)
