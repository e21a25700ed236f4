"""What is refused before the engine starts: lost protected data, foundations that are missing or still in use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.errors import CommandError
from cli.protection import going, refuse_before_foundations, refuse_leaving, refuse_protected, refuse_under_others
from components.app_stack.args import AppStackArgs, Mode
from components.app_stack.platform import PlatformArgs
from components.services.vault.args import VaultFoundationArgs
from stacks.settings.schema import Settings
from stacks.settings.sections import SECTIONS, targets

STACK = "home"
PLATFORM = PlatformArgs.model_validate(
    {
        "organization": "example",
        "forge_url": "https://forge.example.test",
        "registry": "registry.example.test",
        "storage_class": "local-path",
        "exposure": {},
        "vault": {"address": "https://vault.example.test"},
        "postgres": {"host": "db.example.test", "pooler": {"host": "pooler.tools", "namespace": "tools"}},
    }
)
SHOP = AppStackArgs.model_validate({"volumes": [{"name": "photos", "size": "1Gi", "mount_path": "/photos"}]})


def settings(**sections: Any) -> Settings:
    absent = dict.fromkeys(SECTIONS) | {"apps": {}, "hosts": {}, "platform": PLATFORM}
    return cast("Settings", SimpleNamespace(**(absent | sections)))


def resource(owner: str, kind: str, name: str, *, protect: bool = True) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:{STACK}::factory::{owner}${kind}::{name}", "protect": protect}


APP = "factory:app:AppStack$factory:app:AppDatabase"
DATABASE = resource(APP, "postgresql:index/database:Database", "shop-database")
OWNER = resource(APP, "postgresql:index/role:Role", "shop-owner")
CONFIG = resource("factory:app:AppStack$factory:app:AppSecrets", "vault:kv/secretV2:SecretV2", "shop-config")
PLACE = "factory:app:AppStack$factory:app:AppNamespace"
NAMESPACE = resource(PLACE, "kubernetes:core/v1:Namespace", "shop")
PHOTOS = resource(PLACE, "kubernetes:core/v1:PersistentVolumeClaim", "shop-photos")
POD = resource("factory:app:AppStack", "kubernetes:apps/v1:Deployment", "shop", protect=False)
DISK = resource("factory:cm5:CM5Gateway", "factory-host:index:HostState", "cm5.nvme")
DATA = resource("factory:cm5:CM5Gateway", "factory-host:index:HostState", "cm5.data")
OLD_SECRETS = resource("factory:vault:VaultFoundation", "vault:index/mount:Mount", "vault-kv1")
STATE = [DATABASE, OWNER, CONFIG, NAMESPACE, PHOTOS, POD, DISK, DATA, OLD_SECRETS]
WHOLE = {
    "apps": {"shop": SHOP},
    "cm5_gateway": SimpleNamespace(storage=SimpleNamespace(bind_mounts=True), local_ca=None),
    "vault_foundation": VaultFoundationArgs(),
}
APPLICATION = {"shop-database", "shop-owner", "shop-config", "shop", "shop-photos"}


def refused(present: dict[str, Any], *, only: str | None = None) -> set[str]:
    """Return the names that the refusal gives."""
    with pytest.raises(CommandError, match="so nothing was changed") as caught:
        refuse_leaving(STATE, STACK, settings(**present), [], only=only)
    named = str(caught.value).partition("nothing was changed: ")[2].partition("; put it back")[0]
    return {each.partition(" (of ")[0].rpartition("::")[2] for each in named.split(", ")}


def test_what_the_file_still_has_is_left_to_the_engine() -> None:
    refuse_leaving(STATE, STACK, settings(**WHOLE), [])
    refuse_leaving([POD], STACK, settings(), [])


@pytest.mark.parametrize(
    ("lost", "kept"),
    [("apps", APPLICATION), ("cm5_gateway", {"cm5.nvme", "cm5.data"}), ("vault_foundation", {"vault-kv1"})],
)
def test_protected_data_of_a_lost_part_stops_the_run(lost: str, kept: set[str]) -> None:
    """PG-21, APP-39, CM5-261."""
    assert refused({name: value for name, value in WHOLE.items() if name != lost}) == kept


def test_another_application_does_not_stand_for_the_lost_one() -> None:
    assert refused(WHOLE | {"apps": {"books": SHOP}}) == APPLICATION


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        (
            AppStackArgs(mode=Mode.APPLICATION_ONLY, volumes=SHOP.volumes),
            {"shop-database", "shop-owner", "shop-config"},
        ),
        (AppStackArgs(mode=Mode.DATABASE_ONLY), {"shop", "shop-config", "shop-photos"}),
        (AppStackArgs(), {"shop-photos"}),
        # The protection would fall in the same run, and its backup would have nothing to read.
        (AppStackArgs(mode=Mode.APPLICATION_ONLY, decommission=True), APPLICATION - {"shop"}),
    ],
)
def test_a_declared_application_that_loses_data_stops_the_run(left: AppStackArgs, kept: set[str]) -> None:
    assert refused(WHOLE | {"apps": {"shop": left}}) == kept
    assert refused(WHOLE | {"apps": {"shop": left}}, only="apps.shop") == kept


def test_a_declared_section_that_loses_data_stops_the_run() -> None:
    assert refused(WHOLE | {"vault_foundation": VaultFoundationArgs(kv1=False)}) == {"vault-kv1"}
    unbound = SimpleNamespace(storage=SimpleNamespace(bind_mounts=False), local_ca=None)
    assert refused(WHOLE | {"cm5_gateway": unbound}) == {"cm5.data"}


def test_a_run_of_one_section_is_not_stopped_by_what_another_lost() -> None:
    present = WHOLE | {"vault_foundation": VaultFoundationArgs(kv1=False)}
    refuse_leaving(STATE, STACK, settings(**present), [], only="apps.shop")
    assert refused(present, only="vault_foundation") == {"vault-kv1"}


def test_what_lost_its_protection_may_leave() -> None:
    free = [one | {"protect": False} for one in STATE]
    refuse_leaving(free, STACK, settings(apps={"shop": AppStackArgs(mode=Mode.APPLICATION_ONLY)}), [])


def test_a_run_that_a_person_narrowed_down_is_his_own() -> None:
    for words in (["--target=urn:pulumi:home::factory::x"], ["--exclude-protected"]):
        refuse_leaving(STATE, STACK, settings(), words)
        refuse_protected(STATE, STACK, ["*"], words)


@pytest.mark.parametrize("word", ["--target-dependents", "--exclude-dependents"])
def test_what_narrows_nothing_by_itself_lifts_no_protection(word: str) -> None:
    with pytest.raises(CommandError, match="so nothing was changed"):
        refuse_leaving(STATE, STACK, settings(), [word])
    with pytest.raises(CommandError, match="so nothing was destroyed"):
        refuse_protected(STATE, STACK, ["*"], [word])


def foundation(section: str, *, complete: bool = True) -> dict[str, Any]:
    return {"type": SECTIONS[section], "outputs": {"mounts": {}} if complete else {}}


@pytest.mark.parametrize("only", ["apps", "apps.shop"])
def test_applications_alone_wait_for_the_declared_foundations(only: str) -> None:
    declared = settings(vault_foundation=object(), postgres_foundation=object())
    both = [foundation("vault_foundation"), foundation("postgres_foundation")]
    refuse_before_foundations(both, STACK, declared, only)
    half = [both[0], foundation("postgres_foundation", complete=False)]
    for there, missing in (([], ["postgres_foundation", "vault_foundation"]), (half, ["postgres_foundation"])):
        with pytest.raises(CommandError, match="nothing was changed") as caught:
            refuse_before_foundations(there, STACK, declared, only)
        assert f"{only} waits for {' and '.join(missing)}," in str(caught.value)
        assert all(f"`./factory up --stack {STACK} --only {section}`" in str(caught.value) for section in missing)
    refuse_before_foundations([], STACK, settings(), only)


@pytest.mark.parametrize("only", [None, "vault_foundation", "hosts"])
def test_nothing_else_waits_for_a_foundation(only: str | None) -> None:
    refuse_before_foundations([], STACK, settings(vault_foundation=object()), only)


def placed(kind: str, name: str, *, parent: str = "", needs: str = "", provider: str = "") -> dict[str, Any]:
    """A resource of a state where parents, dependencies and providers are named by their URNs."""
    above = f"{parent.split('::')[2]}$" if parent else ""
    link = {"provider": f"{provider}::an-id"} if provider else {}
    urn = f"urn:pulumi:{STACK}::factory::{above}{kind}::{name}"
    return {"urn": urn, "type": kind, "parent": parent, "dependencies": [needs] if needs else [], **link}


ROOT = placed("pulumi:pulumi:Stack", "factory-home")
PROVIDER = placed("pulumi:providers:vault", "vault")
VAULT = placed(SECTIONS["vault_foundation"], "vault")
MOUNT = placed("vault:index/mount:Mount", "vault-kv2", parent=VAULT["urn"], provider=PROVIDER["urn"])
SHOP_STACK = placed(SECTIONS["apps"], "shop", needs=MOUNT["urn"])
SECRETS = placed("factory:app:AppSecrets", "shop", parent=SHOP_STACK["urn"])
POLICY = placed("vault:index/policy:Policy", "shop", parent=SECRETS["urn"], needs=MOUNT["urn"])
STANDING = [ROOT, PROVIDER, VAULT, MOUNT, SHOP_STACK, SECRETS, POLICY]


def test_a_foundation_in_use_stays_and_who_uses_it_is_named_once() -> None:
    patterns = targets("vault_foundation", STACK)
    with pytest.raises(CommandError, match="nothing was changed") as caught:
        refuse_under_others(STANDING, STACK, patterns, [])
    said = str(caught.value)
    assert said.startswith("apps.shop cannot be without")
    assert f"first run `./factory destroy --stack {STACK} --only apps`," in said


def test_who_stands_on_a_foundation_may_go_with_it_unless_it_is_protected() -> None:
    patterns, together = targets("vault_foundation", STACK), ["--target-dependents"]
    assert going(STANDING, patterns, []) == {VAULT["urn"], MOUNT["urn"]}
    whole = {VAULT["urn"], MOUNT["urn"], SHOP_STACK["urn"], SECRETS["urn"], POLICY["urn"]}
    assert going(STANDING, patterns, together) == whole
    refuse_under_others(STANDING, STACK, patterns, together)
    refuse_protected(STANDING, STACK, patterns, together)
    kept = [*STANDING[:-1], POLICY | {"protect": True}]
    refuse_protected(kept, STACK, patterns, [])
    with pytest.raises(CommandError, match=f"'{STACK}' has protected data, so nothing was destroyed: .*Policy::shop;"):
        refuse_protected(kept, STACK, patterns, together)


@pytest.mark.parametrize("only", ["apps", "apps.shop", None])
def test_what_nobody_stands_on_may_go(only: str | None) -> None:
    patterns = targets(only, STACK, ["shop"]) if only else ["*"]
    refuse_under_others(STANDING, STACK, patterns, [])
    refuse_under_others([ROOT, PROVIDER, VAULT, MOUNT], STACK, targets("vault_foundation", STACK), [])


def test_what_belongs_to_no_section_is_named_by_itself() -> None:
    stranger = placed("vault:index/policy:Policy", "by-hand", needs=MOUNT["urn"])
    with pytest.raises(CommandError, match=f"^by-hand cannot be without.*: run `./factory destroy --stack {STACK}`"):
        refuse_under_others([*STANDING[:4], stranger], STACK, targets("vault_foundation", STACK), [])
