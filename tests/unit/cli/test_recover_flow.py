"""The commands of the recovery that need a cluster: what they refuse before they open anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cli import recover_opening
from cli.errors import CommandError, InputError
from cli.recover import app
from components.longhorn.flow import dump, opening
from tests.components.test_longhorn import SITE
from tests.support.recovery_site import PV, volume


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    site, volumes = tmp_path / "site.yaml", tmp_path / "volumes.yaml"
    site.write_text(yaml.safe_dump({"site": SITE}))
    entry = volume().model_dump(mode="json", exclude_defaults=True)
    volumes.write_text(yaml.safe_dump({"longhorn_recovery_volumes": [entry]}))
    return str(site), str(volumes)


@pytest.fixture(autouse=True)
def nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: object, **_named: object) -> None:
        pytest.fail("something was opened")

    monkeypatch.setattr(recover_opening, "opened", refuse)


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, InputError), result.output
    return str(result.exception)


def test_a_run_wants_each_volume_by_its_name(files: tuple[str, str]) -> None:
    site, volumes = files
    for arguments in (["--yes"], [], ["--volume", PV]):
        assert "--yes --volume NAME" in refused("run", volumes, "--site", site, *arguments)
    assert f"the file, which has {PV}" in refused("run", volumes, "--site", site, "--yes", "--volume", "pvc-other")


def test_what_changes_the_control_plane_wants_a_yes(files: tuple[str, str], tmp_path: Path) -> None:
    site = files[0]
    folder = ["--folder", str(tmp_path)]
    assert "--yes" in refused("climb", "--site", site, *folder)
    assert "L1 to L5" in refused("climb", "--site", site, *folder, "--limit", "L6", "--yes")
    assert "--cluster home" in refused("teardown", "--site", site, *folder, "--context", "home", "--yes")
    typed = ["--context", "home", "--cluster", "work", "--yes"]
    assert "--cluster home" in refused("teardown", "--site", site, *folder, *typed)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "no YAML"),
        (b"[" * 3000, "no YAML"),
        (b"a: !!timestamp x", "no YAML"),
        (b'a: !!int ""', "no YAML"),
        (b"a: 2026-99-99", "no YAML"),
        (b"a\xff", "byte 1 is no UTF-8"),
        (b"a: 1\n", "no `site`"),
        (b"site: {}\n", "settings"),
        (b"", "no `site`"),
    ],
)
def test_a_bad_site_says_what_is_wrong(text: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(text)
    assert why in refused("diagnose", "--site", str(path))


def test_bad_volumes_are_named_all_together(files: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    entries = [{"pv_name": "PVC", "namespace": "x"}, {"pvc_name": "y"}]
    path.write_text(yaml.safe_dump({"longhorn_recovery_volumes": entries}))
    text = refused("plan", str(path), "--site", files[0])
    assert "[0].pv_name" in text
    assert "[1].namespace" in text
    assert "cannot be read" in refused("plan", str(tmp_path / "none.yaml"), "--site", files[0])


def test_a_folder_that_cannot_be_written_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_cluster", lambda _path, _context: object())
    monkeypatch.setattr(
        dump, "collect", lambda _cluster, _now: dump.Dump({"PersistentVolume": ({"metadata": {}},)}, {})
    )
    result = CliRunner().invoke(app, ["dump", "--folder", "/proc/none"])
    assert isinstance(result.exception, CommandError), result.output
    assert "/proc/none" in str(result.exception)
