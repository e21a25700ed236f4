"""What no single section can know about itself: rules across sections, checked on every part that is valid on its own.

Each rule is a generator of problems over a `Draft`; one rule's finding never hides another's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from components.app_stack.app import App
from components.app_stack.args import Delivery
from components.naming import DOCUMENTED, NamingError, conflicts

from . import guards
from .connections import CREDENTIALS
from .draft import Draft
from .explain import split_advice
from .machine_rules import MACHINE_RULES
from .needs import needs
from .problems import Path, Problem, did_you_mean
from .schema import ENCRYPTED_SECTIONS, SandboxArgs

__all__ = ["check"]

_MOVING_REVISIONS = frozenset({"HEAD", "main", "master"})


def check(draft: Draft) -> Iterator[Problem]:
    """Every problem of every rule."""
    for rule in _RULES:
        yield from rule(draft)


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
    for name, fix in draft.unknown("apps", declared):
        yield draft.problem(("secrets", name), "no such application", fix)
    for name, app in draft.apps.items():
        wanted, given = set(app.vault.config_keys), declared.get(name, frozenset[str]())
        for key in sorted(given - wanted):
            rule = f"is not in `factory:apps.{name}.vault.config_keys`"
            yield draft.problem(("secrets", name, key), rule, did_you_mean(key, wanted))
        for key in sorted(wanted - given):
            yield draft.missing_secret(("secrets", name, key), f"missing secret: {name} lists it in vault.config_keys")


def _editor_passwords(draft: Draft) -> Iterator[Problem]:
    given: frozenset[str] = draft.valid.get("editor_passwords", frozenset())
    for name, fix in draft.unknown("apps", sorted(given)):
        yield draft.problem(("editor_passwords", name), "no such application", fix)
    for name in sorted(given & draft.apps.keys()):
        if not draft.apps[name].has_database:
            rule = f"{name} has no database, so it has no editor role"
            yield draft.problem(("editor_passwords", name), rule, "Remove the key")


def _credentials(draft: Draft) -> Iterator[Problem]:
    known = {key for keys in CREDENTIALS.values() for key in keys}
    given: frozenset[str] = draft.valid.get("credentials", frozenset())
    for key in sorted(given - known):
        yield draft.problem(("credentials", key), "unknown key", did_you_mean(key, known))
    for connection in needs(draft.valid):
        if connection in CREDENTIALS and connection in draft.raw:
            for key, what in CREDENTIALS[connection].items():
                if key not in given:
                    yield draft.missing_secret(("credentials", key), f"missing secret: `{connection}` needs {what}")


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
    _credentials,
    _delivery,
    *MACHINE_RULES,
)
