"""The page of all routes: complete, escaped, without scripts, and shown by a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from components.traefik_gateway import TransformArgs, parse, transform, update
from components.traefik_gateway.lint import Prediction, predict
from components.traefik_gateway.plugin import Guest
from components.traefik_gateway.render_page import routes_page
from tests.support.labels import example

VOID = {"meta", "br"}
EVIL = "<script>alert(1)</script>\"'&"


class Reader(HTMLParser):
    """Checks that each element is closed, and collects what a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def sample() -> Prediction:
    labels = transform(parse(example()), TransformArgs()).labels
    sound = Guest("home", 101, "pve-a", update("", labels, "vm-101").text, ("10.0.0.1",))
    wrong = Guest("old", 102, "pve-a", "traefik.enable=true\ntraefik.http.routers.wiki.rule=Host(`wiki.example.test`)")
    return predict([sound, wrong])


def test_every_route_and_every_finding_is_on_the_page() -> None:
    prediction = sample()
    reader = read(routes_page(prediction, "Routes"))
    text = re.sub(r"\s+", " ", reader.text)
    for router in prediction.routers:
        assert router.name in text
        assert router.rule in text
    for finding in prediction.findings:
        assert finding.message in text
    assert reader.seen.count("section") == 2
    assert reader.links == [
        "https://home.example.test/",
        "https://home.example.test/miniflux",
        "http://wiki.example.test/",
    ]
    assert "2 guests, 3 routes, 0 errors" in text


def test_it_needs_no_script_and_nothing_from_elsewhere() -> None:
    page = routes_page(sample(), "Routes")
    assert "script" not in read(page).seen
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(|<link|<img", page)


def test_texts_of_labels_stay_texts() -> None:
    notes = f"traefik.enable=true\ntraefik.http.routers.{EVIL}.rule=Host(`{EVIL}`)"
    reader = read(routes_page(predict([Guest(EVIL, 1, "n", notes)]), EVIL))
    assert "script" not in reader.seen
    assert EVIL in reader.text
    assert all(link.startswith(("http://", "https://")) for link in reader.links)


def test_no_guest_is_said() -> None:
    assert "No guest publishes anything." in read(routes_page(predict([]), "Routes")).text


@pytest.mark.long
def test_a_browser_shows_it(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium")
    page, picture = tmp_path / "routes.html", tmp_path / "routes.png"
    page.write_text(routes_page(sample(), "Routes"), "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,900"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", page.as_uri()]
    subprocess.run([browser, *flags], check=True, capture_output=True, timeout=60)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000, "an empty page is smaller"
