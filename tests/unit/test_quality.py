"""The whole tree keeps the rules of pyproject.toml, and an exception from them is narrow and says why."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import toolchain

ROOT = Path(__file__).resolve().parents[2]
TEXTS = (".py", ".sh", ".md", ".toml", ".yaml", ".yml", ".txt", ".go", ".mod", "")
# What a program's author leaves behind: folders of a person's or a build machine's own, and package mirrors.
MACHINE_PATH = re.compile(r"(?<![\w.$}/])/(?:root|work|home/(?!op/|cabin/|sandbox\b)[a-z]\w*|Users/\w+)/")
PACKAGE_HOST = re.compile(r"(?:index-url|GOPROXY|registry)\s*[=:]\s*[\"']?https?://", re.IGNORECASE)
BARE_NOQA = re.compile(r"#\s*noqa(?!:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*\s+(?:-\s+)?[(`\w])")
BARE_IGNORE = re.compile(r"#\s*type:\s*ignore(?!\[[a-z-]+(?:,\s*[a-z-]+)*\])")


def tracked() -> list[Path]:
    """Every file that is committed, or would be."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    files = [ROOT / name for name in filter(None, listed.split("\0"))]
    return [file for file in files if file.is_file() and file != Path(__file__)]


def lines_with(pattern: re.Pattern[str], files: Sequence[Path]) -> Iterator[str]:
    for file in files:
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            if pattern.search(line):
                yield f"{file.relative_to(ROOT)}:{number}: {line.strip()}"


@pytest.fixture(scope="module")
def texts() -> list[Path]:
    return [file for file in tracked() if file.suffix in TEXTS and file.name not in {"go.sum", "requirements.lock"}]


@pytest.mark.parametrize(
    "tool",
    [["ruff", "check", "--quiet"], ["ruff", "format", "--check", "--quiet"], ["mypy", "--no-error-summary"]],
    ids=lambda tool: " ".join(tool[:2]),
)
def test_the_whole_tree_passes(tool: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_go_files_are_formatted(texts: list[Path]) -> None:
    sources = [file for file in texts if file.suffix == ".go"]
    assert sources
    go = toolchain.locate("go")
    gofmt = shutil.which("gofmt") or (shutil.which("gofmt", path=go.path.parent) if go else None)
    if gofmt is None:
        pytest.skip("no Go on this machine, and none in the cache")
    assert subprocess.run([gofmt, "-l", *sources], capture_output=True, text=True, check=True).stdout == ""


def test_each_go_module_has_its_sums(texts: list[Path]) -> None:
    modules = [file for file in texts if file.name == "go.mod"]
    assert len(modules) >= 5
    for module in modules:
        sums = module.with_name("go.sum").read_text("utf-8")
        required = re.findall(r"^\s+(\S+) (v\S+)", module.read_text("utf-8").split("\nreplace")[0], re.MULTILINE)
        assert required, module
        missing = [name for name, _ in required if f"{name} v" not in sums and f"\t{name} =>" not in module.read_text()]
        replaced = set(re.findall(r"^(?:replace|\t)?\s*(\S+)(?: v\S+)? =>", module.read_text("utf-8"), re.MULTILINE))
        assert set(missing) <= replaced, module


def test_no_file_names_a_machine(texts: list[Path]) -> None:
    # The described lab's graph has the paths of its machines, as its stack file gives them.
    ours = [file for file in texts if file.name != "lab.yaml"]
    assert list(lines_with(MACHINE_PATH, ours)) == []
    assert list(lines_with(PACKAGE_HOST, texts)) == []


def test_each_exception_is_narrow(texts: list[Path]) -> None:
    sources = [file for file in texts if file.suffix == ".py"]
    assert list(lines_with(BARE_NOQA, sources)) == []
    assert list(lines_with(BARE_IGNORE, sources)) == []


def test_the_search_sees_what_it_looks_for() -> None:
    """The tests above can fail: each mistake planted here is found, and its right form is not."""
    for line in ("cd /root/x", "open('/home/somebody/x')", "see /work/any/x", "/Users/me/x"):
        assert MACHINE_PATH.search(line), line
    for line in ("$HOME/.cache", "apps/home/x", "$here/root/usr", "https://example.test/root/x", "file:///home/op/x"):
        assert not MACHINE_PATH.search(line), line
    assert PACKAGE_HOST.search("index-url = https://mirror.example.test/simple")
    for line in ("x  # noqa", "x  # noqa: S101", "x  # noqa: S101, S102 -"):
        assert BARE_NOQA.search(line), line
    for line in ("x  # noqa: S101 - asserts are the point", "x  # noqa: S101, S102 both are the point"):
        assert not BARE_NOQA.search(line), line
    assert BARE_IGNORE.search("x  # type: ignore")
    assert not BARE_IGNORE.search("x  # type: ignore[arg-type]")
