"""`./factory notes`: what it prints, its exit statuses, and clear words for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.commands import app
from cli.errors import InputError
from components.traefik_gateway import Container, TransformArgs, extract, parse, transform
from tests.support.labels import application, example

HUMAN = "Home lab VM: 100 %\r\n- [x] café\n"


def command(*arguments: object, text: str | None = None) -> tuple[int, str]:
    """Run it; an error that the command line would report is raised."""
    result = CliRunner().invoke(app, ["notes", *map(str, arguments)], input=text)
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout_bytes.decode()


def data(*arguments: object) -> Any:
    return json.loads(command(*arguments, "--json")[1])


def listed(folder: Path, *containers: Container) -> Path:
    file = folder / "labels.json"
    found = [{"name": one.name, "labels": dict(one.labels), "state": one.state} for one in containers]
    file.write_text(json.dumps(found), "utf-8")
    return file


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return listed(tmp_path, *example())


def test_the_worked_example_both_ways(labels: Path) -> None:
    passed = data("render", "--labels", labels, "--mode", "passthrough")
    assert (passed["kept"], passed["distinct"], len(passed["labels"])) == (13, 13, 13)
    filtered = data("render", "--labels", labels, "--mode", "filter")
    assert (filtered["kept"], filtered["distinct"]) == (12, 11)
    assert sum(filtered["dropped"].values()) == 14
    strict = data("render", "--labels", labels, "--mode", "filter", "--set", "strict_seed_filter=true")
    assert len(strict["labels"]) == 11
    assert list(passed) == ["labels", "kept", "distinct", "dropped", "warnings"]


def test_labels_are_printed_as_notes_have_them(labels: Path) -> None:
    status, text = command("render", "--labels", labels)
    assert (status, text.splitlines()[:3]) == (0, ["traefik.enable=true", "", "# Router 1 : homarr"])


def test_labels_are_printed_as_a_file(labels: Path) -> None:
    status, text = command("render", "--labels", labels, "--address", "10.0.0.7")
    assert status == 0
    assert "- url: http://10.0.0.7:8080" in text
    as_json = data("render", "--labels", labels, "--address", "10.0.0.7")
    assert list(as_json["http"]) == ["routers", "services"]


def test_labels_can_be_a_list_as_in_a_compose_file(tmp_path: Path) -> None:
    """TPX-64: only the first `=` separates; a key alone has no value."""
    file = tmp_path / "labels.json"
    listed = ["traefik.enable=true", "traefik.http.routers.a.rule=Query(`a=b`)", "alone"]
    file.write_text(json.dumps([{"name": "a", "labels": listed}]), "utf-8")
    assert ["traefik.http.routers.a.rule", "Query(`a=b`)"] in data("render", "--labels", file)["labels"]


def test_labels_that_no_notes_can_hold_are_told_before_anybody_merges_them(tmp_path: Path) -> None:
    """TPX-121, TPX-169: one label of a megabyte, or many routers."""
    many = [application(f"app-{number}") for number in range(40)]
    for containers in ([application("a", f"Host(`{'x' * 1_000_000}`)")], many):
        file = listed(tmp_path, *containers)
        found = data("render", "--labels", file)
        assert found["labels"]
        (warned,) = [one for one in found["warnings"] if one["id"] == "TPX-121"]
        assert (warned["level"], "write the file, with --address" in warned["message"]) == ("warning", True)
    assert "TPX-121" not in command("render", "--labels", listed(tmp_path, *many), "--address", "10.0.0.7")[1]


def test_what_cannot_be_published_has_status_two(tmp_path: Path) -> None:
    clash = listed(
        tmp_path,
        Container("a", application("x", "Host(`a`)").labels),
        Container("b", application("x", "Host(`b`)").labels),
    )
    assert command("render", "--labels", clash)[0] == 2
    assert command("render", "--labels", clash, "--json")[0] == 2
    with pytest.raises(InputError, match="the notes stay as they are"):
        command("merge", "--labels", clash, "--notes", clash)


def test_notes_are_merged_and_nothing_else_is_touched(labels: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_bytes(HUMAN.encode())
    status, merged = command("merge", "--labels", labels, "--notes", notes, "--id", "vm-7")
    assert status == 0
    assert merged.startswith("Home lab VM: 100 %\r\n- [x] café\n\n<!-- ")
    assert tuple(extract(merged, "vm-7")) == transform(parse(example()), TransformArgs()).labels
    assert notes.read_bytes() == HUMAN.encode(), "nothing is written"
    notes.write_bytes(merged.encode())
    again = data("merge", "--labels", labels, "--notes", notes, "--id", "vm-7")
    assert (again["changed"], again["added"], again["removed"], again["length"]) == (False, [], [], len(merged))


def test_notes_come_from_the_input_too(labels: Path) -> None:
    _, merged = command("merge", "--labels", labels, "--notes", "-", text="words\n")
    assert merged.startswith("words\n\n<!-- ")


def test_loose_lines_are_adopted_on_demand(labels: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("traefik.enable=true\nwords\n", "utf-8")
    with pytest.raises(InputError, match=r"notes\.txt: labels stand outside the block"):
        command("merge", "--labels", labels, "--notes", notes)
    found = data("merge", "--labels", labels, "--notes", notes, "--adopt", "same")
    assert found["adopted"] == ["traefik.enable"]
    assert found["text"].startswith("words\n\n")


def guests(folder: Path) -> Path:
    notes = "\n".join(f"{key}={value}" for key, value in transform(parse(example()), TransformArgs()).labels)
    file = folder / "guests.json"
    found = [{"name": "home", "vmid": 106, "node": "pve-a", "notes": notes, "addresses": ["10.0.0.6"]}]
    file.write_text(json.dumps(found), "utf-8")
    return file


def test_routes_are_predicted(tmp_path: Path) -> None:
    page = tmp_path / "routes.html"
    found = data("predict", guests(tmp_path), "--html", page)
    assert [(one["name"], one["urls"]) for one in found["routers"]] == [
        ("homarr", ["https://home.example.test/"]),
        ("miniflux", ["https://home.example.test/miniflux"]),
    ]
    assert found["services"] == [{"name": "homelab-traefik", "guest": "home (106)", "url": "http://10.0.0.6:8080"}]
    assert "<h2>home (106)</h2>" in page.read_text("utf-8")
    status, text = command("predict", tmp_path / "guests.json")
    assert status == 0
    assert "miniflux  https://home.example.test/miniflux  ->  http://10.0.0.6:8080  (home (106), priority 1)" in text


def test_traps_are_told(tmp_path: Path) -> None:
    notes = tmp_path / "vm.txt"
    notes.write_text("traefik.enable=true\ntraefik.http.routers.a.rule=Host(`a`)\n", "utf-8")
    status, text = command("lint", notes)
    assert status == 0
    assert "names no entry point" in text
    assert "reports no address" not in text, "a file cannot know"
    assert {one["id"] for one in data("lint", notes)} == {"TPX-148", "TPX-266"}
    assert command("lint", notes, "--plugin", "v0.5.0")[0] == 2


def test_two_guests_with_one_name_are_an_error(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("traefik.enable=true\ntraefik.http.routers.a.rule=Host(`a`)\n", "utf-8")
    assert command("lint", tmp_path / "one.txt", tmp_path / "two.txt")[0] == 2


def test_one_guest_twice_is_no_clash_of_two(tmp_path: Path) -> None:
    file = guests(tmp_path)
    with pytest.raises(InputError, match=r"home \(106\): given twice; give each guest once"):
        command("lint", file, file)


def test_damaged_markers_are_told_once(tmp_path: Path) -> None:
    notes = tmp_path / "vm.txt"
    notes.write_text("words\n<!-- factory labels begin gateway -->\n", "utf-8")
    status, text = command("lint", notes, "--id", "gateway")
    assert (status, text.count("TPX-134")) == (2, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "labels.json"),
        ("{}", "it is no list"),
        ("[1]", "must be an object"),
        ('[{"labels": {}}]', "has no name"),
        ('[{"name": "a", "labels": {"k": 1}}]', "must be an object of texts"),
        ('[{"name": "a", "labels": ["k=v", 1]}]', "must be an object of texts"),
        ("[" * 100_000, "labels.json"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "labels.json"
    file.write_text(content, "utf-8")
    with pytest.raises(InputError, match=said):
        command("render", "--labels", file)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mode", "both"], r"mode: 'both': .*'passthrough' or 'filter'"),
        (["--set", "entrypoint"], "write it as KEY=VALUE"),
        (["--set", "traefik_local_port=0", "--set", "colour=red"], r"traefik_local_port: 0: (.|\n)*colour: 'red'"),
    ],
)
def test_bad_options_are_told_all_at_once(labels: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        command("render", "--labels", labels, *arguments)


def test_files_that_cannot_be_read_are_told(tmp_path: Path, labels: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: No such file"):
        command("render", "--labels", tmp_path / "none.json")
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"a\xff")
    with pytest.raises(InputError, match=r"binary\.txt: byte 1 is no UTF-8"):
        command("merge", "--labels", labels, "--notes", binary)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "no list of guests"),
        ("[{]", "no JSON"),
        ('[{"name": "a"}]', r"vmid: .*Field required"),
        ('[{"name": "a", "vmid": 1, "host": "x"}]', r"host: 'x': Extra inputs"),
    ],
)
def test_guests_that_are_none_are_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "guests.json"
    file.write_text(content, "utf-8")
    with pytest.raises(InputError, match=said):
        command("predict", file)


def test_wrong_words_are_refused(labels: Path) -> None:
    with pytest.raises(InputError, match=r"--plugin 'newest' is no version"):
        command("lint", labels, "--plugin", "newest")
    with pytest.raises(InputError, match=r"--address 'a b' is no host name and no IP address"):
        command("render", "--labels", labels, "--address", "a b")
    with pytest.raises(InputError, match=r"--adopt 'some' is none of refuse, same, all"):
        command("merge", "--labels", labels, "--notes", labels, "--adopt", "some")
    with pytest.raises(InputError, match="--host-key"):
        command("discover", "root@10.0.0.1")
    with pytest.raises(InputError, match="host_key"):
        command("discover", "root@10.0.0.1:22", "--host-key", "no key")
