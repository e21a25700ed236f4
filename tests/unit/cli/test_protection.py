"""What an `up` refuses before the engine starts, because the stack file lost a part that owns protected data."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.errors import CommandError
from cli.protection import refuse_leaving
from stacks.settings.schema import Settings
from stacks.settings.sections import SECTIONS

STACK = "home"


def settings(**sections: Any) -> Settings:
    absent = dict.fromkeys(SECTIONS) | {"apps": {}, "hosts": {}}
    return cast("Settings", SimpleNamespace(**(absent | sections)))


def resource(owner: str, kind: str, name: str, *, protect: bool = True) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:{STACK}::factory::{owner}${kind}::{name}", "protect": protect}


DATABASE = resource("factory:app:AppStack$factory:app:AppDatabase", "postgresql:index/database:Database", "shop-data")
DISK = resource("factory:cm5:CM5Gateway", "factory-host:index:HostState", "cm5.nvme")
POD = resource("factory:app:AppStack", "kubernetes:apps/v1:Deployment", "shop", protect=False)
MOUNT = resource("factory:vault:VaultFoundation", "vault:index/mount:Mount", "vault-kv2")
STATE = [DATABASE, DISK, POD, MOUNT]
WHOLE = {"apps": {"shop": None}, "cm5_gateway": object(), "vault_foundation": object()}


def test_what_the_file_still_has_is_left_to_the_engine() -> None:
    refuse_leaving(STATE, STACK, settings(**WHOLE), [])
    refuse_leaving([POD], STACK, settings(), [])


@pytest.mark.parametrize(
    ("lost", "kept"), [("apps", "shop-data"), ("cm5_gateway", "cm5.nvme"), ("vault_foundation", "vault-kv2")]
)
def test_protected_data_of_a_lost_part_stops_the_run(lost: str, kept: str) -> None:
    """PG-21, APP-39, CM5-261."""
    present = {name: value for name, value in WHOLE.items() if name != lost}
    with pytest.raises(CommandError, match="so nothing was changed") as refused:
        refuse_leaving(STATE, STACK, settings(**present), [])
    named = str(refused.value).partition("nothing was changed: ")[2].partition("; put it back")[0]
    assert named.endswith(f"::{kept}")
    assert "," not in named


def test_another_application_does_not_stand_for_the_lost_one() -> None:
    with pytest.raises(CommandError, match="shop-data"):
        refuse_leaving([DATABASE], STACK, settings(apps={"books": None}), [])


def test_a_run_that_a_person_narrowed_down_is_his_own() -> None:
    refuse_leaving(STATE, STACK, settings(), ["--target=urn:pulumi:home::factory::x"])
