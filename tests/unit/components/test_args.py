"""What a declaration may not say, and that every field explains itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from components.app_stack import App, AppError, AppStackArgs, PlatformArgs
from components.naming import NamingError
from components.services.postgres import PostgresFoundationArgs
from components.services.vault import VaultFoundationArgs, VaultMounts
from tests.support.site import DATABASE_ONLY, PLATFORM, application, platform

EGRESS = {"cidr": "203.0.113.0/24", "ports": [443]}
VOLUME = {"name": "data", "size": "1Gi", "mount_path": "/data"}


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        ({"image": {"kind": "public"}}, "needs repository"),
        ({"image": {}}, "needs image.tag or image.digest"),
        ({"image": {"tag": "latest"}}, "CHART-43"),
        ({"image": {"tag": "1", "auto_update": True}}, "needs delivery 'argocd'"),
        ({"database": {"default_ttl": 7200, "max_ttl": 3600}}, "longer than max_ttl"),
        ({"mode": "application-only", "database": {"name": "other"}}, "has no database"),
        ({"mode": "database-only"}, "no workload and no repository"),
        ({"platform_application": True}, "needs mode 'application-only'"),
        ({"exposure": ["internal", "internal"]}, "twice"),
        ({"exposure": ["internal"], "hosts": {"public": ["a.example.test"]}}, "names public"),
        ({"volumes": [VOLUME], "workload": {"replicas": 2}}, "CHART-31"),
        ({"volumes": [VOLUME], "workload": {"autoscaling": {"max_replicas": 2}}}, "CHART-31"),
        ({"volumes": [VOLUME, VOLUME]}, "share the name data, the mount_path /data with each other"),
        (
            {"volumes": [VOLUME, VOLUME | {"name": "more", "mount_path": "//data/"}]},
            "share the mount_path //data/ with",
        ),
        (
            {"volumes": [VOLUME | {"claim": "old"}, VOLUME | {"name": "b", "mount_path": "/b", "claim": "old"}]},
            "share the claim old with each other",
        ),
        ({"volumes": [VOLUME | {"name": "tmp"}]}, "share the name tmp with .* the memory at /tmp"),
        ({"volumes": [VOLUME | {"mount_path": "/tmp"}]}, "share the mount_path /tmp with .* the memory at /tmp"),
        ({"volumes": [VOLUME | {"mount_path": "/a:b"}]}, "mount_path"),
        ({"volumes": [VOLUME | {"name": f"v{n}", "mount_path": f"/{n}"} for n in range(6)]}, "less than the 6 volumes"),
        ({"workload": {"replicas": 8}}, "quota.cpu_limit 4 is less than 9 times workload.resources.cpu_limit 500m"),
        ({"workload": {"autoscaling": {"max_replicas": 8}}}, "less than 9 times workload.resources.cpu_limit 500m"),
        ({"quota": {"memory_limit": "511Mi"}}, "quota.memory_limit 511Mi is less than 2 times .*memory_limit 256Mi"),
        ({"quota": {"pods": 1}}, "quota.pods 1 is less than 2"),
        ({"workload": {"resources": {"cpu_request": "1"}}}, "cpu_request 1 is more than cpu_limit 500m"),
        ({"workload": {"resources": {"memory_request": "1Gi"}}}, "memory_request 1Gi is more than memory_limit 256Mi"),
        ({"workload": {"environment": {"DB_HOST": "a", "DB_NAME": "b"}}}, "DB_HOST .workload.environment and database"),
        ({"workload": {"environment": {"DATABASE_URL": "a"}}}, "DATABASE_URL .workload.environment and database.var"),
        ({"workload": {"environment": {"API_KEY": "a"}}}, "API_KEY .workload.environment and vault.config_keys"),
        ({"vault": {"config_keys": ["DB_PORT"]}}, "DB_PORT .database.variables and vault.config_keys"),
        ({"database": {"variables": {"host": "DB", "name": "DB"}}}, "variables names DB for two values"),
        ({"workload": {"autoscaling": {"min_replicas": 5, "max_replicas": 2}}}, "swap them"),
        ({"workload": {"run_as_user": 0}}, "is root"),
        ({"decommission": True, "volumes": [VOLUME]}, "needs volume_backup"),
        ({"vault": {"config_keys": ["with space"]}}, "config_keys"),
        ({"workload": {"environment": {"NOT-A-NAME": "x"}}}, "environment"),
        ({"workload": {"port": 0}}, "port"),
        ({"exposures": ["internal"]}, "Extra inputs"),
    ],
)
def test_a_declaration_that_cannot_be_built_is_refused(overrides: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        application(**overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        {"workload": {"replicas": 7}},
        {"workload": {"replicas": 0}, "quota": {"cpu_limit": "1m"}},
        {"volumes": [VOLUME], "quota": {"pods": 1, "cpu_limit": "0.5", "memory_limit": "256Mi"}},  # no pod beside it
        {"volumes": [VOLUME | {"name": "tmp", "mount_path": "/tmp"}], "workload": {"read_only_root": False}},
        {"volumes": [VOLUME | {"mount_path": "/tmp/data"}]},
        {"workload": {"environment": {"DB_HOST": "a"}}, "database": {"variables": {"host": None}}},
        {"workload": {"environment": {"API_KEY": "a"}, "config_environment": False}},
        # The chart in the repository says how its pods are replaced, and what they are given.
        {"delivery": "argocd", "workload": {"replicas": 8, "environment": {"DB_HOST": "a"}}},
        {"delivery": "argocd", "volumes": [VOLUME | {"mount_path": "/tmp"}]},
    ],
)
def test_what_fits_is_taken(overrides: dict[str, Any]) -> None:
    application(**overrides)


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        ({"exposure": ["internal"], "ci": {"oauth_client_id": "x"}}, "ci, exposure"),
        ({"image": {"tag": "1.4.2"}, "workload": {"replicas": 2}, "egress": [EGRESS]}, "image, workload, egress"),
        ({"delivery": "pulumi", "organization": "other", "chart": "other"}, "organization, chart, delivery"),
        ({"argo": {"cascade": True}, "hosts": {"a": ["a.example.test"]}}, "argo, hosts"),
        ({"volumes": [VOLUME], "volume_backup": "x", "quota": {"pods": 1}}, "volumes, volume_backup, quota"),
        ({"pod_security": "baseline", "vault": {"refresh_after": "1m"}}, "pod_security, vault.refresh_after"),
        ({"database": {"variables": {"url": None}, "type_value": "x"}}, "database.variables, database.type_value"),
    ],
)
def test_what_a_mere_database_would_lose_is_named(overrides: dict[str, Any], keys: str) -> None:  # NAME-33
    with pytest.raises(ValidationError, match=f"'database-only' has no workload and no repository: remove {keys}, or"):
        application(**DATABASE_ONLY | overrides)


def test_a_mere_database_has_all_that_a_database_needs() -> None:
    given = {"database": {"name": "other", "max_ttl": 90000}, "vault": {"config_keys": ["KEY"]}, "decommission": True}
    assert application(**DATABASE_ONLY | given).decommission


@pytest.mark.parametrize("key", ["quota", "pod_security", "egress", "volumes"])
def test_what_the_platforms_own_application_would_lose_is_named(key: str) -> None:  # NAME-34
    lost = {"quota": {"pods": 1}, "pod_security": "baseline", "egress": [EGRESS], "volumes": [VOLUME]}[key]
    own = {"mode": "application-only", "platform_application": True, "delivery": "argocd", "vault": {}, key: lost}
    with pytest.raises(ValidationError, match=f"writes nothing into its namespace: remove {key} .type="):
        application(**own)


def test_a_volume_with_many_writers_may_have_many_pods() -> None:
    shared = VOLUME | {"access_mode": "ReadWriteMany"}
    assert application(volumes=[shared], workload={"replicas": 3}).workload.replicas == 3


def test_root_is_possible_where_it_is_declared() -> None:
    assert application(pod_security="baseline", workload={"run_as_user": 0}).workload.run_as_user == 0


@pytest.mark.parametrize(
    ("section", "value", "rule"),
    [
        ("postgres", {"host": "db.example.test", "pooler": {"host": "pooler.tools"}}, "exactly one of namespace"),
        ("exposure", {"internal": {"domain": "a.test", "entry_point": "web", "middlewares": []}}, "middlewares"),
        (
            "exposure",
            {"internal": {"domain": "a.test", "entry_point": "web", "middlewares": ["m@file"], "tls": True}},
            "needs certificate_resolver or issuer",
        ),
        (
            "exposure",
            {"x": {"domain": "a.test", "entry_point": "web", "middlewares": ["m@file"], "issuer": "i"}},
            "need tls",
        ),
        ("vault", {"address": "https://v.test", "jwt": {"bound_claims": {}}}, "bound_claims"),
        ("vault", {"address": "https://v.test", "jwt": {"bound_claims": {"sub": "ci"}}}, "VAULT-71"),
        (
            "vault",
            {"address": "https://v.test", "jwt": {"bound_claims": {"sub": "{repo}"}}},
            r"unknown placeholder \{repo\}",
        ),
        (
            "vault",
            {"address": "https://v.test", "jwt": {"bound_claims": {"sub": "{app}{}"}}},
            r"unknown placeholder \{\};",
        ),
        (
            "vault",
            {"address": "https://v.test", "jwt": {"bound_claims": {"sub": "{app:.0}"}}},
            r"placeholder \{app:\.0\}",
        ),
        ("vault", {"address": "https://v.test", "jwt": {"bound_claims": {"sub": "{app:{x}}"}}}, r"\{app:\{x\}\}"),
        ("vault", {"address": "vault.example.test"}, "address"),
        ("vault", {"address": "https://v.test", "mounts": {"kv1": "kvv2"}}, "used twice"),
    ],
)
def test_a_platform_that_cannot_serve_is_refused(section: str, value: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        platform(**{section: value})


@pytest.mark.parametrize(
    "missing", ["organization", "forge_url", "registry", "vault", "postgres", "exposure", "storage_class"]
)
def test_site_values_have_no_default(missing: str) -> None:
    values = {key: value for key, value in PLATFORM.items() if key != missing}
    with pytest.raises(ValidationError, match=rf"{missing}\n  Field required"):
        PlatformArgs.model_validate(values)


def test_a_key_source_of_the_jwt_login_is_one_of_two() -> None:
    for login in ({}, {"discovery_url": "https://f.test", "public_keys": ["k"], "issuer": "i"}):
        with pytest.raises(ValidationError, match="exactly one"):
            VaultFoundationArgs.model_validate({"jwt": login})
    with pytest.raises(ValidationError, match="needs issuer"):
        VaultFoundationArgs.model_validate({"jwt": {"public_keys": ["k"]}})


def test_arguments_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        application().mode = "full"  # type: ignore[misc, assignment]


def _models(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    if model in seen:
        return
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        for part in _parts(field.annotation):
            yield from _models(part, seen)


def _parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _parts(argument)


ROOTS = (AppStackArgs, PlatformArgs, VaultFoundationArgs, PostgresFoundationArgs, VaultMounts)
MODELS = sorted({each for root in ROOTS for each in _models(root, set())}, key=lambda each: each.__name__)


@pytest.mark.parametrize("model", MODELS, ids=lambda each: each.__name__)
def test_every_field_explains_itself(model: type[BaseModel]) -> None:
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name}"
        extra = field.json_schema_extra
        assert isinstance(extra, dict), f"{model.__name__}.{name}"
        assert extra["source"], f"{model.__name__}.{name}"
        assert set(extra) == {"source", "unit"}


def test_no_address_is_a_default_except_that_of_the_cluster_itself() -> None:
    found = {
        f"{model.__name__}.{name}": field.default
        for model in MODELS
        for name, field in model.model_fields.items()
        if field.default is not PydanticUndefined
        and isinstance(field.default, str)
        and "." in field.default.replace("{app}.", "")
    }
    assert found == {"ArgoCdArgs.server": "https://kubernetes.default.svc"}


def test_an_exposure_class_the_platform_has_not() -> None:
    with pytest.raises(AppError, match=r"'webapp': exposure world is no class .* internal, public"):
        App.of("webapp", application(exposure=["world"]), platform())


@pytest.mark.parametrize(
    ("hosts", "rule"),
    [
        # Its domain is the narrower class's, whose middlewares keep others out.
        (
            {"public": ["erp.inside.example.test"]},
            "hosts.public has erp.inside.example.test, which is not in example.test",
        ),
        ({"public": ["inside.example.test"]}, "hosts.public has inside.example.test"),
        (
            {"internal": ["erp.example.test"]},
            "hosts.internal has erp.example.test, which is not in inside.example.test",
        ),
        ({"internal": ["notinside.example.test"]}, "not in inside.example.test"),
    ],
)
def test_a_host_outside_of_its_class_s_domain_is_refused(hosts: dict[str, list[str]], rule: str) -> None:  # CHART-26
    with pytest.raises(AppError, match=rf"{rule}.*CHART-26"):
        App.of("webapp", application(hosts=hosts), platform())


def test_a_host_of_its_class_s_domain_is_served() -> None:
    hosts = {"internal": ["erp.inside.example.test", "a.b.inside.example.test"], "public": ["example.test"]}
    assert App.of("webapp", application(hosts=hosts), platform()).hosts["public"] == ("example.test",)


def test_a_host_in_two_classes_is_refused() -> None:  # CHART-26
    twice = {**PLATFORM["exposure"], "lan": PLATFORM["exposure"]["internal"]}  # type: ignore[dict-item, index]
    with pytest.raises(AppError, match="exposure internal and lan both serve webapp"):
        App.of("webapp", application(exposure=["internal", "lan"]), platform(exposure=twice))


def test_a_bad_name_is_refused_before_everything_else() -> None:
    with pytest.raises(NamingError, match="NAME-21"):
        App.of("Web_App", application(), platform())


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("postgres://someone:word@pooler.tools/webapp", "CHART-40"),
        ("redis://:word@cache.tools:6379", "CHART-40"),
        ("pgbouncer_auth", "CHART-40"),
        ("db.example.test", "CHART-05"),
        ("postgres://db.example.test:5432/webapp", "CHART-05"),
        ("host=db.example.test.", "CHART-05"),
    ],
)
def test_no_credential_and_no_way_around_the_pooler_in_the_config_map(value: str, rule: str) -> None:
    with pytest.raises(AppError, match=rf"workload.environment.DATABASE .*{rule}") as refused:
        App.of("webapp", application(workload={"environment": {"DATABASE": value}}), platform())
    assert "word" not in str(refused.value)


@pytest.mark.parametrize("value", ["mydb", "db-tools", "db2", "http://other.db/", "redis://cache.tools:6379"])
def test_another_name_that_holds_the_server_s_is_none_of_it(value: str) -> None:
    site = platform(postgres={"host": "db", "pooler": {"host": "pooler.tools", "namespace": "tools"}})
    App.of("webapp", application(workload={"environment": {"KIND": value}}), site)
    for same in ("db", "db.tools.svc:5432"):
        with pytest.raises(AppError, match="CHART-05"):
            App.of("webapp", application(workload={"environment": {"KIND": same}}), site)


def test_decommission_needs_a_place_for_the_backup() -> None:
    with pytest.raises(AppError, match=r"APP-39.*platform.backup"):
        App.of("webapp", application(decommission=True), platform(backup=None))


def test_hosts_are_derived_or_overridden() -> None:
    app = App.of("url-shortener", application(hosts={"internal": ["url.inside.example.test"]}), platform())
    assert app.all_hosts == ("url.inside.example.test", "url-shortener.example.test")  # NAME-30


def test_another_organisation_moves_repository_and_image() -> None:
    app = App.of("gateway", application(organization="someone"), platform())
    assert app.names.repository_url == "https://forge.example.test/someone/gateway"  # NAME-31
    assert app.names.image == "registry.example.test/someone/gateway"
