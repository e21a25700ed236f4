"""The command line, in the process and as the single file on a bare old Python: statuses, JSON, refusals, signals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.commands import app as factory
from components.longhorn.recovery import RULES, Status, old_contract
from components.longhorn.recovery.command_line import main
from components.longhorn.recovery.single_file import archive, write
from tests.recovery.model.damages import change
from tests.recovery.model.layers import BLOCK, content, make_replica
from tests.recovery.model.witness import witness

VOLUME = "pvc-0a1b2c3d"
NAME = f"{VOLUME}-00000001"
ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 9)


def oldest_python() -> str:
    """The oldest Python from 3.9 on that this machine has; never older than what the library promises."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(OLDEST[1], sys.version_info.minor):
        for python in (shutil.which(f"python3.{minor}"), *map(str, pyenv.glob(f"3.{minor}.*/bin/python3"))):
            ran = python and subprocess.run([python, "-c", ""], capture_output=True, check=False)
            if python and ran and ran.returncode == 0:
                return python
    return sys.executable


@pytest.fixture(scope="module")
def single_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("single") / "longhorn-recover.pyz"
    write(path)
    return path


def run(single_file: Path, *arguments: str | Path, check: bool = False) -> subprocess.CompletedProcess[str]:
    """Run it as on a node: no environment, no site-packages."""
    command = [oldest_python(), "-I", "-S", single_file, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=check, env={}, timeout=120)


@pytest.fixture
def replicas(fast_path: Path) -> Path:
    for number in (1, 2):
        make_replica(fast_path / "replicas" / f"{VOLUME}-0000000{number}", "AB0D" * 5, "." * 19 + str(number))
    return fast_path / "replicas"


def test_the_single_file_recovers_on_the_oldest_python(single_file: Path, replicas: Path, fast_path: Path) -> None:
    before, image = witness(replicas), fast_path / "image"
    scanned = json.loads(run(single_file, "scan", "--node", "n1", "--json", replicas).stdout)
    assert [volume["volume"] for volume in scanned["volumes"]] == [VOLUME]
    done = run(single_file, "merge", replicas / NAME, image)
    assert done.returncode == Status.RECOVERED, done.stderr
    assert image.read_bytes() == content("AB0D" * 4 + "AB01")
    compared = run(single_file, "compare", *sorted(replicas.iterdir()))
    assert (compared.returncode, compared.stderr) == (Status.WARNINGS, "")
    assert run(single_file, "merge", replicas / NAME, "-").stderr.count("terminal") == 0
    assert witness(replicas) == before


def test_the_single_file_is_the_same_for_the_same_sources(single_file: Path) -> None:
    assert single_file.read_bytes() == archive()
    assert os.access(single_file, os.X_OK)
    assert len(archive()) < 200_000


def test_nothing_but_the_standard_library_is_imported() -> None:
    """Also as a part of the package: what stands above it must not import Pulumi."""
    program = (
        "import sys; before = set(sys.modules); import components.longhorn.recovery.command_line;"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) == {"components"}


def test_standard_output_is_the_image(single_file: Path, replicas: Path) -> None:
    command: list[str | Path] = [oldest_python(), "-I", single_file, "merge", replicas / NAME, "-", "--json"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == content("AB0D" * 4 + "AB01")
    assert json.loads(done.stderr)["output"] == "-"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        ({}, (Status.RECOVERED, "")),
        ({"Parent": "volume-snap-s7.img"}, (Status.WARNINGS, "")),
        ({"Rebuilding": True}, (Status.REFUSED, "rebuilding")),
        ({"Size": 5}, (Status.DAMAGED, "volume-size-invalid")),
    ],
)
def test_exit_statuses_and_json(
    spoil: dict[str, object],
    expected: tuple[Status, str],
    replicas: Path,
    fast_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, code = expected
    change(replicas / NAME, "volume.meta", **spoil)
    assert main(["merge", str(replicas / NAME), str(fast_path / "image"), "--json"]) == status
    out = json.loads(capsys.readouterr().out)
    assert out["status"] == status.name.lower()
    assert out.get("error", {}).get("code", "") == code
    assert main(["merge", str(replicas / NAME), str(fast_path / "other")]) == status
    text = capsys.readouterr()
    assert code in text.err
    assert "Traceback" not in text.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["merge"],
        ["merge", "nowhere", "image"],
        ["merge", "HERE", "image", "--accept", "nonsense"],
        ["merge", "HERE", "image", "--accept", "layer-missing"],
        ["merge", "HERE", "image", "--rate", "fast"],
        ["merge", "HERE", "image", "--rate", "0"],
        ["merge", "HERE", "image", "--mode", "guess"],
        ["merge", "HERE", "image", "--until", "volume-snap-nothing.img"],
        ["merge", "HERE", "image", "--until", "../x"],
        ["merge", "HERE", "-", "--to-device"],
        ["scan"],
        ["scan", "nowhere"],
        ["scan", "HERE", "--incident", "yesterday"],
        ["scan", "HERE", "--expect", "5"],
        ["scan", "HERE/volume.meta"],
        ["scan", "HERE/volume-head-001.img"],
        ["compare", "HERE"],
        ["verify", "nowhere"],
        ["extract", "HERE/volume.meta"],
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_bad_input(
    arguments: list[str],
    as_json: bool,
    replicas: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(replicas.parent)
    given = [argument.replace("HERE", str(replicas / NAME)) for argument in arguments]
    assert main([*given, *(["--json"] if as_json else [])]) == Status.BAD_INPUT
    said = capsys.readouterr()
    message = json.loads(said.out)["error"]["message"] if as_json else said.err.removeprefix("bad input: ")
    assert message.strip()
    assert not (replicas.parent / "image").exists()


def test_a_report_of_another_node_is_ranked_with_this_one(
    replicas: Path, fast_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["scan", str(replicas), "--node", "n1", "--json"])
    (fast_path / "n1.json").write_text(capsys.readouterr().out)
    shutil.rmtree(replicas / NAME)
    main(["scan", "--node", "n2", "--nodes", "n2,n1", "--json", str(replicas), str(fast_path / "n1.json")])
    (volume,) = json.loads(capsys.readouterr().out)["volumes"]
    assert sorted((c["node"], c["name"][-1]) for c in volume["candidates"]) == [("n1", "1"), ("n1", "2"), ("n2", "2")]
    main(["scan", str(fast_path / "n1.json")])
    text = capsys.readouterr().out
    assert f"{VOLUME}: AUTO -> n1:" in text
    assert "owner of each 1/64 of the volume" in text


def test_codes_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["codes", "--json"]) == 0
    assert [row["code"] for row in json.loads(capsys.readouterr().out)["codes"]] == list(RULES)
    assert main(["codes"]) == 0
    assert "rebuilding" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_where_it_can_go_on(number: signal.Signals, single_file: Path, fast_path: Path) -> None:
    source, image = make_replica(fast_path / NAME, "A" * 4096), fast_path / "image"
    command: list[str | Path] = [sys.executable, "-I", single_file, "merge", source, image, "--rate", "2M", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not image.with_name("image.partial").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.7)
        process.send_signal(number)
        out = process.communicate(timeout=60)[0]
    assert process.returncode == Status.CANCELLED
    assert json.loads(out)["error"]["code"] == "cancelled"
    assert not image.exists()
    done = json.loads(run(single_file, "merge", source, image, "--json", check=True).stdout)
    assert done["resumed_at"] > 0
    assert image.read_bytes() == content("A" * 4096)


def test_a_reader_that_goes_away_is_no_traceback(single_file: Path, replicas: Path) -> None:
    command = f"{sys.executable} -I {single_file} scan {replicas} | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


def test_factory_recover_is_the_same_program(replicas: Path, fast_path: Path) -> None:
    """Statuses and `--help` come through, and the single file can be had from there."""
    runner = CliRunner()
    for arguments, status in [
        (["merge", str(replicas / NAME), str(fast_path / "image")], Status.RECOVERED),
        (["compare", *map(str, sorted(replicas.iterdir()))], Status.WARNINGS),
        (["merge", "nowhere", "image", "--json"], Status.BAD_INPUT),
        (["scan", "--help"], 0),
    ]:
        done = runner.invoke(factory, ["recover", *arguments])
        assert done.exit_code == status, done.output
    assert "--incident" in runner.invoke(factory, ["recover", "scan", "--help"]).output
    assert runner.invoke(factory, ["recover", "single-file", str(fast_path / "tool.pyz")]).exit_code == 0
    assert (fast_path / "tool.pyz").read_bytes() == archive()


class TestOldContract:
    """MRG-001..008."""

    def test_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        for arguments in ([], ["one"], ["one", "two", "three"]):
            assert old_contract.main(arguments) == 1
            assert "Usage: merge-longhorn-layers.py <replica-dir> <output.img>" in capsys.readouterr().out

    def test_not_a_directory(self, fast_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert old_contract.main([str(fast_path / "nothing"), str(fast_path / "image")]) == 1
        assert "nothing" in capsys.readouterr().err

    def test_merge(self, fast_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source, image = make_replica(fast_path / NAME, "A." * 256, "..b." * 128), fast_path / "image.img"
        before = witness(source)
        assert main(["merge-longhorn-layers", str(source), str(image)]) == 0
        out = capsys.readouterr().out.splitlines()
        assert out[0].split(":")[1].strip() == "2 MiB"
        assert out[1].endswith("volume-snap-s0.img")
        assert out[2].endswith("volume-head-001.img")
        assert out[3].endswith("image.img")
        assert out[-1] == "100% — done."
        assert image.read_bytes() == content("A.b." * 128)
        assert witness(source) == before
        # It replaced an existing output, and so does this.
        assert main(["merge-longhorn-layers", str(source), str(image)]) == 0

    def test_base_volume(self, fast_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source = make_replica(fast_path / NAME, "A.")
        assert old_contract.main([str(source), str(fast_path / "image")]) == 0
        assert "none — base volume" in capsys.readouterr().out
        assert (fast_path / "image").stat().st_size == 2 * BLOCK

    def test_any_name_of_the_directory_is_taken_and_told(
        self, fast_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source = make_replica(fast_path / "copy", "A." * 256)
        assert old_contract.main([str(source), str(fast_path / "image")]) == 0
        assert "the name 'copy' is not <volume>-<8 hex digits>" in capsys.readouterr().err

    def test_its_name_is_enough(self, single_file: Path, fast_path: Path) -> None:
        source = make_replica(fast_path / NAME, "A.")
        tool = fast_path / "merge-longhorn-layers.py"
        shutil.copyfile(single_file, tool)
        assert "100% — done." in run(tool, source, fast_path / "image", check=True).stdout


@pytest.mark.usefixtures("nobody_else")
def test_an_image_that_lost_zeros_at_its_end_does_not_equal_its_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image"
    assert main(["merge", str(make_replica(tmp_path / NAME, "AB" + "." * 30)), str(image)]) == Status.RECOVERED
    os.truncate(image, 9 * BLOCK)
    assert main(["verify", "--no-fsck", str(image)]) == Status.DAMAGED
    assert "is not the image that its manifest describes" in capsys.readouterr().err
