"""A small Pulumi program on the real engine with the local plugins: `up`, `preview`, the state."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.engine_home import EngineHome, prepare
from toolchain.paths import ROOT

PASSPHRASE = "not-a-secret"
PLUGINS = ROOT / "toolchain" / "plugins"


@dataclass(frozen=True)
class Program:
    """A program in a folder of its own, with a file backend and one stack `dev`."""

    folder: Path
    home: EngineHome

    @classmethod
    def write(cls, folder: Path, source: str, *, plugins: Sequence[str] = ()) -> Program:
        """Write the program and make its stack; the project names ``plugins`` of ours, like `factory-host`, itself."""
        (folder / "state").mkdir(parents=True)
        providers = [{"name": name, "path": str(PLUGINS / name.replace("-", "_"))} for name in plugins]
        project = {
            "name": "plugins",
            "runtime": {"name": "python", "options": {"virtualenv": str(ROOT / ".venv")}},
            "plugins": {"providers": providers},
        }
        (folder / "Pulumi.yaml").write_text(json.dumps(project))
        (folder / "__main__.py").write_text(source, "utf-8")
        program = cls(folder, prepare(sandbox=True, report=lambda _: None))
        program.run("stack", "init", "dev")
        return program

    def run(self, *arguments: str, check: bool = True, values: Mapping[str, Any] | None = None) -> str:
        """Run `pulumi ARGUMENTS` and return what it printed; the program finds the values in `$VALUES` (JSON)."""
        done = subprocess.run(
            [str(self.home.pulumi), *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self._environment(values),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode:
            raise AssertionError(
                f"pulumi {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout if check else done.stdout + done.stderr

    def start(self, *arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.Popen[bytes]:
        """Start `pulumi ARGUMENTS` in a process group of its own, for tests that kill it; its output is `run.log`."""
        with (self.folder / "run.log").open("wb") as log:
            return subprocess.Popen(
                [str(self.home.pulumi), *arguments, "--non-interactive"],
                cwd=self.folder,
                env=self._environment(values),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self, values: Mapping[str, Any] | None) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "KUBECONFIG"))}
        return environment | {
            **self.home.environment,
            "PULUMI_BACKEND_URL": (self.folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_STACK": "dev",
            "VALUES": json.dumps(values or {}),
        }

    def up(self, **values: object) -> None:
        """Refresh and update, in one pass as `./factory up` does."""
        self.run("up", "--refresh", "--run-program", "--yes", "--skip-preview", values=values)

    def unchanged(self, **values: object) -> None:
        """Assert that a preview with refresh is empty."""
        self.run("preview", "--refresh", "--run-program", "--expect-no-changes", values=values)

    def steps(self, **values: object) -> dict[str, list[str]]:
        """Preview with refresh; what would be done to each resource: `{"web": ["update", "spec.replicas"]}`."""
        printed = self.run("preview", "--refresh", "--run-program", "--json", values=values)
        found: dict[str, list[str]] = {}
        for step in json.loads(printed[printed.index("{") :])["steps"]:
            if step["op"] not in {"same", "refresh", "read"} and not step["op"].endswith("-replacement"):
                name = step["urn"].rsplit("::", 1)[-1]
                found[name] = [step["op"], *sorted(step.get("detailedDiff") or {})]
        return found

    def state(self) -> str:
        """Return the state as it is stored."""
        return self.run("stack", "export")

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs."""
        found: dict[str, Any] = json.loads(self.run("stack", "output", "--json"))
        return found
