"""NAME-01 to NAME-34: one pure function derives every name, or refuses."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.naming import DOCUMENTED, AppNames, NamingError, NamingStrategy, conflicts

APPLICATIONS = st.from_regex(r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9}){0,3}", fullmatch=True)


def derive(app: str, rules: NamingStrategy = DOCUMENTED, **overrides: str) -> AppNames:
    return rules.names(
        app,
        organization="example-org",
        forge="https://forge.example.test",
        registry="registry.example.test",
        database=overrides.get("database"),
        chart=overrides.get("chart"),
    )


def refusal(app: str) -> str | None:
    try:
        DOCUMENTED.check(app)
    except NamingError as error:
        return str(error)
    return None


def test_the_documented_table() -> None:
    names = asdict(derive("webapp"))
    assert names == {
        "app": "webapp",
        "organization": "example-org",
        "repository": "example-org/webapp",  # NAME-02
        "repository_url": "https://forge.example.test/example-org/webapp",
        "database": "webapp",  # NAME-03
        "owner_role": "webapp_role",  # NAME-04
        "editor_role": "webapp_edit",
        "database_role": "webapp",  # NAME-05
        "database_connection": "webapp",
        "kubernetes_role": "webapp",  # NAME-06
        "runtime_policy": "webapp",  # NAME-07
        "ops_policy": "webapp-ops",  # NAME-08
        "ci_role": "gitea_cicd_webapp",  # NAME-09
        "ops_group": "webapp-ops",  # NAME-10
        "kv_prefix": "webapp/",
        "config_path": "webapp/config",  # NAME-11
        "namespace": "webapp",  # NAME-12
        "service_account": "webapp",  # NAME-13
        "application": "webapp",  # NAME-14
        "project": "webapp",
        "state_prefix": "webapp/main",  # NAME-15
        "image": "registry.example.test/example-org/webapp",  # NAME-18
        "chart": "webapp",  # NAME-19
    }
    assert DOCUMENTED.host_of("webapp", "inside.example.test") == "webapp.inside.example.test"  # NAME-16


@given(app=APPLICATIONS)
def test_a_good_name_gives_the_same_good_names_every_time(app: str) -> None:
    assume(app not in DOCUMENTED.reserved)
    names = derive(app)
    assert names == derive(app)
    assert all(app in value for key, value in asdict(names).items() if key != "organization")
    assert max(len(names.owner_role), len(names.editor_role)) <= 63


@given(first=APPLICATIONS, second=APPLICATIONS)
def test_two_applications_share_no_name(first: str, second: str) -> None:
    assume(first != second)
    assume(not {first, second} & DOCUMENTED.reserved)
    left, right = (asdict(derive(app)) for app in (first, second))
    assert all(left[key] != right[key] for key in left if key != "organization")


@given(text=st.text(max_size=70))
def test_anything_else_is_refused_with_its_value_and_rule(text: str) -> None:
    complaint = refusal(text)
    if complaint is None:
        assert text.isascii()
        assert text == text.lower()
        assert text.replace("-", "").isalnum()
        assert len(text) <= 63
        assert text not in DOCUMENTED.reserved
    else:
        assert repr(text) in complaint
        assert "(NAME-2" in complaint


@pytest.mark.parametrize("app", ["my_app", "MyApp", "app-", "-app", "a--b", "1app", "app\n", "", "äpp", "a.b"])
def test_no_variants_of_kebab_case(app: str) -> None:
    with pytest.raises(NamingError, match="NAME-21"):
        DOCUMENTED.check(app)


@pytest.mark.parametrize(
    "app",
    [
        "argocd",
        "tools",
        "kube-system",
        "longhorn-system",
        "default",
        "postgres",
        "gitea",
        "template0",
        "template1",
        "public",
    ],
)
def test_reserved_names_belong_to_the_platform(app: str) -> None:
    with pytest.raises(NamingError, match="NAME-23"):
        DOCUMENTED.check(app)
    DOCUMENTED.check(app, platform=True)  # NAME-34


def test_the_longest_name_is_what_postgresql_can_hold() -> None:
    assert derive("a" * 58).owner_role == "a" * 58 + "_role"
    with pytest.raises(NamingError, match=r"owner role .* 64 characters, .*NAME-22"):
        derive("a" * 59)
    with pytest.raises(NamingError, match=r"64 characters .*NAME-22"):
        DOCUMENTED.check("a" * 64)


def test_overrides_change_what_they_name_and_nothing_else() -> None:
    plain = asdict(derive("cms"))
    changed = asdict(derive("cms", chart="example-cms", database="cms_data"))
    assert {key for key in plain if plain[key] != changed[key]} == {"chart", "database"}


def test_another_sites_rules_are_another_instance() -> None:
    rules = NamingStrategy(ci_role="ci-{app}", namespace="{org}-{app}", host="{app}-on.{domain}")
    names = derive("webapp", rules)
    assert (names.ci_role, names.namespace) == ("ci-webapp", "example-org-webapp")
    assert rules.host_of("webapp", "example.test") == "webapp-on.example.test"


@pytest.mark.parametrize(
    ("template", "complaint"),
    [("{application}_role", "unknown placeholder application"), ("owner", "without {app}"), ("{app", "expected '}'")],
)
def test_a_template_that_cannot_work_is_refused(template: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        NamingStrategy(owner_role=template)


def test_a_name_that_begins_another_is_a_conflict() -> None:
    (problem,) = conflicts({"web": [], "webapp": [], "other": []})
    assert (problem.app, problem.rule) == ("web", "NAME-24")
    assert "'webapp'" in problem.message


def test_all_conflicts_are_reported_at_once() -> None:
    problems = conflicts(
        {"a": ["x.example.test"], "ab": ["x.example.test"], "c": ["y.example.test"]}, {"a": "data", "c": "data"}
    )
    assert [(problem.rule, problem.app) for problem in problems] == [
        ("NAME-24", "a"),
        ("NAME-16", "ab"),
        ("NAME-03", "c"),
    ]


def test_an_application_may_repeat_its_own_host() -> None:
    assert conflicts({"a": ["x.example.test", "x.example.test"]}) == []
