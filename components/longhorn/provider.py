"""Longhorn's recovery as resources (DRV-001 .. DRV-006): thin adapters over the flow, which knows nothing of Pulumi.

The classes' names are public: they stand in people's state. None holds a client or a secret; each opens what it needs
from its inputs and closes it again. A preview opens nothing. Deleting one of these resources deletes no data (INV-017).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi import dynamic

from ..model import Model
from ..provider_messages import one_sentence
from .flow.agent import AgentError
from .flow.diagnosis import capture, diagnose
from .flow.dump import DumpError, collect
from .flow.dump_store import DumpFolder, read, select
from .flow.facts import deep, observe
from .flow.interfaces import ClusterError, NodeError
from .flow.marks import COMPLETE, TICKET, mark_of
from .flow.opening import open_cluster, open_nodes, open_world, read_site
from .flow.patience import PatientCluster
from .flow.recover import PreflightError, Recovery
from .flow.report import Outcome
from .flow.restore import restore
from .flow.site import SiteArgs
from .flow.system_clock import SystemClock
from .flow.volumes import FlowSettings, InvalidInputError, VolumeInput, parse
from .flow.world import Consent

__all__ = [
    "LonghornDiagnosis",
    "LonghornDiagnosisProvider",
    "LonghornVolumeRecovery",
    "LonghornVolumeRecoveryProvider",
    "ProviderError",
    "PvcObjectBackup",
    "PvcObjectBackupProvider",
    "PvcObjectRestore",
    "PvcObjectRestoreProvider",
]

_CONNECTION: Final = ("kubeconfig", "context", "private_key", "state_folder")
_SECRETS: Final = ("kubeconfig", "private_key")
_DOCUMENTS: Final[Mapping[str, type[Model]]] = {"site": SiteArgs, "volume": VolumeInput, "settings": FlowSettings}
_OUTPUTS: Final = ("report", "drift", "diagnosis", "files", "counts")


class ProviderError(Exception):
    """One clean sentence for the person at the terminal."""


_FORESEEN: Final = (
    AgentError,
    ClusterError,
    DumpError,
    InvalidInputError,
    NodeError,
    OSError,
    PreflightError,
    ProviderError,
)


def _changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    keys = (set(olds) | set(news)) - {*_OUTPUTS, *_CONNECTION, "__provider"}
    return any(_whole(key, olds.get(key)) != _whole(key, news.get(key)) for key in keys)


def _whole(key: str, value: Any) -> Any:  # noqa: ANN401 - any property
    """Read a document with the defaults of today: a state of an earlier release lacks the keys that came later."""
    try:
        return _DOCUMENTS[key].model_validate(value) if value is not None else None
    except (KeyError, ValueError):
        return value


def _failures(error: InvalidInputError, name: str) -> list[dynamic.CheckFailure]:
    return [dynamic.CheckFailure(name, problem) for problem in error.problems]


def _volume(props: Mapping[str, Any], settings: FlowSettings) -> VolumeInput:
    return parse({"longhorn_recovery_volumes": [props["volume"]]}, settings)[0]


def _private_key(props: Mapping[str, Any]) -> str | None:
    return props.get("private_key") or None


class _Rerun(dynamic.ResourceProvider):
    """What all four are: work that may be done again, whose every change is an update and whose end removes nothing."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Replace never; a changed input is an update."""
        return dynamic.DiffResult(changes=_changed(olds, news), replaces=[])

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Do the work, or go on where an earlier create stopped."""
        return dynamic.CreateResult(id_=self._id(props), outs=self._done(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Do it again: what is done stays done."""
        return dynamic.UpdateResult(outs=self._done(news))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Forget the resource; data, copies, images, dumps and objects stay (INV-017)."""

    @abstractmethod
    def _id(self, props: Mapping[str, Any]) -> str: ...

    @abstractmethod
    def _done(self, props: Mapping[str, Any]) -> dict[str, Any]: ...


class LonghornVolumeRecoveryProvider(_Rerun):
    """Recovers one volume when it is created; resumes by the journal when that failed half-way."""

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.CheckResult:
        """Validate everything that needs no connection (DRV-002, DRV-006)."""
        failures: list[dynamic.CheckFailure] = []
        try:
            site = read_site(news["site"])
            volume = _volume(news, site.settings)
        except InvalidInputError as error:
            return dynamic.CheckResult(news, _failures(error, "volume"))
        before = (olds.get("volume") or {}).get("pv_name")
        if before and before != volume.pv_name:
            failures.append(dynamic.CheckFailure("volume", f"another volume is another resource: this one is {before}"))
        if news.get("confirm") != volume.pv_name:
            message = f"type the volume's name to allow its recovery: confirm = {volume.pv_name!r}"
            failures.append(dynamic.CheckFailure("confirm", message))
        return dynamic.CheckResult(news, failures)

    @one_sentence(*_FORESEEN, raised=ProviderError)
    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        """Compare Volume, PersistentVolume, claim and ticket with what a recovery leaves."""
        site = read_site(props["site"])
        volume = _volume(props, site.settings)
        facts = observe(open_cluster(props["kubeconfig"], props.get("context")), volume, site.settings)
        if facts.volume is None:
            return dynamic.ReadResult(id_="", outs={})
        expected = {
            "Volume complete": bool(mark_of(facts.volume, COMPLETE)),
            "PersistentVolume kept": deep(facts.pv, "spec", "persistentVolumeReclaimPolicy") == "Retain",
            "claim bound": deep(facts.claim, "status", "phase") == "Bound"
            and deep(facts.claim, "spec", "volumeName") == volume.pv_name,
            "no recovery ticket": TICKET not in (deep(facts.ticket_holder, "spec", "attachmentTickets") or {}),
        }
        drift = [key for key, holds in expected.items() if not holds]
        return dynamic.ReadResult(id_=id_, outs={**props, "drift": drift})

    def _id(self, props: Mapping[str, Any]) -> str:
        return str(props["volume"]["pv_name"])

    @one_sentence(*_FORESEEN, raised=ProviderError)
    def _done(self, props: Mapping[str, Any]) -> dict[str, Any]:
        site = read_site(props["site"])
        volume = _volume(props, site.settings)
        consent = Consent(yes=True, named=frozenset({str(props["confirm"])}))
        folder = Path(props["state_folder"]).expanduser()
        with open_world(
            site, props["kubeconfig"], folder, context=props.get("context"), private_key=_private_key(props)
        ) as world:
            report = Recovery(world, [volume], consent).run()
        found = report.volumes[0]
        if found.outcome is Outcome.FAILED:
            message = f"{volume.pv_name} stopped after {found.phase}: {found.error}; run again to go on from there"
            raise ProviderError(message)
        return {**props, "report": report.as_dict(), "drift": []}


class LonghornDiagnosisProvider(_Rerun):
    """Looks at the control plane; never changes anything."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.CheckResult:
        """Validate the site."""
        try:
            read_site(news["site"])
        except InvalidInputError as error:
            return dynamic.CheckResult(news, _failures(error, "site"))
        return dynamic.CheckResult(news, [])

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        """Look again: a refresh is a diagnosis."""
        return dynamic.ReadResult(id_=id_, outs=self._done(props))

    def _id(self, _props: Mapping[str, Any]) -> str:
        return "longhorn"

    @one_sentence(*_FORESEEN, raised=ProviderError)
    def _done(self, props: Mapping[str, Any]) -> dict[str, Any]:
        site = read_site(props["site"])
        cluster = PatientCluster(open_cluster(props["kubeconfig"], props.get("context")), SystemClock())
        with open_nodes(site, private_key=_private_key(props)) as nodes:
            found = diagnose(capture(cluster, nodes.values(), site.settings))
        return {**props, "diagnosis": found.as_dict()}


class PvcObjectBackupProvider(_Rerun):
    """Dumps the objects into folders off the storage that they describe."""

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Dump again when an input changed, and when a refresh found the last dump gone or damaged."""
        return dynamic.DiffResult(changes=_changed(olds, news) or bool(olds.get("drift")), replaces=[])

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        """Name the files that are gone or changed."""
        lost = []
        for file in props.get("files", ()):
            try:
                read(Path(file))
            except DumpError as error:
                lost.append(str(error))
        return dynamic.ReadResult(id_=id_, outs={**props, "drift": lost})

    def _id(self, _props: Mapping[str, Any]) -> str:
        return "objects"

    @one_sentence(*_FORESEEN, raised=ProviderError)
    def _done(self, props: Mapping[str, Any]) -> dict[str, Any]:
        now = time.time()
        dump = collect(open_cluster(props["kubeconfig"], props.get("context")), now)
        folders = [DumpFolder(Path(item).expanduser(), int(props["keep"])) for item in props["folders"]]
        files = [str(folder.write(dump, now)) for folder in folders]
        return {**props, "files": files, "counts": dump.counts, "drift": []}


class PvcObjectRestoreProvider(_Rerun):
    """Brings objects of a dump back. Volumes that come back empty are a failure, with what to do (GLK-017)."""

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        """Keep what is known: the objects are their owners' now."""
        return dynamic.ReadResult(id_=id_, outs=props)

    def _id(self, _props: Mapping[str, Any]) -> str:
        return "restored"

    @one_sentence(*_FORESEEN, raised=ProviderError)
    def _done(self, props: Mapping[str, Any]) -> dict[str, Any]:
        clock = SystemClock()
        settings = FlowSettings.model_validate(props["settings"])
        folders = [Path(item).expanduser() for item in props["folders"]]
        chosen = select(folders, clock.now(), date=props.get("date") or "", before=props.get("before") or "")
        cluster = open_cluster(props["kubeconfig"], props.get("context"))
        report = restore(cluster, chosen.dump, settings, clock, claims=props.get("claims") or ())
        if not report.complete:
            bad = [f"{name}: {outcome.value} {why}".strip() for name, outcome, why in report.objects if why]
            bad += [f"{name}: {found.value}" for name, found in report.data.items() if found.value != "data present"]
            held = f"; keep at 0: {', '.join(report.held)}" if report.held else ""
            message = f"the restore is not complete: {'; '.join(bad)}{held}"
            raise ProviderError(message)
        return {**props, "files": [str(chosen.path)], "report": report.as_dict()}


def _inputs(given: Mapping[str, Any], *outputs: str) -> dict[str, Any]:
    secrets = {key: pulumi.Output.secret(given[key]) for key in _SECRETS if given.get(key) is not None}
    return {**given, **secrets, **dict.fromkeys(outputs)}


class LonghornVolumeRecovery(dynamic.Resource, module="factory", name="LonghornVolumeRecovery"):
    """One volume, recovered from its replica directories (DRV-001)."""

    report: pulumi.Output[dict[str, Any]]
    """Source, candidates, copy and image with their digests, warnings, phases and their times."""
    drift: pulumi.Output[list[str]]
    """What a refresh found to be different from what a recovery leaves."""

    def __init__(
        self,
        name: str,
        site: SiteArgs,
        volume: VolumeInput,
        *,
        confirm: str,
        kubeconfig: pulumi.Input[str],
        state_folder: str,
        context: str | None = None,
        private_key: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Recover ``volume``; ``confirm`` is its name, typed once more. ``state_folder`` keeps journal and evidence."""
        given = {
            "site": site.model_dump(mode="json"),
            "volume": volume.model_dump(mode="json"),
            "confirm": confirm,
            "kubeconfig": kubeconfig,
            "context": context,
            "private_key": private_key,
            "state_folder": state_folder,
        }
        super().__init__(LonghornVolumeRecoveryProvider(), name, _inputs(given, "report", "drift"), opts)


class LonghornDiagnosis(dynamic.Resource, module="factory", name="LonghornDiagnosis"):
    """What is wrong with Longhorn's control plane, and which step would be next; read-only (DRV-004)."""

    diagnosis: pulumi.Output[dict[str, Any]]
    """State, reasons, ladder, and the facts they come from."""

    def __init__(
        self,
        name: str,
        site: SiteArgs,
        *,
        kubeconfig: pulumi.Input[str],
        context: str | None = None,
        private_key: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Look at the control plane of a site."""
        given = {
            "site": site.model_dump(mode="json"),
            "kubeconfig": kubeconfig,
            "context": context,
            "private_key": private_key,
        }
        super().__init__(LonghornDiagnosisProvider(), name, _inputs(given, "diagnosis"), opts)


class PvcObjectBackup(dynamic.Resource, module="factory", name="PvcObjectBackup"):
    """The objects of all volumes, dumped and verified (BKP)."""

    files: pulumi.Output[list[str]]
    """The dump in each folder."""
    counts: pulumi.Output[dict[str, int]]
    """Objects by kind."""
    drift: pulumi.Output[list[str]]
    """Files that a refresh found gone or changed."""

    def __init__(
        self,
        name: str,
        *,
        folders: Sequence[str],
        kubeconfig: pulumi.Input[str],
        trigger: pulumi.Input[str] = "",
        keep: int = 14,
        context: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Dump into ``folders``, none of them on Longhorn; another ``trigger`` dumps again, ``keep`` good ones stay."""
        given = {
            "folders": list(folders),
            "kubeconfig": kubeconfig,
            "context": context,
            "trigger": trigger,
            "keep": keep,
        }
        super().__init__(PvcObjectBackupProvider(), name, _inputs(given, "files", "counts", "drift"), opts)


class PvcObjectRestore(dynamic.Resource, module="factory", name="PvcObjectRestore"):
    """Objects from a dump; never a success while a volume is empty (GLK-017)."""

    report: pulumi.Output[dict[str, Any]]
    """What came of each object."""

    def __init__(
        self,
        name: str,
        settings: FlowSettings,
        *,
        folders: Sequence[str],
        kubeconfig: pulumi.Input[str],
        date: str = "",
        before: str = "",
        claims: Sequence[str] = (),
        context: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Restore the newest good dump of ``folders``, of a ``date`` or from ``before`` an incident, or some claims."""
        given = {
            "settings": settings.model_dump(mode="json"),
            "folders": list(folders),
            "kubeconfig": kubeconfig,
            "context": context,
            "date": date,
            "before": before,
            "claims": list(claims),
        }
        super().__init__(PvcObjectRestoreProvider(), name, _inputs(given, "report", "files"), opts)
