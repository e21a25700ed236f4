"""One directory per damage: each gets its verdict with its reason, from `scan` as from `merge`, and never an image."""

import errno
import json
import os
import re
from pathlib import Path

import pytest

from components.longhorn.flow.decide_data import rank
from components.longhorn.flow.volumes import FlowSettings
from components.longhorn.recovery import (
    RULES,
    DamagedError,
    MergeOptions,
    Mode,
    RecoveryError,
    RefusedError,
    Replica,
    Severity,
    Status,
    Verdict,
    inspect,
    merge,
    node_agent,
    read_replica,
)
from components.longhorn.recovery.extents import LayerFile
from components.longhorn.recovery.ranking import Circumstances
from components.longhorn.recovery.scan import scan
from tests.recovery.model.damages import DAMAGES, HEAD, MIDDLE, change, good, promised, rows
from tests.recovery.model.layers import NAME, content, layer_meta, make_replica, write_json, write_layer
from tests.recovery.model.witness import witness
from tests.support.recovery_site import volume

pytestmark = pytest.mark.usefixtures("nobody_else")
SETTINGS = FlowSettings(nodes=("node1",), data_path="/srv/longhorn", backup_base="/srv/b", merged_base="/srv/m")
SPOILT = [name for name, (_, verdict, _) in DAMAGES.items() if verdict in {"damaged", "refused"}]
TOLD = [name for name in DAMAGES if name not in SPOILT]


def spoil(name: str, folder: Path) -> Path:
    source = good(folder / NAME)
    DAMAGES[name][0](source)
    return source


def expected() -> bytes:
    """The good replica's content."""
    root, middle, head = rows()
    layers = zip(root, middle, head, strict=True)
    return content("".join(next((b for b in (h, m, r) if b != "."), ".") for r, m, h in layers))


def test_there_are_enough_damages() -> None:
    assert len(SPOILT) >= 40
    assert {code for _, _, code in DAMAGES.values()} <= RULES.keys()


def test_the_good_one_is_good(fast_path: Path) -> None:
    source = good(fast_path / NAME)
    found = inspect(read_replica(source), deep=True)
    assert (found.verdict, found.findings) == (Verdict.USABLE, ())
    assert merge(source, fast_path / "image").status is Status.RECOVERED
    assert (fast_path / "image").read_bytes() == expected()


@pytest.mark.parametrize("name", DAMAGES)
def test_verdict_and_reason(name: str, fast_path: Path) -> None:
    _, verdict, code = DAMAGES[name]
    source = spoil(name, fast_path / "replicas")
    found = inspect(read_replica(source))
    assert found.verdict.value == verdict, found.reasons()
    assert code in [finding.code for finding in found.findings]
    # A scan says the same, as text too, and one bad directory spoils no other's.
    good(fast_path / "replicas" / "pvc-0a1b2c3d-00000002")
    report = scan([fast_path])
    (ranking,) = report.rankings
    assert {c.replica.name: c.replica.verdict.value for c in ranking.candidates}[NAME] == verdict
    assert ranking.chosen is not None
    json.dumps(report.as_dict())


NAMES = [NAME, f"{NAME}.empty", f"{NAME}.empty_backup", f"copy of {NAME}", "copy", f"{NAME[:-1]}G"]


def outcome(source: Path, options: MergeOptions | None = None) -> tuple[Status, set[str]]:
    """How a merge ends, and the codes it gives as its reasons."""
    try:
        result = merge(source, source.parent / "image", options)
    except RecoveryError as error:
        assert not (source.parent / "image").exists()
        return error.status, set(re.findall(r"\(([a-z-]+)\):", str(error)))
    return result.status, {finding.code for finding in result.findings if finding.severity >= Severity.WARNING}


def judged(source: Path) -> Replica:
    """What a scan of the folder says of the directory."""
    found = scan([source.parent])
    assert found.replicas
    return next(c.replica for ranking in found.rankings for c in ranking.candidates if c.replica.path == source)


@pytest.mark.parametrize("name", [*DAMAGES, "good"])
def test_scan_and_merge_agree(name: str, fast_path: Path) -> None:
    """One verdict and the same reasons: what a scan refuses is merged by nobody, and what it offers can be merged."""
    source = good(fast_path / NAME) if name == "good" else spoil(name, fast_path)
    found = judged(source)
    status, codes = outcome(source)
    assert status is promised(found.verdict)
    least = Severity.REFUSED if status in {Status.REFUSED, Status.DAMAGED} else Severity.WARNING
    assert codes == {finding.code for finding in found.findings if finding.severity >= least}


@pytest.mark.parametrize("name", [*DAMAGES, "good"])
def test_the_flow_agrees(name: str, fast_path: Path) -> None:
    """What its nodes report and it takes for a source can be merged there, and nothing that can be is passed over."""
    source = good(fast_path / NAME) if name == "good" else spoil(name, fast_path)
    described = [("node1", item) for item in node_agent.scan(fast_path)]
    ranking = rank(described, volume(pv_name=NAME[:-9], size_bytes=str(8 << 20), size_human="8Mi"), SETTINGS)
    assert (ranking.best is not None) is (outcome(source)[0] in {Status.RECOVERED, Status.WARNINGS})


@pytest.mark.parametrize("name", NAMES)
def test_scan_and_merge_agree_about_names(name: str, fast_path: Path) -> None:
    """LHR-032, ODF-018: only `<volume>-<8 hex>` is Longhorn's own; every other name is a risk to be accepted."""
    source = good(fast_path / name)
    found = judged(source)
    status, codes = outcome(source)
    assert status is promised(found.verdict)
    if name == NAME:
        assert status is Status.RECOVERED
        return
    assert (found.verdict, codes) == (Verdict.REFUSED, {"set-aside"})
    assert f"the name {name!r} is not <volume>-<8 hex digits>" in "; ".join(found.reasons())
    accepting = frozenset({"set-aside"})
    assert scan([fast_path], circumstances=Circumstances(accepting=accepting)).rankings[0].chosen is not None
    assert outcome(source, MergeOptions(accepting=accepting)) == (Status.WARNINGS, {"set-aside"})


def test_scan_and_merge_agree_about_what_is_too_small(fast_path: Path) -> None:
    source = make_replica(fast_path / NAME, "A" + "." * 511)
    assert judged(source).verdict is Verdict.REFUSED
    assert outcome(source) == (Status.REFUSED, {"too-small"})
    assert outcome(source, MergeOptions(accepting=frozenset({"too-small"})))[0] is Status.WARNINGS


def test_scan_and_merge_agree_about_what_cannot_be_read(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be merged as it is must not be preferred to what can; zeros in its place must be asked for."""
    source, real = good(fast_path / NAME), LayerFile.read

    def read(self: LayerFile, offset: int, length: int) -> bytes:
        if self.path.name == MIDDLE:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, offset, length)

    monkeypatch.setattr(LayerFile, "read", read)
    assert judged(source).verdict is Verdict.REFUSED
    assert outcome(source) == (Status.REFUSED, {"read-errors"})
    assert outcome(source, MergeOptions(zero_unreadable=True))[0] is Status.WARNINGS


def test_scan_and_merge_agree_about_what_cannot_be_entered(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left out of the ranking, it would leave the place to a worse one."""
    source, real = good(fast_path / NAME), os.scandir
    good(fast_path / f"{NAME}.empty")

    def scandir(path: object) -> object:
        if str(path) == str(source):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)
    report = scan([fast_path])
    assert report.unreadable == ()
    assert report.status is Status.REFUSED
    found = judged(source)
    assert found.verdict is Verdict.DAMAGED
    assert outcome(source) == (Status.DAMAGED, {"unreadable"})


@pytest.mark.parametrize("name", SPOILT)
def test_no_image_of(name: str, fast_path: Path) -> None:
    _, verdict, code = DAMAGES[name]
    source, image = spoil(name, fast_path), fast_path / "image"
    before = _names(fast_path)
    with pytest.raises(RecoveryError) as caught:
        merge(source, image)
    assert caught.value.status is (Status.DAMAGED if verdict == "damaged" else Status.REFUSED)
    assert code in str(caught.value)
    assert _names(fast_path) == before


@pytest.mark.parametrize("name", [name for name in SPOILT if RULES[DAMAGES[name][2]].acceptable])
def test_an_accepted_risk_is_a_warning(name: str, fast_path: Path) -> None:
    source, code = spoil(name, fast_path), DAMAGES[name][2]
    others = frozenset({code, "layer-too-large", "head-size-differs"})
    result = merge(source, fast_path / "image", MergeOptions(accepting=others))
    assert result.status is Status.WARNINGS
    assert any(finding.code == code and finding.accepted for finding in result.findings)


@pytest.mark.parametrize("name", [name for name in SPOILT if not RULES[DAMAGES[name][2]].acceptable])
def test_what_cannot_be_accepted_is_not(name: str, fast_path: Path) -> None:
    source = spoil(name, fast_path)
    with pytest.raises((DamagedError, RefusedError)):
        merge(source, fast_path / "image", MergeOptions(accepting=frozenset(RULES)))
    assert not (fast_path / "image").exists()


@pytest.mark.parametrize("name", TOLD)
def test_merged_and_told(name: str, fast_path: Path) -> None:
    source, code = spoil(name, fast_path), DAMAGES[name][2]
    before = witness(source)
    result = merge(source, fast_path / "image")
    assert code in [finding.code for finding in result.findings]
    assert result.status is (Status.WARNINGS if DAMAGES[name][1] == "usable with warnings" else Status.RECOVERED)
    assert witness(source) == before


def test_without_volume_meta_the_only_head_is_taken_when_asked(fast_path: Path) -> None:
    """GLK-013; with two heads nobody can know, and `until` decides."""
    source = spoil("volume_meta_is_missing", fast_path)
    accepting = frozenset({"volume-meta-missing"})
    merge(source, fast_path / "image", MergeOptions(accepting=accepting))
    assert (fast_path / "image").read_bytes() == expected()
    write_layer(source / "volume-head-003.img", "Z" * 2048)
    write_json(source / "volume-head-003.img.meta", layer_meta("volume-head-003.img", ""))
    with pytest.raises(DamagedError) as caught:
        merge(source, fast_path / "second", MergeOptions(accepting=accepting))
    assert caught.value.code == "head-ambiguous"
    merge(source, fast_path / "second", MergeOptions(accepting=accepting, until=HEAD))
    assert (fast_path / "second").read_bytes() == expected()


def test_a_copy_without_holes_is_cured_by_the_mode(fast_path: Path) -> None:
    """MRG-012: what the mode cannot know is that zeros were written over data."""
    source = spoil("copied_by_a_tool_that_fills_holes", fast_path)
    result = merge(source, fast_path / "image", MergeOptions(mode=Mode.ZERO_AS_HOLE))
    root, middle, head = rows()
    seen = (next((b for b in (h, m, r) if b not in ".0"), ".") for r, m, h in zip(root, middle, head, strict=True))
    assert (fast_path / "image").read_bytes() == content("".join(seen))
    assert result.status is Status.WARNINGS
    # By extents the newest layer alone would be left, and that is refused unless somebody wants it.
    merge(source, fast_path / "blind", MergeOptions(accepting=frozenset({"holes-filled"})))
    assert (fast_path / "blind").read_bytes() == content(head)


def test_holes_punched_by_a_copy_are_noticed(fast_path: Path) -> None:
    """DEF-05: `cp -a` and its like leave not one written zero, so what had been zeroed reappears."""
    source = good(fast_path / NAME)
    for layer, row in zip(("volume-snap-s0.img", MIDDLE, HEAD), rows(), strict=True):
        write_layer(source / layer, row.replace("0", ".").replace("." * 1000, "D" * 1000, 1))
    assert inspect(read_replica(source)).verdict is Verdict.USABLE
    deep = inspect(read_replica(source), deep=True)
    assert [finding.code for finding in deep.findings] == ["holes-punched"]
    result = merge(source, fast_path / "image")
    assert result.status is Status.WARNINGS
    assert [finding.code for finding in result.findings] == ["holes-punched"]


def test_a_fresh_directory_is_empty_and_not_damaged_data(fast_path: Path) -> None:
    source = good(fast_path / NAME)
    for path in source.glob("*snap*"):
        path.unlink()
    write_layer(source / HEAD, "." * (8 << 20 >> 12))
    write_json(source / f"{HEAD}.meta", layer_meta(HEAD, ""))
    change(source, "volume.meta", Parent="")
    report = scan([fast_path])
    codes = {finding.code for finding in report.rankings[0].candidates[0].replica.findings}
    assert {"no-extents", "too-small"} <= codes


def _names(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))
