"""A copy of this checkout with stack files and a state directory of its own, used as a person would use it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from toolchain.paths import ROOT


@dataclass
class Project:
    """A checkout in a folder of its own. `environment` is what its user has set."""

    root: Path
    state: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def copy_to(cls, root: Path, state: Path) -> Project:
        """Copy what git tracks or would track; the virtual environment is shared."""
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            source = ROOT / name
            if source.is_file():
                target = root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        (root / ".venv").symlink_to(ROOT / ".venv")
        return cls(root, state)

    @classmethod
    def production(cls, folder: Path) -> Project:
        """A checkout with one production stack, `site`, that builds nothing; its state is in a folder."""
        project = cls.copy_to(folder / "checkout", folder / "data")
        shutil.copy(ROOT / "tests/fixtures/settings/accept/nothing-to-build/Pulumi.site.yaml", project.root)
        (folder / "states").mkdir()
        project.environment = {
            "PULUMI_BACKEND_URL": (folder / "states").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
            "PULUMI_HOME": str(folder / "pulumi"),
            "PULUMI_STACK": "site",
        }
        return project

    @property
    def variables(self) -> dict[str, str]:
        """The environment of this project's commands: nothing of Pulumi leaks in from the person who runs the tests."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "VAULT_", "PG"))
        }
        return inherited | {"FACTORY_STATE": str(self.state)} | self.environment

    def factory(
        self, *arguments: str, check: bool = True, timeout: float = 300, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `./factory ARGUMENTS` with `typed` on its input; with `check`, a failure shows what it printed."""
        done = subprocess.run(
            ["./factory", *arguments],
            cwd=self.root,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            input=typed,
        )
        if check and done.returncode:
            raise AssertionError(
                f"./factory {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Start `./factory ARGUMENTS` in a process group of its own, for tests that kill it."""
        with log.open("wb") as output:
            return subprocess.Popen(
                ["./factory", *arguments],
                cwd=self.root,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pulumi(
        self, stack: str, *arguments: str, check: bool = True, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a plain `pulumi` with the stack's environment."""
        return self.factory("pulumi", stack, "--", *arguments, check=check, typed=typed)

    def state_file(self, stack: str) -> Path:
        """Return the file that holds the stack's state."""
        declared = self.configuration(stack)["config"].get("factory:sandbox", {}).get("state_url")
        url = self.environment.get("PULUMI_BACKEND_URL") or declared or (self.state / "backend").as_uri()
        return Path(url.removeprefix("file://"), ".pulumi", "stacks", "factory", f"{stack}.json")

    def state_of(self, stack: str) -> dict[str, Any]:
        """Return the stack's state as it is stored: the deployment, which is empty before the first `up`."""
        stored: dict[str, Any] = json.loads(self.state_file(stack).read_text("utf-8"))
        return stored["checkpoint"].get("latest") or {}

    def resources(self, stack: str, *, decrypted: bool = False) -> dict[str, dict[str, Any]]:
        """Return the stack's resources by URN; `decrypted` has the engine show their secrets."""
        if decrypted:
            shown = self.pulumi(stack, "stack", "export", "--stack", stack, "--show-secrets").stdout
            deployment = json.loads(shown)["deployment"]
        else:
            deployment = self.state_of(stack)
        return {resource["urn"]: resource for resource in deployment.get("resources") or []}

    def remove(self, stack: str) -> None:
        """Forget a stack whose resources are gone."""
        self.pulumi(stack, "stack", "rm", "--yes", "--preserve-config", "--stack", stack)

    def stack_file(self, name: str) -> Path:
        """Return the path of a stack's file."""
        return self.root / f"Pulumi.{name}.yaml"

    def configuration(self, name: str) -> dict[str, Any]:
        """Read a stack's file."""
        document: dict[str, Any] = yaml.safe_load(self.stack_file(name).read_text("utf-8"))
        return document

    def configure(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a stack's file."""
        self.stack_file(name).write_text(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True), "utf-8")


def preview_steps(project: Project, stack: str, *options: str) -> list[dict[str, Any]]:
    """Preview with refresh and return the planned changes, with `op`, `urn` and `detailedDiff`."""
    shown = project.factory("preview", "--stack", stack, "--json", *options)
    steps: Sequence[dict[str, Any]] = json.loads(shown.stdout[shown.stdout.index("{") :])["steps"]
    return [step for step in steps if step["op"] not in {"same", "read", "refresh"}]
