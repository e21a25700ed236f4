"""The dump as a resource on the real engine: create, nothing to do, a new trigger, a refusal, destroy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.longhorn.flow.dump_store import select
from components.longhorn.flow.interfaces import Ref
from components.longhorn.flow.kubernetes_cluster import KubernetesCluster
from sandbox import Endpoints
from tests.support.fake_longhorn import NAMESPACE
from tests.support.plugin_program import Program
from toolchain.paths import ROOT

pytestmark = pytest.mark.engine

SOURCE = f"""
import json, os, sys

sys.path.insert(0, {str(ROOT)!r})
import pulumi

from components.longhorn import PvcObjectBackup

values = json.loads(os.environ["VALUES"])
python = pulumi.ProviderResource("pulumi-python", "python", {{}})
made = PvcObjectBackup("objects", **values, opts=pulumi.ResourceOptions(provider=python))
pulumi.export("files", made.files)
"""


def test_the_life_of_a_dump(
    cluster: KubernetesCluster, sandbox: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = {"apiVersion": "longhorn.io/v1beta2", "kind": "Volume", "metadata": {"name": "pvc-dumped"}, "spec": {}}
    cluster.create(Ref("longhorn.Volume", "pvc-dumped", NAMESPACE), volume)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program = Program.write(tmp_path / "program", SOURCE)
    folder = tmp_path / "dumps"
    values: dict[str, Any] = {"folders": [str(folder)], "kubeconfig": sandbox.kubernetes.kubeconfig}

    program.run("preview", values=values)
    assert not folder.exists(), "a preview opens nothing and writes nothing (DRV-006)"

    program.up(**values)
    first = Path(program.outputs()["files"][0])
    found = select([folder], first.stat().st_mtime)
    assert found.path == first
    assert found.dump.find("longhorn.Volume", "pvc-dumped") is not None
    key = next(line for line in sandbox.kubernetes.kubeconfig.splitlines() if "client-key-data" in line).split()[-1]
    assert key not in program.state()
    program.unchanged(**values)

    first.unlink()
    program.up(**values | {"trigger": "after the loss"})
    second = Path(program.outputs()["files"][0])
    assert second.exists()

    said = program.run("up", "--yes", "--skip-preview", check=False, values=values | {"folders": ["/proc/none"]})
    assert "/proc/none" in said
    assert "Traceback" not in said

    program.run("destroy", "--yes", "--skip-preview", values=values)
    assert second.exists(), "deleting the resource deletes no dump (INV-017)"
    cluster.delete(Ref("longhorn.Volume", "pvc-dumped", NAMESPACE))
