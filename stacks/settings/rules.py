"""What no single section can know about itself: rules across sections, checked on every part that is valid on its own.

Each rule is a generator of problems over a `Draft`; one rule's finding never hides another's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.app_stack.app import App
from components.app_stack.args import AppStackArgs, Delivery
from components.app_stack.platform import PlatformArgs
from components.cm5_gateway import CM5GatewayArgs, Gateway, GatewayError
from components.cm5_gateway.args_edge import Keeper
from components.host.claims import conflicts as contested
from components.host.machine_args import LOGIN_SECRETS, MachineArgs
from components.host.remote_host import Sudo
from components.longhorn.args import LonghornArgs
from components.naming import DOCUMENTED, NamingError, conflicts
from components.services.vault.args import VaultFoundationArgs
from components.traefik_gateway.args_gateway import TraefikGatewayArgs
from components.traefik_gateway.args_notes import ProxmoxNotesArgs

from . import guards
from .connections import CREDENTIALS
from .explain import problem_at, split_advice
from .guards import Fingerprints
from .problems import Path, Problem, did_you_mean
from .schema import ENCRYPTED_SECTIONS, SandboxArgs
from .yaml_file import StackFile

__all__ = [
    "CM5_GATEWAY",
    "PROXMOX",
    "TRAEFIK_GATEWAY",
    "Draft",
    "app_needs",
    "check",
    "cm5_needs",
    "foundation_needs",
    "gateway_needs",
    "needs",
]

CM5_GATEWAY = "cm5_gateway"
"""The gateway's section, and the name of its secrets among those of the machines; no machine can have it."""
TRAEFIK_GATEWAY = "traefik_gateway"
"""The same of the gateway that faces the Internet."""
PROXMOX = "proxmox"
"""The same of the guests whose containers are asked for; one login opens all of them."""
_MOVING_REVISIONS = frozenset({"HEAD", "main", "master"})


@dataclass(frozen=True)
class Draft:
    """A configuration whose sections are valid one by one, or absent: as written (`raw`) and typed (`valid`)."""

    source: StackFile
    raw: Mapping[str, Any]
    valid: Mapping[str, Any]
    production: Fingerprints

    @property
    def environment(self) -> guards.Environment | None:
        """What the stack is, if that is known."""
        return self.valid.get("environment")

    @property
    def embedded(self) -> bool:
        """Whether the connections come from the running sandbox."""
        return self.valid.get("backends") == "embedded"

    @property
    def apps(self) -> Mapping[str, AppStackArgs]:
        """The applications that are valid on their own."""
        apps: Mapping[str, AppStackArgs] = self.valid.get("apps", {})
        return apps

    @property
    def hosts(self) -> Mapping[str, MachineArgs]:
        """The machines that are valid on their own."""
        hosts: Mapping[str, MachineArgs] = self.valid.get("hosts", {})
        return hosts

    @property
    def platform(self) -> PlatformArgs | None:
        """The platform, if it is valid."""
        return self.valid.get("platform")

    def problem(self, path: Path, rule: str, fix: str, value: object = None) -> Problem:
        """Make a problem with its place in the file."""
        return problem_at(self.source, path, rule, fix, value=value)


def check(draft: Draft) -> Iterator[Problem]:
    """Every problem of every rule."""
    for rule in _RULES:
        yield from rule(draft)


def needs(valid: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which connections the declared sections need, each with the keys that need it."""
    found: dict[str, list[str]] = {}
    by_key = foundation_needs(valid) | gateway_needs(valid) | longhorn_needs(valid) | cm5_needs(valid)
    by_key |= {f"apps.{name}": app_needs(app) for name, app in valid.get("apps", {}).items()}
    for key, connections in by_key.items():
        for connection in connections:
            found.setdefault(connection, []).append(key)
    return found


def foundation_needs(valid: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which connections each declared foundation needs."""
    found: dict[str, list[str]] = {}
    vault: VaultFoundationArgs | None = valid.get("vault_foundation")
    if vault is not None:
        # A Vault outside the cluster is given an identity in it, with which it has tokens reviewed.
        outside = vault.kubernetes is not None and vault.kubernetes.reviewer_namespace is not None
        found["vault_foundation"] = ["vault", *(["kubernetes"] if outside else [])]
    if valid.get("postgres_foundation") is not None:
        found["postgres_foundation"] = ["postgres"]
    return found


def gateway_needs(valid: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which credentials the gateway and the notes need: each section has one of its own."""
    gateway: TraefikGatewayArgs | None = valid.get("traefik_gateway")
    reads = gateway is not None and gateway.plugin is not None
    wanted = (("proxmox", valid.get("proxmox") is not None), ("traefik_gateway", reads))
    return {section: [section] for section, needed in wanted if needed}


def cm5_needs(valid: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which connections the home-automation gateway needs: Vault, where that keeps its authority."""
    args: CM5GatewayArgs | None = valid.get(CM5_GATEWAY)
    in_vault = args is not None and args.local_ca is not None and args.local_ca.keeper is Keeper.VAULT
    return {CM5_GATEWAY: ["vault"]} if in_vault else {}


def longhorn_needs(valid: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which connections the storage needs; its own are the keys of the store that backups go to."""
    args: LonghornArgs | None = valid.get("longhorn")
    if args is None:
        return {}
    target = args.backup_target
    return {"longhorn": ["kubernetes", *(["longhorn"] if target and target.needs_keys else [])]}


def app_needs(app: AppStackArgs) -> list[str]:
    """Which connections one application needs."""
    wanted = (("postgres", app.has_database), ("vault", app.uses_vault), ("kubernetes", app.has_workload))
    return [connection for connection, needed in wanted if needed]


def _gateway(draft: Draft) -> Iterator[Problem]:
    """TPX-200: whoever takes the gateway must not be able to write."""
    gateway: TraefikGatewayArgs | None = draft.valid.get("traefik_gateway")
    notes: ProxmoxNotesArgs | None = draft.valid.get("proxmox")
    if gateway is None or gateway.plugin is None or notes is None:
        return
    if gateway.plugin.token_id == notes.token_id:
        where = ("traefik_gateway", "plugin", "token_id")
        rule = "is the token that writes notes (TPX-200)"
        yield draft.problem(where, rule, "Make a token that can only read", value=notes.token_id)
    if gateway.plugin.version != notes.plugin_version:
        rule = "is not what the gateway runs, so predictions would be wrong"
        fix = "Write the version of `traefik_gateway.plugin`"
        yield draft.problem(("proxmox", "plugin_version"), rule, fix, value=notes.plugin_version)


def _environment(draft: Draft) -> Iterator[Problem]:
    sandbox: SandboxArgs | None = draft.valid.get("sandbox")
    if draft.environment == "prod":
        if draft.embedded:
            fix = "Describe the real connections, or set `factory:environment: sandbox`"
            yield draft.problem(("backends",), "production never runs on the embedded backends", fix, "embedded")
        if sandbox is not None:
            yield draft.problem(("sandbox",), "belongs to a sandbox (section 16.8)", "Remove the section")
        if draft.platform is not None and not draft.platform.protect_data:
            fix = "Remove the key; `decommission: true` removes one application's data on purpose"
            yield draft.problem(
                ("platform", "protect_data"), "production's data is always protected (POL-13)", fix, value=False
            )
    if draft.environment == "sandbox":
        if "sandbox" not in draft.raw:
            fix = "Write the section with `target_revision`"
            yield draft.problem(("sandbox",), "is required in a sandbox (section 16.8)", fix)
        elif sandbox is not None and draft.embedded == (sandbox.mode is not None):
            rule = (
                "says what a remote sandbox is made of"
                if draft.embedded
                else "is required unless the backends are embedded"
            )
            fix = "Remove the key" if draft.embedded else "Write k3d or vms, or `factory:backends: embedded`"
            yield draft.problem(("sandbox", "mode"), rule, fix, value=sandbox.mode)
        if sandbox is not None and sandbox.state_url is None and not draft.embedded:
            fix = "Name the backend of the sandbox's state"
            yield draft.problem(("sandbox", "state_url"), "is required unless the backends are embedded (POL-10)", fix)
        if sandbox is not None and sandbox.state_url is not None and not guards.carries_sandbox(sandbox.state_url):
            fix = "Use a bucket or folder with `sandbox` in its name, for example gs://site-sandbox"
            rule = "does not say that it is a sandbox's (POL-10)"
            yield draft.problem(("sandbox", "state_url"), rule, fix, value=sandbox.state_url)


def _fingerprints(draft: Draft) -> Iterator[Problem]:
    declared = draft.valid.get("fingerprints")
    if draft.environment == "prod" and declared is not None and not declared:
        rule = "says what marks production, and is empty: no sandbox could be kept away from it (POL-01)"
        yield draft.problem(("fingerprints",), rule, "Name at least the addresses and hosts of production")
    if draft.environment == "sandbox":
        if "fingerprints" in draft.raw:
            yield draft.problem(
                ("fingerprints",), "belongs into the stack file of production", "Move the section there"
            )
        if not draft.production:
            rule = "no stack file of production beside this one says what marks production (POL-01)"
            yield draft.problem(
                ("fingerprints",), rule, "Put this file beside production's, with its `factory:fingerprints`"
            )


def _isolation(draft: Draft) -> Iterator[Problem]:
    environment = draft.environment
    if environment is None:
        return
    if (path := draft.valid.get("unseal_keys_path")) and (rule := guards.unseal_path(environment, path)):
        yield draft.problem(("unseal_keys_path",), rule, "Give another path", value=path)
    if environment == "prod":
        return
    skipped = {"fingerprints", *ENCRYPTED_SECTIONS}
    for where, text, mark in guards.production_values(
        {key: value for key, value in draft.raw.items() if key not in skipped},
        draft.production,
        i_mean_prod=bool(draft.valid.get("i_mean_prod")),
        exempt=_is_image,
    ):
        fix = "Give the sandbox's own value"
        yield draft.problem(where, f"a sandbox may not reach production: {mark} (SBX-10, POL-01)", fix, value=text)
    sandbox: SandboxArgs | None = draft.valid.get("sandbox")
    if sandbox is not None and sandbox.target_revision in _MOVING_REVISIONS:
        fix = "Name a branch of the sandbox"
        where = ("sandbox", "target_revision")
        yield draft.problem(where, "is what production follows (SBX-07)", fix, value=sandbox.target_revision)
    for name, app in draft.apps.items():
        if app.argo.target_revision in _MOVING_REVISIONS - {"HEAD"}:
            where = ("apps", name, "argo", "target_revision")
            fix = "Remove it, `sandbox.target_revision` then applies, or name a branch of the sandbox"
            yield draft.problem(where, "is what production follows (SBX-07)", fix, value=app.argo.target_revision)


def _needs(draft: Draft) -> Iterator[Problem]:
    for connection, keys in needs(draft.valid).items():
        if not draft.embedded and connection not in draft.raw:
            rule = f"is needed by {', '.join(keys)}"
            yield draft.problem((connection,), rule, "Describe the connection, or remove what needs it")
    if "platform" not in draft.raw and draft.raw.get("apps"):
        yield draft.problem(("platform",), "is needed by apps", "Describe what the applications share")


def _names(draft: Draft) -> Iterator[Problem]:
    yield from _unresolved_names(draft)
    if draft.platform is None:
        return
    classes = draft.platform.exposure
    hosts: dict[str, tuple[str, ...]] = {}
    databases: dict[str, str] = {}
    for name, args in draft.apps.items():
        for index, exposure in enumerate(args.exposure):
            if exposure not in classes:
                where = ("apps", name, "exposure", index)
                rule = "is no exposure class of `factory:platform`"
                yield draft.problem(where, rule, did_you_mean(exposure, classes), value=exposure)
        # An unknown class is reported above; what else is wrong must still be found.
        known = tuple(exposure for exposure in args.exposure if exposure in classes)
        try:
            app = App.of(name, args.model_copy(update={"exposure": known}), draft.platform)
        except NamingError as error:
            yield draft.problem(("apps", name), *split_advice(str(error)))
            continue
        hosts[name] = app.all_hosts
        if args.has_database:
            databases[name] = app.names.database
    for clash in conflicts(hosts, databases):
        yield draft.problem(("apps", clash.app), *split_advice(clash.message))


def _unresolved_names(draft: Draft) -> Iterator[Problem]:
    """Judge the names of applications from which, for another mistake, nothing can be derived yet."""
    declared = draft.raw.get("apps")
    if not isinstance(declared, Mapping):
        return
    strategy = draft.platform.naming if draft.platform else DOCUMENTED
    for name, app in declared.items():
        if draft.platform and name in draft.apps:
            continue
        platform = isinstance(app, Mapping) and app.get("platform_application") is True
        try:
            strategy.check(str(name), platform=platform)
        except NamingError as error:
            yield draft.problem(("apps", name), *split_advice(str(error)))


def _clients(draft: Draft) -> Iterator[Problem]:
    owner: dict[str, str] = {}
    for name, app in draft.apps.items():
        client = app.ci.oauth_client_id
        if client is not None and owner.setdefault(client, name) != name:
            rule = f"is the client of {owner[client]} already: its tokens would log in as both (VAULT-71)"
            fix = "Register an OAuth2 client per repository"
            yield draft.problem(("apps", name, "ci", "oauth_client_id"), rule, fix, value=client)


def _secrets(draft: Draft) -> Iterator[Problem]:
    declared: Mapping[str, frozenset[str]] = draft.valid.get("secrets", {})
    known = draft.raw.get("apps") or {}
    for name in declared:
        if name not in known:
            yield draft.problem(("secrets", name), "no such application", did_you_mean(name, known))
    for name, app in draft.apps.items():
        wanted, given = set(app.vault.config_keys), declared.get(name, frozenset[str]())
        for key in sorted(given - wanted):
            rule = f"is not in `factory:apps.{name}.vault.config_keys`"
            yield draft.problem(("secrets", name, key), rule, did_you_mean(key, wanted))
        for key in sorted(wanted - given):
            yield _unset(draft, ("secrets", name, key), f"missing secret: {name} lists it in vault.config_keys")


def _editor_passwords(draft: Draft) -> Iterator[Problem]:
    known = draft.raw.get("apps") or {}
    given: frozenset[str] = draft.valid.get("editor_passwords", frozenset())
    for name in sorted(given):
        where = ("editor_passwords", name)
        if name not in known:
            yield draft.problem(where, "no such application", did_you_mean(name, known))
        elif name in draft.apps and not draft.apps[name].has_database:
            yield draft.problem(where, f"{name} has no database, so it has no editor role", "Remove the key")


def _credentials(draft: Draft) -> Iterator[Problem]:
    known = {key for keys in CREDENTIALS.values() for key in keys}
    given: frozenset[str] = draft.valid.get("credentials", frozenset())
    for key in sorted(given - known):
        yield draft.problem(("credentials", key), "unknown key", did_you_mean(key, known))
    for connection in needs(draft.valid):
        if connection in CREDENTIALS and connection in draft.raw:
            for key, what in CREDENTIALS[connection].items():
                if key not in given:
                    yield _unset(draft, ("credentials", key), f"missing secret: `{connection}` needs {what}")


def _hosts(draft: Draft) -> Iterator[Problem]:
    declared: Mapping[str, frozenset[str]] = draft.valid.get("host_secrets", {})
    known = draft.raw.get("hosts") or {}
    for name in declared:
        if name not in known and not (name in {CM5_GATEWAY, TRAEFIK_GATEWAY, PROXMOX} and name in draft.raw):
            yield draft.problem(("host_secrets", name), "no such host", did_you_mean(name, known))
    for name, machine in draft.hosts.items():
        if machine.connection is None:
            rule = "is required unless the backends are embedded"
            yield draft.problem(("hosts", name, "connection"), rule, "Say how the machine is reached")
        given = declared.get(name, frozenset[str]())
        for key in sorted(given - machine.secrets - set(LOGIN_SECRETS)):
            rule = f"is in no `contents` of `factory:hosts.{name}`"
            wanted = [*machine.secrets, *LOGIN_SECRETS]
            yield draft.problem(("host_secrets", name, key), rule, did_you_mean(key, wanted))
        for key in sorted(machine.secrets - given):
            yield _unset(draft, ("host_secrets", name, key), f"missing secret: the host {name} needs it")


def _roles(draft: Draft) -> Iterator[Problem]:
    """Two roles of one machine, under whatever names it is described, cannot both have one thing."""
    before: list[tuple[object, str, Mapping[str, Any]]] = []
    for name, machine in draft.hosts.items():
        place = machine.connection.identity if machine.connection else name
        for role, args in machine.roles.items():
            document = args.document()
            for other_place, other, theirs in before:
                for claim in contested(document, theirs) if place == other_place else ():
                    path = ("hosts", name, "roles", role, claim.kind, claim.key)
                    rule = f"is also claimed by the role {other} of this machine"
                    yield draft.problem(path, rule, "Keep it in one of the two")
            before.append((place, f"{name}.{role}", document))


def _cm5_gateway(draft: Draft) -> Iterator[Problem]:
    """Judge what the gateway's own model cannot: its secrets, and what follows from all of its values together."""
    args: CM5GatewayArgs | None = draft.valid.get(CM5_GATEWAY)
    if args is None:
        return
    try:
        Gateway.of(args)
    except GatewayError as error:
        for message in error.problems:
            yield draft.problem((CM5_GATEWAY,), *split_advice(message))
    given = draft.valid.get("host_secrets", {}).get(CM5_GATEWAY, frozenset[str]())
    for key in sorted(given - args.secrets - set(LOGIN_SECRETS)):
        rule = f"no part of `factory:{CM5_GATEWAY}` names it"
        yield draft.problem(
            ("host_secrets", CM5_GATEWAY, key), rule, did_you_mean(key, [*args.secrets, *LOGIN_SECRETS])
        )
    for key in sorted(args.secrets - given):
        yield _unset(draft, ("host_secrets", CM5_GATEWAY, key), "missing secret: the gateway needs it")


def _gateway_logins(draft: Draft) -> Iterator[Problem]:
    """Judge the secrets that open the gateway's machine and the guests: they have no others."""
    given: Mapping[str, frozenset[str]] = draft.valid.get("host_secrets", {})
    for section in (TRAEFIK_GATEWAY, PROXMOX):
        if draft.valid.get(section) is not None:
            for key in sorted(given.get(section, frozenset[str]()) - set(LOGIN_SECRETS)):
                rule = f"opens no machine of `factory:{section}`"
                yield draft.problem(("host_secrets", section, key), rule, did_you_mean(key, LOGIN_SECRETS))
    gateway: TraefikGatewayArgs | None = draft.valid.get(TRAEFIK_GATEWAY)
    password = "sudo_password"  # noqa: S105 - the name of a secret, not the secret
    if gateway and gateway.host.sudo is Sudo.PASSWORD and password not in given.get(TRAEFIK_GATEWAY, ()):
        yield _unset(draft, ("host_secrets", TRAEFIK_GATEWAY, password), "missing secret: the gateway needs it")


def _unset(draft: Draft, path: Path, rule: str) -> Problem:
    """Report a secret that is not there.

    Before `pulumi stack init` a file cannot hold one, so it is then still to be completed.
    """
    first = "" if draft.source.initialised else "`pulumi stack init`, then "
    fix = f"Run {first}`pulumi config set --secret --path '{'.'.join(str(part) for part in path)}'`"
    found = draft.problem(path, rule, fix)
    return found if draft.source.initialised else Problem(**{**vars(found), "pending": True})


def _delivery(draft: Draft) -> Iterator[Problem]:
    """SBX-18: the image updater writes into repositories and registries, a sandbox has none of its own."""
    if draft.environment != "sandbox":
        return
    for name, app in draft.apps.items():
        if app.image.auto_update and app.delivery is Delivery.ARGOCD:
            where = ("apps", name, "image", "auto_update")
            yield draft.problem(
                where, "a sandbox never lets the image updater write (SBX-18)", "Remove the key", value=True
            )


def _is_image(path: Path) -> bool:
    """Tell images apart: a sandbox may pull from the registry of production (SBX-18)."""
    return path == ("platform", "registry") or (path[0] == "apps" and path[2:] == ("image", "repository"))


_RULES: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    _environment,
    _fingerprints,
    _isolation,
    _needs,
    _names,
    _clients,
    _secrets,
    _editor_passwords,
    _hosts,
    _roles,
    _cm5_gateway,
    _credentials,
    _gateway,
    _gateway_logins,
    _delivery,
)
