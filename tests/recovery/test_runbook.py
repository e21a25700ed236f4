"""The runbook, tried as written: its commands run, its files are valid, its codes exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from cli.recover import app
from components.longhorn.flow import opening
from components.longhorn.flow.dump import collect
from components.longhorn.flow.dump_store import DumpFolder, select
from components.longhorn.flow.interfaces import CSI_DRIVER, Ref
from components.longhorn.flow.opening import read_site
from components.longhorn.flow.volumes import parse
from components.longhorn.recovery import single_file
from tests.support.fake_longhorn import NAMESPACE
from tests.support.recovery_site import FILES, NODES, PV, Site, filled_image, make_site, write_replica

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "runbooks" / "longhorn-volume.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def test_part_a_brings_the_files_out(tmp_path: Path) -> None:
    """From a directory of replicas to the files: each command of part A, in its order, only the places are others."""
    replicas, room = tmp_path / "replicas", tmp_path / "room"
    commands = "".join(blocks("sh"))
    name = re.search(r"^VOLUME=(\S+)$", commands, re.MULTILINE)
    assert name
    write_replica(replicas / name[1], filled_image())
    single_file.write(tmp_path / "longhorn-recover.pyz")
    written = commands.replace("./factory recover single-file longhorn-recover.pyz\n", "")
    assert written != commands
    for variable, value in (("REPLICAS", replicas), ("ROOM", room)):
        written, count = re.subn(rf"^{variable}=\S+$", f"{variable}={value}", written, flags=re.MULTILINE)
        assert count == 1
    written = written.replace("python3 ", f"{sys.executable} ")
    done = subprocess.run(["sh", "-eu", "-c", written], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    files = {
        str(path.relative_to(room / "files")): path.read_bytes()
        for path in (room / "files").rglob("*")
        if path.is_file()
    }
    assert files == FILES
    assert "database.sqlite" in done.stdout


def test_the_files_of_part_b_are_valid() -> None:
    site, chart, volumes = (yaml.safe_load(block) for block in blocks("yaml"))
    settings = read_site(site["site"]).settings
    values = yaml.safe_load(chart["spec"]["valuesContent"])
    assert values["defaultSettings"]["defaultDataPath"] == settings.data_path
    assert chart["spec"]["repo"] == f"https://{settings.chart_host}"
    assert parse(volumes, settings)[0].workload_name == "web"


@pytest.fixture
def after_the_incident(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A cluster whose volumes are gone, in the place of the one that the kubeconfig names, and a dump from before."""
    site = make_site(fast_path / "site")
    owner = {"namespace": "shop", "name": "data-web-0"}
    pv = {"csi": {"driver": CSI_DRIVER, "volumeHandle": PV}, "capacity": {"storage": "4Mi"}, "claimRef": owner}
    template = {"spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "data-web-0"}}]}}
    site.cluster.objects[Ref("StatefulSet", "web", "shop")]["spec"]["template"] = template
    gone: dict[Ref, dict[str, Any]] = {
        Ref("PersistentVolume", PV): {"spec": pv | {"accessModes": ["ReadWriteOnce"]}},
        Ref("longhorn.Volume", PV, NAMESPACE): {"spec": {"size": str(4 << 20)}},
        Ref("longhorn.Replica", f"{PV}-r-0", NAMESPACE): {
            "spec": {"volumeName": PV, "nodeID": "node1", "dataDirectoryName": f"{PV}-0a1b2c3d"}
        },
    }
    for ref, body in gone.items():
        site.put(ref, body)
    site.put(Ref("Namespace", NAMESPACE), {"status": {"phase": "Active"}})
    for node in NODES:
        site.put(Ref("CSINode", node), {"spec": {"drivers": [{"name": CSI_DRIVER}]}})
    before = datetime(2026, 1, 30, tzinfo=UTC).timestamp()
    DumpFolder(fast_path / "dumps").write(collect(site.cluster, before), before)
    for ref in gone:
        site.cluster.remove(ref)
    monkeypatch.setattr(opening, "open_world", lambda *_given, **_named: nullcontext(site.world()))
    monkeypatch.setattr(opening, "open_cluster", lambda *_given: site.cluster)
    monkeypatch.setattr("cli.recover_flow.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    monkeypatch.chdir(fast_path)
    return site


def test_part_b_brings_the_volume_back(after_the_incident: Site, fast_path: Path) -> None:
    """Each command of part B, in its order and as written; only the folder of the dumps is another."""
    (fast_path / "site.yaml").write_text(blocks("yaml")[0])
    said: dict[str, str] = {}
    commands = [line for block in blocks("console") for line in block.splitlines()]
    afterwards = re.search(r"`(\./factory recover dump [^`]*--site site\.yaml)`", TEXT)
    assert afterwards
    for line in [*commands, afterwards[1]]:
        command, _, target = line.replace("/srv/dumps", str(fast_path / "dumps")).partition(" > ")
        arguments = shlex.split(command)[2:]
        done = CliRunner().invoke(app, arguments, input=f"{PV}\n")
        assert done.exit_code == 0, f"{line}: {done.output} {done.exception}"
        said[arguments[0]] = done.output
        if target:
            (fast_path / target).write_text(done.stdout)
    assert list(said) == ["diagnose", "dump", "restore", "volumes", "plan", "run"]
    kept = select([fast_path / "dumps"], time.time()).dump
    assert {"node": "node1", "directory": f"{PV}-0a1b2c3d", "volume": PV} in [
        {key: value for key, value in item.items() if key != "kib"} for item in kept.index["directories"]
    ]
    assert "none: nothing to do" in said["diagnose"]
    assert f"planned    Longhorn Volume {NAMESPACE}/{PV}" in said["restore"]
    assert f"its data lay in node1:{PV}-0a1b2c3d" in said["volumes"]
    assert f"AUTO node1:{PV}-0a1b2c3d" in said["plan"]
    assert f"shop/data-web-0 ({PV}): recovered" in said["run"]
    assert after_the_incident.restored() == FILES
    assert after_the_incident.cluster.objects[Ref("StatefulSet", "web", "shop")]["spec"]["replicas"] == 2


def test_every_command_exists() -> None:
    commands = set(re.findall(r"\./factory recover ([a-z-]+)", TEXT))
    assert {"single-file", "diagnose", "climb", "teardown", "dump", "restore", "volumes", "plan", "run"} <= commands
    done = subprocess.run(
        [sys.executable, "-m", "cli", "recover", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for command in commands:
        assert re.search(rf"\b{command}\b", done.stdout), command


def test_every_option_exists() -> None:
    """Also those of the commands in the text, of which some cannot be tried here."""
    known = get_command(app).commands  # type: ignore[attr-defined]
    lines = re.findall(r"\./factory recover (.*?)(?:`|$| >)", TEXT, re.MULTILINE)
    assert any(line.startswith("teardown --site") for line in lines)
    for line in lines:
        name, *arguments = shlex.split(line)
        there = {option for parameter in known[name].params for option in parameter.opts}
        assert {item for item in arguments if item.startswith("--")} <= there, line


def test_every_code_of_the_table_can_happen() -> None:
    codes = re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE)
    sources = "".join(path.read_text() for path in (ROOT / "components" / "longhorn" / "flow").glob("*.py"))
    assert len(codes) >= 10
    for code in codes:
        assert f'"{code}"' in sources, code


@pytest.mark.parametrize("step", ["host-key scan"])
def test_other_commands_of_the_program_exist(step: str) -> None:
    assert f"./factory {step}" in TEXT
    done = subprocess.run(
        [sys.executable, "-m", "cli", *step.split(), "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
