"""The block of labels in somebody's notes: layout, merging, limits; what is not the block's stays as it was."""

from __future__ import annotations

import pytest

from components.traefik_gateway import (
    Adopt,
    NotesError,
    TransformArgs,
    extract,
    merge,
    parse,
    render,
    render_block,
    strip,
    transform,
    update,
)
from components.traefik_gateway.notes import LIMIT, loose_lines, read_labels, same_text
from tests.support.labels import application, container, example

LABELS = transform(parse(example()), TransformArgs()).labels
BLOCK = render_block(LABELS)
HUMAN = "Home lab VM\n\nBackup: nightly 02:00"
BEGIN, END = "<!-- factory labels begin vm-7 -->", "<!-- factory labels end vm-7 -->"


# Layout (section 7)


def test_the_worked_example_is_laid_out() -> None:
    assert render(LABELS) == (
        "traefik.enable=true\n"
        "\n"
        "# Router 1 : homarr\n"
        "traefik.http.routers.homarr.entrypoints=websecure\n"
        "traefik.http.routers.homarr.rule=Host(`home.example.test`)\n"
        "traefik.http.routers.homarr.service=homelab-traefik\n"
        "traefik.http.routers.homarr.tls=true\n"
        "traefik.http.routers.homarr.tls.certresolver=letsencrypt\n"
        "\n"
        "# Router 2 : miniflux\n"
        "traefik.http.routers.miniflux.entrypoints=websecure\n"
        "traefik.http.routers.miniflux.rule=Host(`home.example.test`) && PathPrefix(`/miniflux`)\n"
        "traefik.http.routers.miniflux.service=homelab-traefik\n"
        "traefik.http.routers.miniflux.tls=true\n"
        "traefik.http.routers.miniflux.tls.certresolver=letsencrypt\n"
        "\n"
        "# Service : homelab-traefik\n"
        "traefik.http.services.homelab-traefik.loadbalancer.server.port=8080\n"
        "traefik.http.services.homelab-traefik.loadbalancer.server.scheme=http\n"
    )


def test_routers_are_ordered_by_name_and_not_by_line() -> None:
    """As texts, ``app-2.`` stands before ``app.``."""
    labels = transform(parse([application("app-2"), application("app"), application("App10")]), TransformArgs()).labels
    heads = [line for line in render(labels).splitlines() if line.startswith("#")]
    assert heads == ["# Router 1 : app", "# Router 2 : app-2", "# Router 3 : app10", "# Service : homelab-traefik"]


def test_tls_stands_before_its_options() -> None:
    lines = render(LABELS).splitlines()
    assert lines.index("traefik.http.routers.homarr.tls=true") < lines.index(
        "traefik.http.routers.homarr.tls.certresolver=letsencrypt"
    )


def test_no_line_ends_in_a_blank_and_all_in_lf() -> None:
    text = render(LABELS)
    assert all(line == line.rstrip() for line in text.split("\n"))
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\r" not in text


@pytest.mark.parametrize("name", ["traefik", "straße", "a" * 60])
def test_no_comment_can_be_read_as_a_label(name: str) -> None:
    labels = transform(parse([application(name)]), TransformArgs()).labels
    comments = [line for line in merge(HUMAN, render_block(labels), "vm-7").split("\n") if "=" not in line]
    assert all(" traefik." not in line and not line.startswith("traefik") for line in comments)
    assert all(line.isascii() for line in comments)


def test_comments_and_empty_lines_are_no_labels() -> None:
    assert tuple(read_labels(render(LABELS))) == LABELS
    assert tuple(read_labels(BLOCK.replace("\n", "\r\n"))) == LABELS
    assert read_labels("# a=b\n\n```\nplain=1\n") == []


def test_without_labels_there_is_no_block() -> None:
    assert render([]) == render_block([]) == ""


def test_a_fence_is_optional() -> None:
    assert f"```\n{render(LABELS)}```\n" == BLOCK
    assert render_block(LABELS, fence=False) == render(LABELS)


# Merging (section 8.3)


def test_the_block_is_appended_after_one_empty_line() -> None:
    merged = merge(HUMAN, render_block(LABELS, fence=False), "vm-7")
    assert merged == f"{HUMAN}\n\n{BEGIN}\n{render(LABELS)}{END}"
    assert strip(merged, "vm-7") == HUMAN


def test_empty_notes_get_the_block_alone() -> None:
    assert merge("", BLOCK, "vm-7") == f"{BEGIN}\n{BLOCK}{END}"
    assert strip(merge("", BLOCK, "vm-7"), "vm-7") == ""


def test_only_what_is_between_the_markers_is_changed() -> None:
    merged = f"before\r\n{BEGIN}\nold\n{END}\r\nafter: 100 %\n- [x] done"
    assert merge(merged, BLOCK, "vm-7") == f"before\r\n{BEGIN}\n{BLOCK}{END}\r\nafter: 100 %\n- [x] done"
    assert strip(merged, "vm-7") == "before\r\nafter: 100 %\n- [x] done"


def test_a_block_that_was_moved_to_the_top_is_taken_out_with_its_line_end() -> None:
    assert strip(f"{BEGIN}\nx\n{END}\nnotes", "vm-7") == "notes"
    assert strip(f"{BEGIN}\nx\n{END}\r\nnotes", "vm-7") == "notes"


def test_the_other_mode_leaves_nothing_behind() -> None:
    first = update(HUMAN, LABELS, "vm-7").text
    other = transform(parse(example()), TransformArgs(mode="filter", strict_seed_filter=True)).labels
    second = update(first, other, "vm-7")
    assert tuple(extract(second.text, "vm-7")) == other
    assert "letsencrypt" not in second.text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"a\n{BEGIN}\nx", "line 2: the block vm-7 begins, but does not end"),
        (f"a\nb\n{END}", "line 3: the block vm-7 ends, but did not begin"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n{END}", "line 2: a block begins inside vm-7, which began in line 1"),
        (f"{BEGIN}\n{END}\n{BEGIN}\n{END}", "line 3: there is a second block vm-7"),
        (f"{BEGIN}\n{END.replace('vm-7', 'vm-8')}\n{END}", "line 2: the block vm-8 ends, but did not begin"),
        (f"{END}\n{BEGIN}", "line 1: the block vm-7 ends"),
    ],
    ids=["only begin", "only end", "nested", "two", "crossed", "reversed"],
)
def test_damaged_markers_change_nothing(text: str, problem: str) -> None:
    for change in (lambda: merge(text, BLOCK, "vm-7"), lambda: strip(text, "vm-7"), lambda: update(text, [], "vm-7")):
        with pytest.raises(NotesError, match=problem):
            change()


@pytest.mark.parametrize("name", ["", "a b", "traefik.x", "a-->", "x" * 64, "é"])
def test_a_block_needs_a_plain_name(name: str) -> None:
    with pytest.raises(NotesError, match="cannot name a block"):
        merge("", BLOCK, name)


def test_two_blocks_live_side_by_side() -> None:
    one = update(HUMAN, [("traefik.http.routers.a.rule", "Host(`a`)")], "one").text
    both = update(one, [("traefik.http.routers.b.rule", "Host(`b`)")], "two").text
    assert extract(both, "one") == [("traefik.http.routers.a.rule", "Host(`a`)")]
    assert strip(strip(both, "two"), "one") == HUMAN
    with pytest.raises(
        NotesError, match=r"another block has the same labels: line \d+ traefik\.http\.routers\.a\.rule"
    ):
        update(both, [("traefik.http.routers.a.rule", "x")], "two", adopt=Adopt.ALL)


# Loose lines (TPX-133)

LOOSE = 'note\ntraefik.enable=true\n"traefik.http.routers.old.rule": "Host(`old`)"\n  Traefik.Docker.Network = web\nend'


def test_label_lines_outside_the_block_are_refused_by_line_and_without_values() -> None:
    with pytest.raises(NotesError) as caught:
        update(LOOSE, LABELS, "vm-7")
    assert "line 2 traefik.enable, line 3 traefik.http.routers.old.rule, line 4 traefik.docker.network" in str(
        caught.value
    )
    assert "Host" not in str(caught.value)


def test_lines_that_the_block_replaces_can_be_adopted() -> None:
    lines = "note\ntraefik.enable=false\nend\r\n"
    done = update(lines, LABELS, "vm-7", adopt=Adopt.SAME)
    assert done.text == merge("note\nend\r\n", BLOCK, "vm-7")
    assert [line.number for line in done.adopted] == [2]
    with pytest.raises(NotesError, match="line 3"):
        update(LOOSE, LABELS, "vm-7", adopt=Adopt.SAME)


def test_all_can_be_adopted() -> None:
    done = update(LOOSE, LABELS, "vm-7", adopt=Adopt.ALL)
    assert strip(done.text, "vm-7") == "note\nend"
    assert len(done.adopted) == 3


def test_taking_the_block_out_never_asks_about_loose_lines() -> None:
    text = merge(LOOSE, BLOCK, "vm-7")
    assert update(text, [], "vm-7").text == LOOSE


@pytest.mark.parametrize(
    "line", ["see traefik.example.test for it", "traefik is fine", "use `traefik.enable=true`", "# traefik.enable=true"]
)
def test_sentences_are_no_label_lines(line: str) -> None:
    assert loose_lines(line, "vm-7") == []


# Limits, encoding, and what changed


def test_nothing_is_written_if_nothing_changed() -> None:
    once = update(HUMAN, LABELS, "vm-7")
    assert once.changed
    again = update(once.text + "\n", LABELS, "vm-7")
    assert (again.changed, again.added, again.removed) == (False, (), ())
    assert not update(once.text.replace("\n", "\r\n"), LABELS, "vm-7").changed


def test_the_change_is_told_label_by_label() -> None:
    text = update("", [("traefik.enable", "true"), ("traefik.http.routers.a.rule", "Host(`a`)")], "vm-7").text
    done = update(text, [("traefik.enable", "true"), ("traefik.http.routers.a.rule", "Host(`b`)")], "vm-7")
    assert done.added == (("traefik.http.routers.a.rule", "Host(`b`)"),)
    assert done.removed == (("traefik.http.routers.a.rule", "Host(`a`)"),)


def test_a_block_edited_by_hand_is_repaired() -> None:
    text = update(HUMAN, LABELS, "vm-7").text
    edited = text.replace("websecure", "web", 1).replace(HUMAN, "other words")
    repaired = update(edited, LABELS, "vm-7")
    assert repaired.text == text.replace(HUMAN, "other words")
    assert repaired.removed == (("traefik.http.routers.homarr.entrypoints", "web"),)


def test_line_ends_do_not_count() -> None:
    assert same_text("a\r\nb\n\n", "a\nb")
    assert not same_text("a\nb", "a\n\nb")


def test_the_limit_counts_characters_and_names_the_routers() -> None:
    assert update("ü" * (LIMIT - len(update("", LABELS, "vm-7").text) - 2), LABELS, "vm-7").changed
    with pytest.raises(NotesError, match=r"would have 8193 characters, and Proxmox VE stores 8192 .* of 2 routers"):
        update("ü" * (LIMIT - len(update("", LABELS, "vm-7").text) - 1), LABELS, "vm-7")


def test_about_two_dozen_routers_fit() -> None:
    def labels(count: int) -> tuple[tuple[str, str], ...]:
        boxes = (application(f"service{number:02}", f"Host(`service{number:02}.lab.test`)") for number in range(count))
        return transform(parse(boxes), TransformArgs()).labels

    assert update("", labels(23), "vm-7").changed
    with pytest.raises(NotesError, match="spread the services"):
        update("", labels(30), "vm-7")
    assert not update("x" * 9000, [], "vm-7").changed, "too long before, but not by us"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("traefik.a", "one\ntwo"),
        ("traefik.a", "one\rtwo"),
        ("traefik.a", "\0"),
        ("traefik.a", " x"),
        ("traefik.a", '"x"'),
        ("traefik.a b", "x"),
        ("traefik.a=b", "x"),
        ("plain", "x"),
    ],
)  # fmt: skip
def test_a_label_that_a_line_cannot_hold_is_refused(key: str, value: str) -> None:
    with pytest.raises(NotesError, match="these labels cannot be written"):
        update("", [(key, value)], "vm-7")


def test_special_characters_survive() -> None:
    rule = r"Host(`bücher.test`) && Query(`a`, `b=c%2F+d`) || HostRegexp(`^\w{2}:\d+$`)"
    labels = transform(parse([container("x", {"traefik.http.routers.x.rule": rule})]), TransformArgs()).labels
    assert dict(extract(update(HUMAN, labels, "vm-7").text, "vm-7"))["traefik.http.routers.x.rule"] == rule
