"""The arrows of the house: `__main__` -> `stacks` -> `components`; nothing below knows what is above it."""

import ast
from functools import cache
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
# What a component is asked for, renders, checks and decides, and what the policies judge by.
PURE = (
    *(f"components/{name}.py" for name in ("model", "naming", "scram", "written_addresses")),
    *(f"components/**/{name}.py" for name in ("args*", "checks", "render*")),
    *(f"components/app_stack/{name}.py" for name in ("app", "platform")),
    *(f"components/cm5_gateway/{name}.py" for name in ("gateway", "listeners", "preconditions", "role")),
    *(f"components/host/{name}.py" for name in ("claims", "command", "public_key", "remote_host", "summary")),
    *(f"components/host/agent/{name}.py" for name in ("digest", "edit_*", "json_text", "rendering")),
    *(f"components/longhorn/flow/{name}.py" for name in ("decide_*", "diagnosis", "interfaces", "inventory")),
    *(f"components/longhorn/recovery/{name}.py" for name in ("findings", "image_*", "nearest", "ranking")),
    # The label model of the Traefik gateway.
    *(f"components/traefik_gateway/{name}.py" for name in ("keep_list", "labels", "lint", "notes", "passthrough")),
    *(f"components/traefik_gateway/{name}.py" for name in ("plugin", "routers", "schema*", "streams", "transform")),
    *(f"policies/{name}.py" for name in ("facts", "kubeconfig", "pack_config", "production", "rules/*", "view")),
)
UNCONNECTED = ("policies/**/*.py", "components/longhorn/recovery/**/*.py")
PROVIDERS = ("pulumi", "pulumi_kubernetes", "pulumi_vault", "pulumi_postgresql", "pulumi_command", "pulumi_gcp")
CONNECTIONS = {
    *("asyncio", "asyncssh", "ftplib", "grpc", "http", "httpx", "kubernetes", "proxmoxer", "psycopg", "requests"),
    *("smtplib", "socket", "socketserver", "urllib.request", "urllib3", "websocket", "xmlrpc"),
}
"""What opens one. Nothing of the house runs over a connection without one of these."""
IMPURE = {
    *PROVIDERS,
    *("pulumi_cloudflare", "pulumi_policy"),
    *CONNECTIONS,
    *("io", "os", "random", "secrets", "shutil", "subprocess", "tempfile", "time"),
}


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


def module(file: Path) -> str:
    """The name under which a file is imported."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def house() -> dict[str, Path]:
    """The file of each module of the house."""
    return {module(file): file for area in MAY_IMPORT for file in sources(area)}


@cache
def names(file: Path) -> frozenset[str]:
    """What a file imports, absolutely and relatively: modules, or names with the module before them."""
    package = file.relative_to(ROOT).parent.parts
    source = file.read_text(encoding="utf-8")
    found = imports(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else ()
            found |= {".".join((*start, *filter(None, [node.module]), alias.name)) for alias in node.names}
            found |= {".".join((*start, node.module))} if node.level and node.module else set()
    return frozenset(found)


def reached(file: Path, forbidden: set[str]) -> list[str]:
    """The forbidden modules that a file imports, itself or by way of other modules of the house."""
    found, seen, ahead = set(), {file}, [file]
    while ahead:
        here = ahead.pop()
        for name in names(here):
            if name in house():
                ahead += {house()[name]} - seen
                seen.add(house()[name])
            elif name in forbidden or _package(name) in forbidden:
                found.add(f"{name} in {here.relative_to(ROOT)}")
    return sorted(found)


@pytest.mark.parametrize("pattern", PURE)
def test_pure_modules_do_no_input_output(pattern: str) -> None:
    files = sorted(ROOT.glob(pattern))
    assert files, "a renamed file must not silently leave this test"
    assert {str(file.relative_to(ROOT)): wrong for file in files if (wrong := reached(file, IMPURE))} == {}


@pytest.mark.parametrize("pattern", UNCONNECTED)
def test_policies_and_the_recovery_open_no_connection(pattern: str) -> None:
    files = sorted(ROOT.glob(pattern))
    assert files, "a renamed folder must not silently leave this test"
    assert {str(file.relative_to(ROOT)): wrong for file in files if (wrong := reached(file, CONNECTIONS))} == {}


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


def test_the_search_sees_what_is_reached_by_a_detour() -> None:
    opening, cluster = (ROOT / "components/longhorn/flow" / name for name in ("opening.py", "kubernetes_cluster.py"))
    assert "kubernetes" not in imports(opening.read_text("utf-8"))
    assert f"kubernetes in {cluster.relative_to(ROOT)}" in reached(opening, CONNECTIONS)


def test_every_area_is_looked_at() -> None:
    """A renamed folder must not silently empty the tests above."""
    assert [area for area in MAY_IMPORT if not sources(area)] == []
