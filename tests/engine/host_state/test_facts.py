"""Facts of a host through the real engine: a preview already asks, and a wrong answer ends the run before anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.host_state.conftest import Machine

pytestmark = pytest.mark.engine

_DECLARED = "for role, desired"
_FACTS = """from components.host import HostFacts
from components.host.checks import HostCheck
asked = HostFacts(
    "facts", RemoteHost.model_validate(given["host"]),
    {"name": HostCheck(command=("cat", given["file"]), contains="right", likely_cause="write the right name")},
    credentials=Credentials(**given["credentials"]), opts=pulumi.ResourceOptions(provider=provider),
)
pulumi.export("found", asked.found)
"""


def test_a_life(machine: Machine, tmp_path: Path) -> None:
    main = machine.program.folder / "__main__.py"
    main.write_text(main.read_text().replace(_DECLARED, f"{_FACTS}{_DECLARED}", 1))
    file = tmp_path / "name"
    values: dict[str, Any] = machine.values(base={"files": {"/etc/a": {"content": "a\n"}}}) | {"file": str(file)}

    file.write_text("wrong\n")
    said = machine.failing("preview", values=values)
    assert "127.0.0.1" in said
    assert "write the right name (found: exit status 0, 'wrong')" in said

    file.write_text("right one\n")
    machine.program.up(**values)
    assert machine.program.outputs()["found"] == {"name": "right one"}
    machine.program.unchanged(**values)

    file.write_text("right two\n")
    assert machine.program.steps(**values) == {"facts": ["update", "found.name"]}

    # A silent host: its last facts, and a warning. (The roles' own refresh would refuse it.)
    away = values | {"host": values["host"] | {"port": 1}, "roles": {}}
    assert "the last known facts are used" in machine.program.run("preview", values=away)
