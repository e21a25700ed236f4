"""Every name an application has anywhere, derived from its one name by one pure function (NAME-01 to NAME-34).

The bricks of the platform find each other by name, so a name that is written twice is a failure that nobody reports.
Nothing else in this project builds a name: components ask :meth:`NamingStrategy.names`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from string import Formatter
from typing import Final, Self

from pydantic import Field, model_validator

from .model import Model, about

__all__ = ["DOCUMENTED", "AppNames", "NameProblem", "NamingError", "NamingStrategy", "conflicts"]

_APP: Final = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
_DNS_LABEL_LIMIT: Final = 63
_SQL_NAME_LIMIT: Final = 63
_HOST_LIMIT: Final = 253
_PLACEHOLDERS: Final = frozenset({"app", "org", "domain", "registry", "forge"})


class NamingError(ValueError):
    """A name breaks a rule. The message holds the value, the rule with its ID, and what to do."""


@dataclass(frozen=True, slots=True)
class NameProblem:
    """Two applications whose names or hosts cannot live on one platform."""

    app: str
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class AppNames:
    """The derived names of one application; the table of section 2 of the requirements, row by row."""

    app: str
    """The application itself, also its Deployment, Service and container (NAME-01)."""
    organization: str
    """Owner of the repository on the forge (NAME-02)."""
    repository: str
    """``<org>/<app>`` (NAME-02)."""
    repository_url: str
    """The repository's address on the forge (ARGO-04)."""
    database: str
    """PostgreSQL database (NAME-03)."""
    owner_role: str
    """PostgreSQL role without login that owns the database (NAME-04)."""
    editor_role: str
    """PostgreSQL login which creates the application's short-lived users, and no others (PG-33)."""
    database_role: str
    """Role of Vault's database engine, hence ``postgres/creds/<app>`` (NAME-05)."""
    database_connection: str
    """Connection of Vault's database engine, one per application (PG-33)."""
    kubernetes_role: str
    """Role of Vault's Kubernetes login (NAME-06)."""
    runtime_policy: str
    """Vault policy of the pod (NAME-07)."""
    ops_policy: str
    """Vault policy of the application's CI (NAME-08)."""
    ci_role: str
    """Role of Vault's JWT login for the application's CI (NAME-09)."""
    ops_group: str
    """Vault identity group of the people who operate the application (NAME-10)."""
    kv_prefix: str
    """Path of the application's secrets below the KV mount, with its closing slash (VAULT-20)."""
    config_path: str
    """Path of the application's configuration below the KV mount (NAME-11)."""
    namespace: str
    """Kubernetes namespace (NAME-12)."""
    service_account: str
    """Kubernetes ServiceAccount (NAME-13)."""
    application: str
    """ArgoCD Application (NAME-14)."""
    project: str
    """ArgoCD AppProject (ARGO-24)."""
    state_prefix: str
    """Prefix of a state the application's own repository may keep (NAME-15)."""
    image: str
    """Image repository of an application that builds its own (NAME-18)."""
    chart: str
    """Name of the chart (NAME-19)."""


def _template(default: str, what: str, source: str) -> str:
    """Declare one template of the strategy."""
    value: str = Field(
        default=default, min_length=1, description=what, json_schema_extra=about(source, unit="template")
    )
    return value


class NamingStrategy(Model):
    """The rules which turn an application's name into all others. Its defaults are the documented rules.

    Each rule is a template over ``{app}``, ``{org}``, ``{domain}``, ``{registry}`` and ``{forge}``.
    """

    repository: str = _template("{org}/{app}", "Repository on the forge.", "NAME-02")
    repository_url: str = _template("{forge}/{org}/{app}", "Address of the repository.", "ARGO-04")
    database: str = _template("{app}", "PostgreSQL database.", "NAME-03")
    owner_role: str = _template("{app}_role", "PostgreSQL role without login which owns the database.", "NAME-04")
    editor_role: str = _template("{app}_edit", "PostgreSQL login with which Vault creates the users.", "PG-33")
    database_role: str = _template("{app}", "Role in Vault's database engine.", "NAME-05")
    database_connection: str = _template("{app}", "Connection in Vault's database engine.", "PG-33")
    kubernetes_role: str = _template("{app}", "Role of Vault's Kubernetes login.", "NAME-06")
    runtime_policy: str = _template("{app}", "Vault policy of the pod.", "NAME-07")
    ops_policy: str = _template("{app}-ops", "Vault policy of the application's CI.", "NAME-08")
    ci_role: str = _template("gitea_cicd_{app}", "Role of Vault's JWT login for the application's CI.", "NAME-09")
    ops_group: str = _template("{app}-ops", "Vault identity group of the application's operators.", "NAME-10")
    kv_prefix: str = _template("{app}/", "Prefix of the application's secrets below the KV mount.", "VAULT-20")
    config_path: str = _template("{app}/config", "Configuration secret below the KV mount.", "NAME-11")
    namespace: str = _template("{app}", "Kubernetes namespace.", "NAME-12")
    service_account: str = _template("{app}", "Kubernetes ServiceAccount.", "NAME-13")
    application: str = _template("{app}", "ArgoCD Application.", "NAME-14")
    project: str = _template("{app}", "ArgoCD AppProject.", "ARGO-24")
    state_prefix: str = _template("{app}/main", "Prefix of a state kept by the application's repository.", "NAME-15")
    host: str = _template("{app}.{domain}", "Host on the domain of an exposure class.", "NAME-16, NAME-17")
    image: str = _template("{registry}/{org}/{app}", "Image of an application which builds its own.", "NAME-18")
    chart: str = _template("{app}", "Chart.", "NAME-19")
    reserved: frozenset[str] = Field(
        default=frozenset(
            {
                "argocd",
                "default",
                "gitea",
                "kube-node-lease",
                "kube-public",
                "kube-system",
                "longhorn-system",
                "postgres",
                "public",
                "template0",
                "template1",
                "tools",
            }
        ),
        description="Names which no application may take, because the platform has them.",
        json_schema_extra=about("NAME-23"),
    )

    @model_validator(mode="after")
    def _templates_are_known(self) -> Self:
        for field in type(self).model_fields:
            template = getattr(self, field)
            if not isinstance(template, str):
                continue
            try:
                used = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
            except ValueError as error:
                message = f"{field} = {template!r}: {error}; write a template such as '{{app}}_role'"
                raise ValueError(message) from error
            if unknown := used - _PLACEHOLDERS:
                known = ", ".join(sorted(f"{{{name}}}" for name in _PLACEHOLDERS))
                message = f"{field} = {template!r}: unknown placeholder {', '.join(sorted(unknown))}; use {known}"
                raise ValueError(message)
            if "app" not in used:
                message = f"{field} = {template!r}: without {{app}} every application gets the same name"
                raise ValueError(message)
        return self

    def check(self, app: str, *, platform: bool = False) -> None:
        """Refuse a bad application name before anything is registered (NAME-21, NAME-22, NAME-23).

        ``platform`` admits a reserved name, for the platform's own Applications (NAME-34: ``tools``).
        Raises :class:`NamingError`.
        """
        if not _APP.fullmatch(app):
            message = (
                f"application name {app!r} is not kebab-case (NAME-21): use lower-case letters, digits and single "
                "hyphens, and start with a letter, for example 'my-app'"
            )
            raise NamingError(message)
        if len(app) > _DNS_LABEL_LIMIT:
            message = (
                f"application name {app!r} has {len(app)} characters (NAME-22): at most {_DNS_LABEL_LIMIT} fit a DNS "
                "label, choose a shorter one"
            )
            raise NamingError(message)
        if app in self.reserved and not platform:
            message = f"application name {app!r} is reserved for the platform (NAME-23): choose another name"
            raise NamingError(message)

    def names(
        self,
        app: str,
        *,
        organization: str,
        forge: str,
        registry: str,
        database: str | None = None,
        image: str | None = None,
        chart: str | None = None,
        platform: bool = False,
    ) -> AppNames:
        """Derive every name of ``app``; the pure function of NAME-25.

        ``database``, ``image`` and ``chart`` override one name where a documented application breaks the rule
        (NAME-30 to NAME-34). Raises :class:`NamingError` for a bad name or a derived name that is too long.
        """
        self.check(app, platform=platform)
        values = {"app": app, "org": organization, "forge": forge, "registry": registry}
        derived = {
            field: getattr(self, field).format_map(values)
            for field in type(self).model_fields
            if field not in {"reserved", "host"}
        }
        derived |= {
            key: value
            for key, value in (("database", database), ("image", image), ("chart", chart))
            if value is not None
        }
        for field in ("database", "owner_role", "editor_role"):
            _fits(app, field, derived[field], _SQL_NAME_LIMIT, "PostgreSQL identifier")
        for field in ("namespace", "service_account", "application", "project"):
            _fits(app, field, derived[field], _DNS_LABEL_LIMIT, "DNS label")
        return AppNames(app=app, organization=organization, **derived)

    def host_of(self, app: str, domain: str) -> str:
        """Derive the host of ``app`` on ``domain`` (NAME-16, NAME-17). A host too long raises :class:`NamingError`."""
        host = self.host.format_map({"app": app, "domain": domain})
        _fits(app, "host", host, _HOST_LIMIT, "DNS name")
        return host


DOCUMENTED: Final = NamingStrategy()
"""The rules as documented (NAME-01 to NAME-20)."""


def _fits(app: str, field: str, value: str, limit: int, kind: str) -> None:
    size = len(value.encode())
    if size > limit:
        message = (
            f"application {app!r}: the derived {field.replace('_', ' ')} {value!r} has {size} characters, a {kind} "
            f"holds {limit} (NAME-22): choose a shorter application name"
        )
        raise NamingError(message)


def conflicts(hosts: Mapping[str, Iterable[str]], databases: Mapping[str, str] | None = None) -> list[NameProblem]:
    """All clashes between the applications of one platform, none hidden by another.

    ``hosts`` maps each application to its hosts, ``databases`` each application that has one to its database.
    NAME-24: no name may be the beginning of another. Two applications never share a host or a database.
    """
    problems = [
        NameProblem(
            app=short,
            rule="NAME-24",
            message=f"application name {short!r} is the beginning of {long!r} (NAME-24): rename one, a rule "
            f"written for {short!r} with a wildcard would reach {long!r}",
        )
        for short, long in combinations(sorted(hosts), 2)
        if long.startswith(short)
    ]
    problems += _shared("host", "NAME-16", [(app, host) for app, of_app in hosts.items() for host in of_app])
    problems += _shared("database", "NAME-03", list((databases or {}).items()))
    return problems


def _shared(what: str, rule: str, claims: list[tuple[str, str]]) -> list[NameProblem]:
    first: dict[str, str] = {}
    problems = []
    for app, value in claims:
        other = first.setdefault(value, app)
        if other != app:
            problems.append(
                NameProblem(
                    app=app,
                    rule=rule,
                    message=f"{what} {value!r} belongs to application {other!r} already: give {app!r} another",
                )
            )
    return problems
