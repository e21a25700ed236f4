"""One declaration, everything an application owns (APP-01), in an order that converges (APP-02 to APP-08)."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import pytest

from components.app_stack import AppError, AppStack
from tests.support.mocks import Graph, Node, build
from tests.support.site import application, options, platform

OWN = "factory:"
GRANT = "postgresql:index/grant:Grant"
ROLE = "postgresql:index/role:Role"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
OPERATOR = "kubernetes:secrets.hashicorp.com/v1beta1"


def custom(graph: Graph) -> list[Node]:
    return [node for node in graph if node.custom and not node.type.startswith("pulumi:providers:")]


def test_everything_an_application_owns(webapp: Graph) -> None:
    assert Counter(node.type for node in custom(webapp)) == {
        "pulumi-python:dynamic/factory:GeneratedPassword": 1,
        ROLE: 2,
        "postgresql:index/grantRole:GrantRole": 1,
        "postgresql:index/database:Database": 1,
        "postgresql:index/function:Function": 1,
        GRANT: 8,
        "vault:kv/secretV2:SecretV2": 1,
        "vault:index/policy:Policy": 2,
        "vault:identity/group:Group": 1,
        "vault:kubernetes/authBackendRole:AuthBackendRole": 1,
        "vault:database/secretBackendConnection:SecretBackendConnection": 1,
        "vault:database/secretBackendRole:SecretBackendRole": 1,
        "vault:jwt/authBackendRole:AuthBackendRole": 1,
        "kubernetes:core/v1:Namespace": 1,
        "kubernetes:core/v1:ServiceAccount": 1,
        "kubernetes:core/v1:ResourceQuota": 1,
        "kubernetes:core/v1:LimitRange": 1,
        "kubernetes:core/v1:Secret": 1,
        "kubernetes:networking.k8s.io/v1:NetworkPolicy": 2,
        f"{OPERATOR}:VaultConnection": 1,
        f"{OPERATOR}:VaultAuth": 1,
        f"{OPERATOR}:VaultStaticSecret": 1,
        f"{OPERATOR}:VaultDynamicSecret": 1,
        "kubernetes:core/v1:ConfigMap": 1,
        DEPLOYMENT: 1,
        "kubernetes:core/v1:Service": 1,
        "kubernetes:networking.k8s.io/v1:Ingress": 2,
    }


def test_type_tokens_are_public_names(webapp: Graph, by_argocd: Graph) -> None:
    """They stand in people's state: changing one needs an alias."""
    found = {node.type for graph in (webapp, by_argocd) for node in graph if node.type.startswith(OWN)}
    assert found == {
        "factory:app:AppStack",
        "factory:app:AppDatabase",
        "factory:app:AppSecrets",
        "factory:app:AppNamespace",
        "factory:app:AppWorkload",
        "factory:app:AppDelivery",
        "factory:postgres:PoolerAccess",
    }


def test_every_resource_has_an_explicit_provider(webapp: Graph, by_argocd: Graph) -> None:
    for graph in (webapp, by_argocd):
        for node in custom(graph):
            assert node.provider.endswith(node.type.split(":")[0]) or "python" in node.provider, node.type


def test_the_six_database_side_objects_of_the_documentation(webapp: Graph) -> None:  # TEST-02
    owner = webapp.one(ROLE, "webapp-owner")
    assert owner.inputs == {"login": False, "name": "webapp_role"}  # PG-03, PG-23
    admin = webapp.one("postgresql:index/grantRole:GrantRole")
    assert admin.inputs == {"grantRole": "webapp_role", "role": "webapp_edit", "withAdminOption": True}  # PG-04, PG-33
    database = webapp.one("postgresql:index/database:Database")
    assert database.inputs == {  # PG-05
        "name": "webapp",
        "owner": "webapp_role",
        "template": "template0",
        "alterObjectOwnership": True,
    }
    function = webapp.one("postgresql:index/function:Function")
    assert (function.get("database"), function.get("name")) == ("webapp", "user_lookup")  # PG-06
    assert (function.get("securityDefiner"), function.get("returns")) == (True, "record")  # PG-07, PG-08
    revoke = webapp.one(GRANT, "webapp-lookup-revoke")
    assert (revoke.get("role"), revoke.get("privileges"), revoke.get("objects")) == ("public", [], ["user_lookup"])
    execute = webapp.one(GRANT, "webapp-lookup-execute")
    assert (execute.get("role"), execute.get("privileges")) == ("pgbouncer_auth", ["EXECUTE"])


def test_an_execute_grant_comes_after_the_revoke(webapp: Graph) -> None:  # PG-09, TEST-03
    execute, revoke = webapp.one(GRANT, "webapp-lookup-execute"), webapp.one(GRANT, "webapp-lookup-revoke")
    assert revoke.urn in execute.depends_on


def test_privileges_of_one_object_change_one_after_the_other(webapp: Graph) -> None:  # PG-09
    for names in (
        ("connect-revoke", "connect-pooler", "connect-editor"),
        ("schema-revoke", "schema-owner", "schema-pooler"),
    ):
        chain = [webapp.one(GRANT, f"webapp-{name}") for name in names]
        assert all(before.urn in after.depends_on for before, after in itertools.pairwise(chain))


def test_the_database_is_closed_to_everybody_else(webapp: Graph) -> None:  # PG-34
    privileges = {
        (node.get("objectType"), node.get("role")): node.get("privileges")
        for node in webapp.all(GRANT)
        if node.get("objectType") != "function"
    }
    assert privileges == {
        ("database", "public"): [],
        ("database", "pgbouncer_auth"): ["CONNECT"],
        ("database", "webapp_edit"): ["CONNECT"],
        ("schema", "public"): [],
        ("schema", "webapp_role"): ["CREATE", "USAGE"],
        ("schema", "pgbouncer_auth"): ["USAGE"],
    }


def test_the_editor_creates_users_and_is_nothing_more(webapp: Graph) -> None:  # PG-33, PG-10
    editor = webapp.one(ROLE, "webapp-editor")
    assert {key for key, value in editor.inputs.items() if value is True} == {"login", "createRole"}
    assert editor.ignore_changes == ("roles",)
    assert editor.is_secret("password")
    assert editor.get("password").startswith("verifier-of-")  # no statement carries the password


def test_vault_reaches_one_database_for_one_role(webapp: Graph) -> None:  # PG-33
    connection = webapp.one("vault:database/secretBackendConnection:SecretBackendConnection")
    assert connection.get("allowedRoles") == ["webapp"]
    assert connection.get("postgresql.username") == "webapp_edit"
    assert connection.get("postgresql.password").startswith("value-of-")
    assert connection.is_secret("postgresql.password")
    assert connection.get("postgresql.passwordAuthentication") == "scram-sha-256"


def test_short_lived_users_have_a_written_life(webapp: Graph) -> None:  # VAULT-74, NAME-05, NAME-20
    role = webapp.one("vault:database/secretBackendRole:SecretBackendRole")
    assert (role.get("name"), role.get("dbName"), role.get("backend")) == ("webapp", "webapp", "postgres")
    assert (role.get("defaultTtl"), role.get("maxTtl")) == (3600, 86400)
    assert 'GRANT "webapp_role" TO "{{name}}";' in role.get("creationStatements")


def test_ci_is_bound_to_its_repository(webapp: Graph) -> None:  # VAULT-08, VAULT-71
    role = webapp.one("vault:jwt/authBackendRole:AuthBackendRole")
    assert role.get("roleName") == "gitea_cicd_webapp"
    assert role.get("boundAudiences") == ["client-of-webapp"]
    assert role.get("boundClaims") == {"repository": "example-org/webapp"}
    assert role.get("boundClaimsType") == "string"
    assert role.get("tokenPolicies") == ["default", "webapp-ops"]


def test_further_policies_of_ci(stack: Any) -> None:  # VAULT-13
    graph = stack(vault={"ops_policies": ["read-the-bucket"]})
    role = graph.one("vault:jwt/authBackendRole:AuthBackendRole")
    assert role.get("tokenPolicies") == ["default", "read-the-bucket", "webapp-ops"]


def test_without_an_oauth2_client_ci_has_no_role(stack: Any) -> None:
    assert stack(ci={}).all("vault:jwt/authBackendRole:AuthBackendRole") == ()


def test_the_client_and_the_repository_can_be_resources_too(stack: Any) -> None:
    graph = stack(
        delivery="argocd",
        image={},
        ci={},
        arguments={"oauth_client_id": "made-here", "repository_url": "https://forge.example.test/made/here"},
    )
    assert graph.one("vault:jwt/authBackendRole:AuthBackendRole").get("boundAudiences") == ["made-here"]
    application = graph.one("kubernetes:argoproj.io/v1alpha1:Application")
    project = graph.one("kubernetes:argoproj.io/v1alpha1:AppProject")
    assert application.get("spec.source.repoURL") == "https://forge.example.test/made/here"
    assert project.get("spec.sourceRepos") == ["https://forge.example.test/made/here"]
    assert graph.exports["repository_url"] == "https://forge.example.test/made/here"


def test_pods_log_in_as_themselves(webapp: Graph) -> None:  # VAULT-22, VAULT-23, APP-31
    role = webapp.one("vault:kubernetes/authBackendRole:AuthBackendRole")
    assert role.inputs == {
        "backend": "kubernetes",
        "roleName": "webapp",
        "boundServiceAccountNames": ["webapp"],
        "boundServiceAccountNamespaces": ["webapp"],
        "audience": "vault",
        "tokenPolicies": ["default", "webapp"],
        "tokenTtl": 3600,
    }


def test_operators_get_the_ops_policy_by_a_group(webapp: Graph) -> None:  # VAULT-11, NAME-10
    group = webapp.one("vault:identity/group:Group")
    assert (group.get("name"), group.get("policies")) == ("webapp-ops", ["webapp-ops"])
    assert group.get("externalMemberEntityIds") is True


def test_the_configuration_secret(webapp: Graph) -> None:  # VAULT-24, NAME-11
    secret = webapp.one("vault:kv/secretV2:SecretV2")
    assert (secret.get("mount"), secret.get("name")) == ("kvv2", "webapp/config")
    assert secret.is_secret("dataJson")
    assert json.loads(secret.get("dataJson")) == {"API_KEY": "value of API_KEY"}


@pytest.mark.parametrize(
    ("secrets", "complaint"),
    [({}, "missing API_KEY, not declared none"), ({"API_KEY": "x", "OTHER": "y"}, "missing none, not declared OTHER")],
)
def test_declared_keys_and_given_secrets_agree(stack: Any, secrets: dict[str, str], complaint: str) -> None:
    with pytest.raises(AppError, match=complaint):
        stack(secrets=secrets)


def test_a_secret_that_nobody_declared_is_refused_before_anything_is_registered() -> None:
    refused = []

    def program() -> None:
        try:
            AppStack("webapp", application(vault={}), platform(), kv_config={"API_KEY": "x"}, opts=options())
        except AppError as error:
            refused.append(str(error))

    graph = build(program)
    assert [node.type for node in graph if not node.type.startswith("pulumi:providers:")] == []
    assert "not declared API_KEY" in refused[0]


def test_no_secret_stands_in_the_clear(stack: Any) -> None:
    canary = "c4n4ry-v4lu3"
    graph = stack(secrets={"API_KEY": canary})
    seen = json.dumps([_without_secrets(node.inputs) for node in graph]) + json.dumps(graph.exports)
    for secret in (canary, "value-of-webapp-editor", "verifier-of-webapp-editor"):
        assert secret in json.dumps([dict(node.inputs) for node in graph])
        assert secret not in seen


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return "" if set(value) == {"secret"} else {key: _without_secrets(item) for key, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        ("vault:database/secretBackendRole:SecretBackendRole", ROLE),  # APP-04, PG-26
        ("vault:database/secretBackendConnection:SecretBackendConnection", GRANT),
        ("vault:kubernetes/authBackendRole:AuthBackendRole", "vault:index/policy:Policy"),  # APP-05
        (f"{OPERATOR}:VaultDynamicSecret", "vault:database/secretBackendRole:SecretBackendRole"),  # APP-06
        (f"{OPERATOR}:VaultStaticSecret", "vault:kv/secretV2:SecretV2"),
        (f"{OPERATOR}:VaultAuth", "vault:kubernetes/authBackendRole:AuthBackendRole"),
        (f"{OPERATOR}:VaultAuth", "kubernetes:core/v1:ServiceAccount"),
        (DEPLOYMENT, f"{OPERATOR}:VaultDynamicSecret"),
        (DEPLOYMENT, "kubernetes:core/v1:ConfigMap"),
        (DEPLOYMENT, "kubernetes:networking.k8s.io/v1:NetworkPolicy"),
        # Else those of many applications keep what they wait for from beginning.
        ("kubernetes:core/v1:Service", DEPLOYMENT),
    ],
)
def test_order(webapp: Graph, later: str, earlier: str) -> None:
    (node,) = webapp.all(later)
    for other in webapp.all(earlier):
        if earlier == "vault:index/policy:Policy" and other.name.endswith("-ops"):
            continue  # the ops policy is not the pods'
        assert webapp.waits_for(node, other), other.name


def test_ingresses_come_after_their_service(webapp: Graph) -> None:
    (service,) = webapp.all("kubernetes:core/v1:Service")
    ingresses = webapp.all("kubernetes:networking.k8s.io/v1:Ingress")
    assert len(ingresses) > 1
    assert all(webapp.waits_for(each, service) for each in ingresses)


def test_the_application_comes_last(by_argocd: Graph) -> None:  # APP-06
    application = by_argocd.one("kubernetes:argoproj.io/v1alpha1:Application")
    for earlier in (
        "vault:database/secretBackendRole:SecretBackendRole",
        "vault:kubernetes/authBackendRole:AuthBackendRole",
        "vault:kv/secretV2:SecretV2",
        f"{OPERATOR}:VaultDynamicSecret",
        "kubernetes:argoproj.io/v1alpha1:AppProject",
    ):
        assert by_argocd.waits_for(application, by_argocd.one(earlier)), earlier


def test_database_and_policies_are_built_side_by_side(webapp: Graph) -> None:  # APP-02, APP-03
    for policy in webapp.all("vault:index/policy:Policy"):
        assert not webapp.waits_for(policy, webapp.one("postgresql:index/database:Database"))


def test_no_long_chain(webapp: Graph) -> None:
    by_urn = {node.urn: node for node in webapp}
    depth: dict[str, int] = {}

    def measure(urn: str) -> int:
        if urn not in depth:
            depth[urn] = 1 + max((measure(each) for each in by_urn[urn].depends_on if each in by_urn), default=0)
        return depth[urn]

    assert max(measure(urn) for urn in by_urn) <= 12


def test_data_is_protected_and_nothing_else(webapp: Graph) -> None:  # APP-39
    assert sorted(node.name for node in webapp if node.protect) == ["webapp-config", "webapp-database", "webapp-owner"]


def test_volumes_are_protected_with_their_namespace(stack: Any) -> None:  # APP-39, CHART-32
    graph = stack(volumes=[{"name": "data", "size": "1Gi", "mount_path": "/data"}])
    assert graph.one("kubernetes:core/v1:PersistentVolumeClaim").protect
    assert graph.one("kubernetes:core/v1:Namespace").protect


def test_a_sandbox_protects_nothing(stack: Any) -> None:
    assert not any(node.protect for node in stack(site=platform(protect_data=False)))


def test_outputs(webapp: Graph) -> None:  # section 3.3
    exports = dict(webapp.exports)
    assert [check["id"] for check in exports.pop("checks")][:2] == ["PG-05", "PG-34"]  # APP-26
    assert exports == {
        "name": "webapp",
        "mount_paths": {"k8s": "kubernetes", "pg": "postgres", "kvv2": "kvv2"},  # VAULT-20
        "kvv2_path_prefix": "webapp/",
        "database": "webapp",
        "owner_role": "webapp_role",
        "repository_url": "https://forge.example.test/example-org/webapp",
        "image": "registry.example.test/example-org/webapp:1.4.2",
        "namespace": "webapp",
        "service_account": "webapp",
        "hosts": ["webapp.inside.example.test", "webapp.example.test"],
        "vault_roles": {"kubernetes": "webapp", "database": "webapp", "ci": "gitea_cicd_webapp"},
    }


def test_a_bad_name_registers_nothing(stack: Any) -> None:  # NAME-21
    with pytest.raises(AppError.__mro__[1], match="NAME-21"):
        stack("Web_App")


def test_names_with_hyphens_work_throughout(stack: Any) -> None:  # NAME-26, PG-35
    graph = stack("dance-lessons-coach")
    role = graph.one("vault:database/secretBackendRole:SecretBackendRole")
    assert 'GRANT "dance-lessons-coach_role" TO "{{name}}";' in role.get("creationStatements")
