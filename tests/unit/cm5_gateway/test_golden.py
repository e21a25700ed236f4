"""Every document and file of a gateway, word for word.

After a wanted change: `FACTORY_UPDATE_GOLDEN=1 pytest tests/unit/cm5_gateway/test_golden.py`, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from components.cm5_gateway import Gateway
from components.cm5_gateway.formats import script, yaml_text
from components.cm5_gateway.render import roles
from components.cm5_gateway.role import Role
from tests.support.gateway import SECRETS, classic, gateway_args

GOLDEN = Path(__file__).parent / "golden"
PROFILES = {"gateway": gateway_args, "classic": classic}
OWN_PROGRAMS = ("nvme_disk.py", "templates/local-ca.sh")


def shown(role: Role) -> dict[str, Any]:
    """A role as a reader wants it: our own programs by name, secret files with their text."""
    document = role.desired.document()
    texts = {script(name): f"<{name}>" for name in OWN_PROGRAMS}
    for kind, field in (("files", "content"), ("steps", "stdin")):
        for item in document.get(kind, {}).values():
            if item.get(field) in texts:
                item[field] = texts[item[field]]
    for path, file in role.secret_files.items():
        document["files"][path]["content"] = file.text(SECRETS)
    return {"after": list(role.after), "protect": role.protect, "document": document}


@pytest.mark.parametrize("profile", PROFILES)
def test_each_role_is_the_one_on_record(profile: str) -> None:
    texts = {f"{name}.yaml": yaml_text(shown(role)) for name, role in roles(Gateway.of(PROFILES[profile]())).items()}
    directory = GOLDEN / profile
    if os.environ.get("FACTORY_UPDATE_GOLDEN"):
        directory.mkdir(parents=True, exist_ok=True)
        for file in directory.glob("*.yaml"):
            file.unlink()
        for name, text in texts.items():
            (directory / name).write_text(text, encoding="utf-8")
    assert {file.name: file.read_text(encoding="utf-8") for file in sorted(directory.glob("*.yaml"))} == texts
