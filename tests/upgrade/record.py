"""Write the entry of this release: `python -m tests.upgrade.record`, after `./factory up` of the sandbox stack."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from toolchain.paths import ROOT, state_dir

STACK = "sandbox"
STATES = Path(__file__).with_name("states")


def record() -> Path:
    """Export the state that `./factory up` left and return the entry's folder."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    command = ["./factory", "pulumi", STACK, "--", "stack", "export", "--stack", STACK]
    exported = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    folder = STATES / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(json.loads(exported), separators=(",", ":"), sort_keys=True).replace(
        str(state_dir()), "/var/lib/factory"
    )
    # The sandbox's host runs the agent with the interpreter that runs the sandbox.
    text = text.replace(str(Path(sys.executable).resolve()), "/usr/bin/python3")
    (folder / "state.json").write_text(text + "\n", "utf-8")
    shutil.copy2(ROOT / f"Pulumi.{STACK}.yaml", folder)
    return folder


if __name__ == "__main__":
    print(f"wrote {record().relative_to(ROOT)}")
