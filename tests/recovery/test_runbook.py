"""The runbook, tried as written: its commands run, its files are valid, its codes exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.longhorn.flow.opening import read_site
from components.longhorn.flow.volumes import parse
from components.longhorn.recovery import single_file
from tests.support.recovery_site import FILES, filled_image, write_replica

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


def test_every_command_exists() -> None:
    commands = set(re.findall(r"\./factory recover ([a-z-]+)", TEXT))
    assert {"single-file", "diagnose", "climb", "teardown", "dump", "restore", "volumes", "plan", "run"} <= commands
    done = subprocess.run(
        [sys.executable, "-m", "cli", "recover", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for command in commands:
        assert re.search(rf"\b{command}\b", done.stdout), command


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
