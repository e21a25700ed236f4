"""What to verify after an application was built, as data, in the order of dependency (APP-26)."""

from dataclasses import asdict, dataclass

from .app import App
from .args import Delivery
from .render_namespace import CREDENTIALS_OBJECT

__all__ = ["Check", "as_data", "checklist"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to verify."""

    id: str
    """The requirement it proves."""
    what: str
    """What must hold."""
    command: tuple[str, ...]
    """A command that shows it, as arguments; no shell."""
    expected: str
    """What the command then prints or does."""
    likely_cause: str
    """Where to look if it does not."""


def checklist(app: App) -> tuple[Check, ...]:
    """List the checks of one application."""
    return (*_database(app), *_vault(app), *_namespace(app), *_delivery(app), *_hosts(app))


def as_data(checks: tuple[Check, ...]) -> list[dict[str, object]]:
    """Write checks as plain values, for a stack output."""
    return [{**asdict(check), "command": list(check.command)} for check in checks]


def _database(app: App) -> tuple[Check, ...]:
    if not app.args.has_database:
        return ()
    server, names = app.platform.postgres, app.names
    psql = ("psql", "-h", server.host, "-p", str(server.port), "-d", names.database, "-Atc")
    return (
        Check(
            id="PG-05",
            what=f"database {names.database} belongs to {names.owner_role}",
            command=(*psql, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"),
            expected=names.owner_role,
            likely_cause="the database was created by hand: adopt it, or give it to the owner role",
        ),
        Check(
            id="PG-34",
            what="nobody else may connect",
            command=(*psql, "SELECT has_database_privilege('public', current_database(), 'CONNECT')"),
            expected="f",
            likely_cause="a GRANT made by hand: run up again",
        ),
    )


def _vault(app: App) -> tuple[Check, ...]:
    names, mounts = app.names, app.platform.vault.mounts
    checks = []
    if app.args.uses_vault:
        checks.append(
            Check(
                id="VAULT-12",
                what="the runtime policy reads the application's own paths",
                command=("vault", "policy", "read", names.runtime_policy),
                expected="capabilities read only",
                likely_cause="the policy was changed by hand: run up again",
            )
        )
    if app.args.has_database:
        checks.append(
            Check(
                id="APP-24",
                what="Vault creates a short-lived database user",
                command=("vault", "read", f"{mounts.database}/creds/{names.database_role}"),
                expected="lease_id, username and password",
                likely_cause=f"Vault is sealed, or {names.owner_role} or {names.editor_role} is missing",
            )
        )
    return tuple(checks)


def _namespace(app: App) -> tuple[Check, ...]:
    if not app.owns_namespace:
        return ()
    kubectl = ("kubectl", "-n", app.names.namespace, "get")
    checks = [
        Check(
            id="NAME-13",
            what="the ServiceAccount exists",
            command=(*kubectl, "serviceaccount", app.names.service_account, "-o", "name"),
            expected=f"serviceaccount/{app.names.service_account}",
            likely_cause="the namespace is being deleted",
        )
    ]
    if app.args.has_database:
        checks.append(
            Check(
                id="APP-22",
                what="the operator delivered the credentials",
                command=(*kubectl, "secret", CREDENTIALS_OBJECT, "-o", "jsonpath={.data.username}"),
                expected="a value",
                likely_cause="the Vault Secrets Operator cannot log in: kubectl describe vaultauth auth",
            )
        )
    return tuple(checks)


def _delivery(app: App) -> tuple[Check, ...]:
    if not app.args.has_workload:
        return ()
    checks = []
    if app.args.delivery is Delivery.ARGOCD:
        place = app.platform.argocd.namespace
        status = "jsonpath={.status.sync.status} {.status.health.status}"
        checks.append(
            Check(
                id="APP-20",
                what="ArgoCD deployed the chart",
                command=("kubectl", "-n", place, "get", "application", app.names.application, "-o", status),
                expected="Synced Healthy",
                likely_cause="the repository is missing, or its chart holds a kind which the project does not admit",
            )
        )
    if app.owns_namespace:
        account = "jsonpath={range .items[*]}{.status.phase} {.spec.serviceAccountName}{end}"
        checks.append(
            Check(
                id="APP-21",
                what="the pod runs under the application's identity",
                command=("kubectl", "-n", app.names.namespace, "get", "pods", "-o", account),
                expected=f"Running {app.names.service_account}",
                likely_cause="the image cannot be pulled, or a Secret is missing: kubectl describe pod",
            )
        )
    return tuple(checks)


def _hosts(app: App) -> tuple[Check, ...]:
    return tuple(
        Check(
            id="APP-23",
            what=f"{host} answers",
            command=("curl", "-fsS", "-o", "/dev/null", "-w", "%{http_code}", _url(app, kind, host)),
            expected="200",
            likely_cause="no DNS record, no certificate, or the middleware refuses the caller",
        )
        for kind, hosts in app.hosts.items()
        for host in hosts
    )


def _url(app: App, kind: str, host: str) -> str:
    return f"{'https' if app.exposure[kind].tls else 'http'}://{host}/"
