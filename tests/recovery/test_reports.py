"""What a person reads at the end: when each phase was, what comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.longhorn.flow.report import Outcome, PhaseTime, RunReport, VolumeReport
from components.longhorn.recovery.command_line import main
from components.longhorn.recovery.nearest import instead
from tests.support.recovery_site import OLD, filled_image, write_replica


def test_the_timeline_shows_when_each_phase_was_and_the_time_to_recover() -> None:
    steps = [PhaseTime("backup", 10), PhaseTime("merge", 25), PhaseTime("attach", 0), PhaseTime("inject", 5)]
    volume = VolumeReport("pvc-a", "shop/data", Outcome.RECOVERED, timeline=steps)
    text = RunReport([volume]).text().splitlines()
    assert text[0] == "shop/data (pvc-a): recovered, time to recover 40 s"
    assert [line.strip() for line in text[1:5]] == [
        f"backup       10.0 s  [{'#' * 10}{'.' * 30}]",
        f"merge        25.0 s  [{'.' * 10}{'#' * 25}{'.' * 5}]",
        f"attach        0.0 s  [{'.' * 35}#{'.' * 4}]",
        f"inject        5.0 s  [{'.' * 35}{'#' * 5}]",
    ]


def test_a_run_in_no_time_is_drawn_too() -> None:
    text = RunReport([VolumeReport("pvc-a", "shop/data", timeline=[PhaseTime("bind", 0)])]).text()
    assert f"bind          0.0 s  [#{'.' * 39}]" in text


def test_a_person_sees_what_is_in_the_image() -> None:
    """LHR-055, LHR-060: by its names more than by its bytes somebody knows a volume."""
    content = {
        "layers": [{"name": "volume-head-001.img", "wins": 4096}, {"name": "volume-snap-a.img", "wins": 8192}],
        "data_bytes": 3 << 19,
        "file_system": "ext",
        "uuid": "00000000-0000-4000-8000-00000000000a",
        "journal": "needs replay",
        "check": "clean",
        "root": [f"file-{number:02}" for number in range(14)],
    }
    text = RunReport([VolumeReport("pvc-a", "shop/data", content=content)]).text()
    assert "  content: 1.5 MiB of 2 layers, ext 00000000-0000-4000-8000-00000000000a, journal needs replay" in text
    assert "fsck clean; in its root: file-00, file-01" in text
    assert "file-11 and 2 more" in text
    assert "content" not in RunReport([VolumeReport("pvc-a", "shop/data")]).text()


def test_a_scan_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DT-2: merge what is usable; otherwise accept, or a backup."""
    write_replica(tmp_path / OLD, filled_image())
    write_replica(tmp_path / OLD.replace("pvc-0", "pvc-1"), filled_image(), Error="a fault")
    main(["scan", str(tmp_path)])
    text = capsys.readouterr().out
    assert f"next: merge {tmp_path / OLD} IMAGE" in text
    assert "next: accept a risk by its code" in text


@pytest.mark.parametrize(
    ("wanted", "known", "said"),
    [
        ("app.bd", [".", "..", "app.db", "zzz"], "did you mean app.db?"),
        ("x", ["b", "a"], "there is a, b"),
        ("x", list("abcdefghi"), "there is a, b, c, d, e, f, ..."),
        ("x", [".", ".."], "the directory is empty"),
    ],
)
def test_a_name_that_is_not_there(wanted: str, known: list[str], said: str) -> None:
    assert instead(wanted, known) == said


def test_another_document_is_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert main(["scan", str(other)]) == 2
    assert capsys.readouterr().err == f"bad input: {other}: this is no report of `scan --json`: it lacks 'volumes'\n"
