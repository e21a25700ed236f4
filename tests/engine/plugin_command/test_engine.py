"""The plugin on the real engine: a command's life, secrets, the function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.plugin_program import Program

pytestmark = pytest.mark.engine

PROGRAM = """
import json, os, pulumi
import pulumi_command as command

given = json.loads(os.environ["VALUES"])
opts = pulumi.ResourceOptions(provider=command.Provider("p"))
plain = command.local.Command(
    "plain", create=given["create"], delete=f"touch {given['gone']}", triggers=given.get("triggers"), opts=opts
)
hidden = command.local.Command(
    "hidden", create="echo $TOKEN; cat", stdin=plain.stdout,
    environment={"TOKEN": pulumi.Output.secret(given["token"])}, opts=opts,
)
now = command.local.run_output(
    command="echo now", opts=pulumi.InvokeOutputOptions(provider=opts.provider, depends_on=[plain])
)
pulumi.export("plain", plain.stdout)
pulumi.export("hidden", hidden.stdout)
pulumi.export("now", now.stdout)
"""


def test_a_life(tmp_path: Path) -> None:
    program = Program.write(tmp_path / "project", PROGRAM)
    values: dict[str, Any] = {
        "create": "echo one",
        "token": "k4nary-of-a-command",
        "gone": str(tmp_path / "gone"),
        "triggers": ["one"],
    }
    program.up(**values)
    assert program.outputs() == {"plain": "one", "hidden": "[secret]", "now": "now"}
    assert values["token"] not in program.state()
    assert "stackTrace" not in program.state()
    program.unchanged(**values)

    values["create"] = "echo two"
    assert program.steps(**values)["plain"] == ["update", "create"]
    program.up(**values)
    assert program.outputs()["plain"] == "two"

    triggered = {**values, "triggers": ["two"]}
    assert program.steps(**triggered)["plain"][0] == "replace"
    program.up(**triggered)
    assert (tmp_path / "gone").exists()

    failing = program.run(
        "up", "--yes", "--skip-preview", check=False, values={**triggered, "create": "echo no >&2; exit 5"}
    )
    assert "the command ended with exit status 5: no" in failing
    assert "Traceback" not in failing
    program.run("destroy", "--yes", "--skip-preview", "--run-program=false")
