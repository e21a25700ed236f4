"""The arrows of the house: `__main__` -> `stacks` -> `components`; nothing below knows what is above it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HOUSE = {"stacks", "components", "policies", "toolchain", "sandbox", "cli", "tests", "bench", "__main__"}
MAY_IMPORT = {
    "__main__": {"stacks", "components"},
    "stacks": {"stacks", "components"},
    # A wheel of the components installs under another name, so they import each other relatively.
    "components": set[str](),
    "policies": {"policies", "components"},
    "toolchain": {"toolchain", "components"},
    "sandbox": {"sandbox", "toolchain"},
    "cli": {"toolchain", "sandbox", "cli", "stacks", "components", "policies"},
}
PURE_FILES = (
    *("args.py", "render.py", "render_*.py", "checks.py", "naming.py", "model.py", "platform.py", "app.py"),
    # The label model of the Traefik gateway.
    *("schema*.py", "labels.py", "routers.py", "passthrough.py", "keep_list.py", "transform.py", "streams.py"),
    *("plugin.py", "lint.py"),
)
PROVIDERS = ("pulumi", "pulumi_kubernetes", "pulumi_vault", "pulumi_postgresql", "pulumi_command", "pulumi_gcp")
OUTSIDE = (
    "os",
    "io",
    "socket",
    "subprocess",
    "urllib.request",
    "http",
    "httpx",
    "psycopg",
    "asyncssh",
    "time",
    "random",
    "shutil",
)
IMPURE = {*PROVIDERS, "pulumi_cloudflare", *OUTSIDE}


def imports(source: str) -> set[str]:
    """Every module a source imports absolutely, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return found


def sources(area: str) -> list[Path]:
    if area == "__main__":
        return [ROOT / "__main__.py"] if (ROOT / "__main__.py").exists() else []
    return sorted((ROOT / area).rglob("*.py"))


def wrong_way(area: str, source: str) -> set[str]:
    """The house's own packages that a file of `area` may not import but does."""
    return {name for name in imports(source) if name.partition(".")[0] in HOUSE - MAY_IMPORT[area]}


def escapes(area: str, file: Path, source: str) -> list[str]:
    """Relative imports that climb out of their area."""
    depth = len(file.relative_to(ROOT / area).parts)
    return [
        node.module or "."
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.level > depth
    ]


@pytest.mark.parametrize("area", sorted(MAY_IMPORT))
def test_no_file_imports_against_the_arrows(area: str) -> None:
    found = {
        str(file.relative_to(ROOT)): wrong
        for file in sources(area)
        if (wrong := wrong_way(area, file.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize("area", ["components", "stacks", "policies"])
def test_no_relative_import_leaves_its_area(area: str) -> None:
    found = {str(file): out for file in sources(area) if (out := escapes(area, file, file.read_text(encoding="utf-8")))}
    assert found == {}


def test_pure_modules_of_components_do_no_input_output() -> None:
    pure = [file for file in sources("components") if any(file.match(pattern) for pattern in PURE_FILES)]
    assert len(pure) >= len(PURE_FILES), "a renamed file must not silently leave this test"
    found = {
        str(file.relative_to(ROOT)): impure
        for file in pure
        if (impure := {name for name in imports(file.read_text(encoding="utf-8")) if {name, _package(name)} & IMPURE})
    }
    assert found == {}


def _package(module: str) -> str:
    return module.partition(".")[0]


def test_the_search_sees_a_wrong_import() -> None:
    """The test above can fail: a planted wrong import of each notation is found."""
    assert wrong_way("components", "import stacks.settings") == {"stacks.settings"}
    assert wrong_way("stacks", "def late() -> None:\n    from sandbox.endpoints import Endpoints") == {
        "sandbox.endpoints"
    }
    assert wrong_way("policies", "from stacks import settings") == {"stacks"}
    assert wrong_way("components", "from . import naming") == set()
    assert escapes("components", ROOT / "components" / "naming.py", "from ..stacks import settings") == ["stacks"]


def test_every_area_is_looked_at() -> None:
    """A renamed folder must not silently empty the tests above."""
    empty = [area for area in ("stacks", "components", "toolchain", "sandbox") if not sources(area)]
    assert empty == []
