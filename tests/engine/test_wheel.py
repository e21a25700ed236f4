"""The components as a library: the wheel alone, in an environment of its own, in somebody else's program.

The program is the README's example, taken from the README.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.endpoints import Endpoints
from tests.support.identities import operator
from tests.support.project import Project
from toolchain.engine_home import prepare
from toolchain.paths import ROOT

pytestmark = pytest.mark.engine

LONG = pytest.mark.long
MOUNTS = ("team-secrets/", "team-databases/", "team-keys/")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what git tracks."""
    folder = tmp_path_factory.mktemp("wheel")
    project = Project.copy_to(folder / "checkout", folder / "state")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)], project.root)
    (built,) = folder.glob("*.whl")
    return built


MODULES = {"pyyaml": "yaml", "websocket_client": "websocket"}
"""Distributions whose module has another name."""
PROVIDER_ONLY = {"pulumi_kubernetes"}
"""The components register this package's types by name; whoever calls them makes its provider."""


@dataclass(frozen=True)
class ForeignProgram:
    """A Pulumi project that knows the wheel and nothing of this checkout."""

    root: Path
    pulumi: Path
    variables: dict[str, str]

    def run(self, *arguments: str) -> str:
        """Run `pulumi ARGUMENTS`."""
        return run([str(self.pulumi), *arguments], self.root, self.variables)


@pytest.fixture(scope="module", params=["dependencies of the tests", pytest.param("dependencies", marks=LONG)])
def program(
    wheel: Path, sandbox: Endpoints, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> ForeignProgram:
    """The README's example, its environment, and a state of its own."""
    root = tmp_path_factory.mktemp("foreign")
    venv.create(root / "venv", symlinks=True)
    python = root / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", f"--python={python}", "install", str(wheel)]
    if request.param == "dependencies":
        run(install, root)  # from wherever pip is told to look
    else:
        run([*install, "--no-deps", "--no-index"], root)
        site = Path(run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], root).strip())
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    (root / "__main__.py").write_text(readme_example(), "utf-8")
    settings = {"name": "foreign", "runtime": {"name": "python", "options": {"virtualenv": "venv"}}}
    (root / "Pulumi.yaml").write_text(json.dumps(settings), "utf-8")
    (root / "ca.pem").write_text(sandbox.vault.ca_cert_pem, "utf-8")
    (root / "state").mkdir()
    home = prepare(sandbox=True, report=print)
    backend = {"PULUMI_BACKEND_URL": (root / "state").as_uri(), "PULUMI_CONFIG_PASSPHRASE": "of the foreign program"}
    found = ForeignProgram(root, home.pulumi, home.environment | backend)
    found.run("stack", "init", "dev")
    for name, value in (("vault", sandbox.vault.address), ("ca", str(root / "ca.pem"))):
        found.run("config", "set", name, value)
    found.run("config", "set", "--secret", "token", sandbox.vault.root_token)
    return found


def test_it_holds_the_components_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        content = b"".join(archive.read(name) for name in names).decode()
    tracked = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "components"], ROOT).split()
    expected = {name.replace("components/", "factory_homelab/", 1) for name in tracked if not name.endswith(".toml")}
    assert set(names) == expected
    assert "factory_homelab/py.typed" in names
    assert not re.search(
        r"^\s*(from|import) (components|stacks|cli|toolchain|sandbox|policies)\b", content, re.MULTILINE
    )


def test_it_asks_for_what_the_components_import_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    asked = {
        line.removeprefix("Requires-Dist: ") for line in lines if "Requires-Dist" in line and "extra ==" not in line
    }
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert asked == set(declared)
    imported = {name for file in (ROOT / "components").rglob("*.py") for name in imports(file)}
    # pydantic brings its core in exactly its own version.
    needed = (imported - sys.stdlib_module_names - {"pydantic_core"}) | PROVIDER_ONLY
    names = {re.split(r"[\[=><]", name)[0].replace("-", "_") for name in declared}
    assert needed == {MODULES.get(name, name) for name in names}


def test_the_example_of_the_readme_runs_with_it(program: ForeignProgram, sandbox: Endpoints) -> None:
    location = "import factory_homelab; print(factory_homelab.__file__)"
    assert run([str(program.root / "venv" / "bin" / "python"), "-c", location], program.root).startswith(
        str(program.root)
    )
    program.run("up", "--yes", "--skip-preview")
    mounts = operator(sandbox).read("sys/mounts")["data"]
    assert set(MOUNTS) <= mounts.keys()
    assert json.loads(program.run("stack", "output", "--json"))["mounts"]["kv2"] == "team-secrets"
    program.run("preview", "--refresh", "--expect-no-changes")
    program.run("state", "unprotect", "--all", "--yes")
    program.run("destroy", "--yes", "--skip-preview")
    assert not set(MOUNTS) & operator(sandbox).read("sys/mounts")["data"].keys()


def imports(file: Path) -> Iterator[str]:
    """Yield the top-level package of each absolute import of a file."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def readme_example() -> str:
    """Return the one Python program of the README."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert "factory_homelab" in example
    return str(example)


def run(command: Sequence[str], folder: Path, variables: dict[str, str] | None = None) -> str:
    """Run a command in a folder; its output is in the failure."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PULUMI_", "VAULT_", "PYTHONPATH", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        command, cwd=folder, env=inherited | (variables or {}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command[0]} {' '.join(command[1:3])}\n{done.stdout}\n{done.stderr}"
    return done.stdout
