"""The control plane's diagnosis, row by row of DT-3, and the ladder: what it does, and above all what it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.host.transport_local import LocalTransport
from components.longhorn.flow import teardown as removal
from components.longhorn.flow.diagnosis import ControlPlaneFacts, Level, State, capture, diagnose
from components.longhorn.flow.dump import collect
from components.longhorn.flow.dump_store import DumpFolder, select
from components.longhorn.flow.escalate import EscalationError, escalate, reinstall_steps
from components.longhorn.flow.interfaces import KINDS, Cluster, ClusterError, Completed, Node, NodeError, Ref
from components.longhorn.flow.inventory import Inventory, InventoryError, take_inventory
from components.longhorn.flow.journal import Evidence, Journal
from components.longhorn.flow.steps import StopError
from components.longhorn.flow.teardown import teardown, unfit
from components.longhorn.flow.transport_node import TransportNode
from components.longhorn.flow.volumes import FlowSettings
from tests.support.fake_longhorn import NAMESPACE, managers
from tests.support.memory_cluster import MemoryCluster
from tests.support.recovery_node import FakeClock

NODES = ("node1", "node2", "node3")
ALL_UP = (("manager-a", True), ("manager-b", True), ("manager-c", True))
ONE_DOWN = (("manager-a", True), ("manager-b", False), ("manager-c", True))
THERE = dict.fromkeys(NODES, True)
SETTINGS = FlowSettings(nodes=NODES, data_path="/srv/longhorn", backup_base="/srv/backups", merged_base="/srv/merged")


def facts(**changes: Any) -> ControlPlaneFacts:
    healthy: dict[str, Any] = {
        "api_answers": True,
        "namespace": "Active",
        "driver_registered": True,
        "managers": ALL_UP,
        "sockets": dict(THERE),
        "data": dict(THERE),
    }
    return ControlPlaneFacts(**healthy | changes)


L = Level
ROWS: list[tuple[str, dict[str, Any], State, tuple[Level, ...]]] = [
    (
        "namespace missing",
        {"namespace": "", "driver_registered": False, "managers": ()},
        State.MISSING,
        (L.L6,),
    ),
    ("driver absent, managers run", {"driver_registered": False}, State.SOFT, (L.L1, L.L2, L.L4, L.L5, L.L6)),
    (
        "driver absent, a manager down",
        {"driver_registered": False, "managers": ONE_DOWN},
        State.HARD,
        (L.L1, L.L3, L.L4, L.L5, L.L6),
    ),
    ("driver there, a manager down", {"managers": ONE_DOWN}, State.HARD, (L.L1, L.L3, L.L5, L.L6)),
    ("no manager at all", {"managers": ()}, State.HARD, (L.L1, L.L3, L.L5, L.L6)),
    ("a socket missing", {"sockets": {**THERE, "node2": False}}, State.SOCKETS, (L.L4, L.L1)),
    ("healthy", {}, State.NONE, ()),
    ("terminating", {"namespace": "Terminating", "pending_finalizers": 84}, State.TERMINATING, (L.L6,)),
    ("no API", {"api_answers": False}, State.UNREACHABLE, ()),
]


@pytest.mark.parametrize(("seen", "state", "ladder"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_row(seen: dict[str, Any], state: State, ladder: tuple[Level, ...]) -> None:
    found = diagnose(facts(**seen))
    assert (found.state, found.ladder) == (state, ladder)
    assert found.needs_confirmation == (state in {State.MISSING, State.TERMINATING})
    assert bool(found.reasons) == (state is not State.NONE)
    assert found.as_dict()["state"] == state.value.strip()


def test_a_missing_socket_is_about_its_node() -> None:
    assert diagnose(facts(sockets={**THERE, "node2": False})).nodes == ("node2",)


def test_a_silent_node_is_not_a_missing_socket() -> None:
    assert diagnose(facts(sockets={**THERE, "node2": None})).healthy


def test_further_signals_are_named() -> None:
    found = diagnose(
        facts(
            managers=ONE_DOWN,
            stuck_deployer=True,
            webhook_deadlock=True,
            data={**THERE, "node3": False},
            registered_nodes=("node1", "node2"),
            parts_down=("csi-attacher (critical)",),
            unwell=("pvc-a faulted",),
        )
    )
    text = " ".join(found.reasons)
    assert "manager-b" in text
    assert "FM-24" in text
    assert "FM-23" in text
    assert "CRITICAL: no data directory on node3" in text
    assert "not registered on node3" in text
    assert "not ready: csi-attacher (critical)" in text
    assert "volumes: pvc-a faulted" in text


def test_parts_and_volumes_are_looked_at(plane: Plane) -> None:
    """LHP-066, LHP-070, LHP-071."""
    waiting = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}
    for name, labels in (
        ("csi-attacher-1", {"app": "csi-attacher"}),
        ("image-1", {"longhorn.io/component": "engine-image"}),
        ("stranger", {"app": "something"}),
    ):
        plane.cluster.add(Ref("Pod", name, NAMESPACE), {"metadata": {"labels": labels}, "status": waiting})
    done = {"phase": "Succeeded", "conditions": []}
    plane.cluster.add(Ref("Pod", "ui-1", NAMESPACE), {"metadata": {"labels": {"app": "longhorn-ui"}}, "status": done})
    for name, robustness in (("pvc-a", "faulted"), ("pvc-b", "healthy"), ("pvc-c", "unknown")):
        plane.cluster.add(Ref("longhorn.Volume", name, NAMESPACE), {"status": {"robustness": robustness}})
    nodes: list[Node] = list(plane.hosts)
    found = capture(plane.cluster, nodes, SETTINGS)
    # The fixture's deployer is there without a word about its readiness.
    assert found.parts_down == (
        "longhorn-driver-deployer (critical)",
        "csi-attacher (critical)",
        "engine-image (high)",
    )
    assert found.unwell == ("pvc-a faulted",)


@dataclass
class Host:
    """A node as the ladder sees it. ``effect`` changes the cluster when a command runs."""

    name: str
    directories: dict[str, int]
    socket: bool = True
    commands: list[str] = field(default_factory=list)
    effect: Any = None
    unreachable: bool = False
    disk: str = '{"diskUUID":"0"}'
    unfit: str = ""

    def run(self, command: Sequence[str], *, timeout: float = 60) -> Completed:  # noqa: ARG002 - the protocol's
        if self.unreachable:
            raise NodeError(f"{self.name}: no answer")
        name = command[3].removeprefix("factory-")
        if name == "look":
            return Completed(0, f"socket={'yes' if self.socket else 'no'}\ndata=yes\n", "")
        if name == "inventory":
            disk = f"disk\t{self.disk}\n" if self.disk else ""
            return Completed(0, disk + "".join(f"{size}\t{path}\n" for path, size in self.directories.items()), "")
        if name == "fit":
            return Completed(0, self.unfit, "")
        self.commands.append(name)
        if self.effect:
            self.effect(name)
        return Completed(0, "", "")

    def put(self, content: bytes, target: str, mode: int = 0o644) -> None:
        raise NotImplementedError


@dataclass
class Plane:
    """A control plane in memory."""

    tmp_path: Path
    cluster: MemoryCluster
    hosts: list[Host]
    clock: FakeClock
    dumps: list[int] = field(default_factory=list)

    def climb(self, limit: Level = Level.L5) -> Any:
        evidence = Evidence(self.tmp_path, "run", self.clock)

        def dump() -> str:
            self.dumps.append(len(self.cluster.mutations) + sum(len(host.commands) for host in self.hosts))
            return "a dump"

        nodes: list[Node] = list(self.hosts)
        plane: Cluster = self.cluster
        return escalate(plane, nodes, self.clock, SETTINGS, evidence, limit=limit, dump=dump)


@pytest.fixture
def plane(tmp_path: Path) -> Plane:
    clock = FakeClock()
    cluster = MemoryCluster(clock.now)
    for ref, body in managers(NODES):
        cluster.add(ref, body)
    cluster.add(Ref("Namespace", NAMESPACE), {"status": {"phase": "Active"}})
    for name in ("longhorn-manager", "longhorn-csi-plugin"):
        cluster.add(Ref("DaemonSet", name, NAMESPACE), {"spec": {"template": {}}})
    deployer = {"metadata": {"labels": {"app": "longhorn-driver-deployer"}}, "status": {"phase": "Pending"}}
    cluster.add(Ref("Pod", "deployer", NAMESPACE), deployer)
    cluster.add(Ref("Pod", "other", NAMESPACE), {"metadata": {"labels": {"app": "else"}}})
    return Plane(tmp_path, cluster, [Host(name, {"pvc-a-01234567": 900}) for name in NODES], clock)


def test_def_01_a_healthy_cluster_is_never_touched(plane: Plane) -> None:
    found = plane.climb()
    assert found.before.healthy
    assert found.climbed == ()
    assert plane.cluster.mutations == []
    assert plane.dumps == []
    assert all(host.commands == [] for host in plane.hosts)


def test_def_04_an_absent_driver_is_soft(plane: Plane) -> None:
    plane.cluster.remove(Ref("CSIDriver", "driver.longhorn.io"))
    nodes: list[Node] = list(plane.hosts)
    assert diagnose(capture(plane.cluster, nodes, SETTINGS)).state is State.SOFT


def test_def_21_pods_alone_are_no_success(plane: Plane) -> None:
    """Many pods run, the driver is not registered: every level is climbed, and the last answer is not `healthy`."""
    plane.cluster.remove(Ref("CSIDriver", "driver.longhorn.io"))
    found = plane.climb()
    assert [level.name for level in found.climbed] == ["L1", "L2", "L4", "L5"]
    assert not found.after.healthy
    assert found.next_level is Level.L6


def test_def_30_only_the_deployers_pods_are_deleted(plane: Plane) -> None:
    plane.cluster.remove(Ref("CSIDriver", "driver.longhorn.io"))
    plane.climb()
    deleted = [step for step in plane.cluster.mutations if step.startswith("delete")]
    assert deleted == [f"delete Pod {NAMESPACE}/deployer"]


def test_it_stops_at_the_first_level_that_helps(plane: Plane) -> None:
    """LHP-001; and L1 goes node by node, before any pod is deleted (LHP-030, LHP-036)."""
    plane.cluster.remove(Ref("CSIDriver", "driver.longhorn.io"))

    def heal(name: str) -> None:
        if name == "touch" and plane.cluster.get(Ref("CSIDriver", "driver.longhorn.io")) is None:
            plane.cluster.add(Ref("CSIDriver", "driver.longhorn.io"), {"spec": {}})

    plane.hosts[0].effect = heal
    found = plane.climb()
    assert [level.name for level in found.climbed] == ["L1", "L2"]
    assert found.after.healthy
    assert plane.hosts[2].commands == ["restart-k3s", "touch"]
    assert plane.cluster.mutations == []


def test_a_dump_comes_before_every_level(plane: Plane) -> None:
    plane.cluster.remove(Ref("CSIDriver", "driver.longhorn.io"))
    found = plane.climb()
    assert len(plane.dumps) == len(found.climbed)
    assert plane.dumps == sorted(plane.dumps)
    assert plane.dumps[0] == 0


def test_the_levels_that_remove_nothing_go_on_without_a_dump_and_say_so(plane: Plane, tmp_path: Path) -> None:
    """LHP-013, FM-28: the folder of the dumps may be what is down."""
    plane.cluster.remove(Ref("CSIDriver", "driver.longhorn.io"))

    def dump() -> str:
        raise OSError("no space left")

    nodes: list[Node] = list(plane.hosts)
    evidence = Evidence(tmp_path, "x", plane.clock)
    found = escalate(plane.cluster, nodes, plane.clock, SETTINGS, evidence, limit=Level.L2, dump=dump)
    assert [level.name for level in found.climbed] == ["L1", "L2"]
    assert found.warnings == ("no dump before L1: no space left", "no dump before L2: no space left")
    assert plane.cluster.mutations == []


def test_the_limit_is_kept(plane: Plane) -> None:
    plane.cluster.remove(Ref("CSIDriver", "driver.longhorn.io"))
    found = plane.climb(Level.L2)
    assert [level.name for level in found.climbed] == ["L1", "L2"]
    assert found.next_level is Level.L4


def test_a_reinstall_is_never_automatic(plane: Plane) -> None:
    """LHP-005, LHP-035: neither by asking for it nor because everything else failed."""
    with pytest.raises(EscalationError, match="one by one"):
        plane.climb(Level.L6)
    plane.cluster.remove(Ref("Namespace", NAMESPACE))
    found = plane.climb()
    assert found.climbed == ()
    assert found.next_level is Level.L6
    assert plane.cluster.mutations == []


def test_a_lost_directory_stops_the_climb(plane: Plane) -> None:
    """INV-014, FM-29."""
    plane.cluster.remove(Ref("CSIDriver", "driver.longhorn.io"))
    plane.hosts[1].effect = lambda _name: plane.hosts[1].directories.clear()
    with pytest.raises(EscalationError, match="node2:pvc-a-01234567 has disappeared"):
        plane.climb()
    assert plane.hosts[0].commands == ["restart-k3s"]


def test_only_the_socket_of_its_node_is_removed(plane: Plane) -> None:
    plane.hosts[1].socket = False
    plane.climb(Level.L4)
    assert [host.name for host in plane.hosts if "remove-socket" in host.commands] == ["node2"]


def test_no_replica_object_is_ever_deleted(plane: Plane) -> None:
    """GLK-018: with a manager running, that would delete the data."""
    plane.cluster.add(Ref("longhorn.Replica", "r", NAMESPACE), {"metadata": {"finalizers": ["longhorn.io"]}})
    plane.cluster.remove(Ref("CSIDriver", "driver.longhorn.io"))
    plane.climb()
    assert plane.cluster.get(Ref("longhorn.Replica", "r", NAMESPACE)) is not None
    assert not any("Replica" in step for step in plane.cluster.mutations)


def remove(plane: Plane, *, confirmed: bool = True, dump: Any = lambda: "a dump") -> None:
    nodes: list[Node] = list(plane.hosts)
    evidence = Evidence(plane.tmp_path, "teardown", plane.clock)
    journal = Journal(plane.tmp_path / "control-plane.json")
    teardown(plane.cluster, nodes, plane.clock, SETTINGS, evidence, confirmed=confirmed, dump=dump, journal=journal)


def broken(plane: Plane, objects: int = 84) -> None:
    """So many objects with finalizers, of all kinds, and managers that end a while after their DaemonSet."""
    kinds = [kind for kind in KINDS if kind.startswith("longhorn.")]
    for number in range(objects):
        kind = kinds[number % len(kinds)]
        plane.cluster.add(Ref(kind, f"object-{number}", NAMESPACE), {"metadata": {"finalizers": ["longhorn.io"]}})
    plane.cluster.objects[Ref("Namespace", NAMESPACE)]["spec"] = {"finalizers": ["kubernetes"]}
    plane.cluster.objects[Ref("Namespace", NAMESPACE)]["metadata"]["finalizers"] = ["the namespace controller"]

    def tick() -> None:
        if plane.cluster.get(Ref("DaemonSet", "longhorn-manager", NAMESPACE)) is None:
            for pod in plane.cluster.list("Pod", NAMESPACE, "app=longhorn-manager"):
                plane.cluster.remove(Ref("Pod", pod["metadata"]["name"], NAMESPACE))
        namespace = plane.cluster.objects.get(Ref("Namespace", NAMESPACE))
        if namespace and namespace["metadata"].get("deletionTimestamp"):
            failure = {"type": "NamespaceDeletionDiscoveryFailure", "status": "True"}
            namespace["status"] = {"phase": "Terminating", "conditions": [failure]}

    plane.clock.tick = tick


def test_def_22_the_finalizers_of_every_object_of_every_kind_go(plane: Plane) -> None:
    broken(plane)
    remove(plane)
    left = [ref for ref, item in plane.cluster.objects.items() if item["metadata"].get("finalizers")]
    assert left == []
    assert sum("finalizers" in step for step in plane.cluster.mutations) == 84


def saving(plane: Plane, folder: Path) -> Callable[[], str]:
    """What the command gives: everything, verified, in a folder of this machine."""

    def save() -> str:
        objects = collect(plane.cluster, plane.clock.now())
        return f"{DumpFolder(folder).write(objects, plane.clock.now())} before change {len(plane.cluster.mutations)}"

    return save


def test_everything_that_goes_was_dumped_before(plane: Plane) -> None:
    """LHP-051, INV-009."""
    broken(plane, 22)
    plane.cluster.add(Ref("PersistentVolumeClaim", "data", "shop"), {"spec": {"volumeName": "pv-other"}})
    plane.cluster.add(Ref("PersistentVolume", "pv-other"), {"spec": {}})
    before = dict(plane.cluster.objects)
    remove(plane, dump=saving(plane, plane.tmp_path / "dumps"))
    dump = select([plane.tmp_path / "dumps"], plane.clock.now()).dump
    kept = {ref for ref in before if ref.kind.startswith(("longhorn.", "PersistentVolume"))}
    assert len({ref.kind for ref in kept}) == 24
    for ref in kept:
        assert dump.find(ref.kind, ref.name, ref.namespace), ref
    assert "before change 0" in Evidence(plane.tmp_path, "teardown", plane.clock).text.read_text()


def test_a_teardown_goes_on_when_there_is_less_to_dump_than_before(plane: Plane) -> None:
    """INV-007: half-way, a dump is worse than the one from before, which is the one that counts."""
    broken(plane, 22)
    go_on, plane.clock.tick = plane.clock.tick, lambda: None
    save = saving(plane, plane.tmp_path / "dumps")
    with pytest.raises(StopError, match="no manager runs"):
        remove(plane, dump=save)
    for ref in [ref for ref in plane.cluster.objects if ref.kind.startswith("longhorn.")]:
        plane.cluster.objects.pop(ref)
    plane.clock.tick = go_on
    namespace = plane.cluster.objects[Ref("Namespace", NAMESPACE)]
    right = namespace["metadata"]["uid"]
    namespace["metadata"]["uid"] = "of another Longhorn"
    done = len(plane.cluster.mutations)
    with pytest.raises(EscalationError, match=r"no dump, so nothing is touched: .* no longhorn\.Volume any more"):
        remove(plane, dump=save)
    assert len(plane.cluster.mutations) == done
    namespace["metadata"]["uid"] = right
    remove(plane, dump=save)
    assert plane.cluster.get(Ref("Namespace", NAMESPACE)) is None
    done = len(plane.cluster.mutations)
    remove(plane, dump=save)
    assert len(plane.cluster.mutations) == done, "nothing is left to be removed"
    assert len(DumpFolder(plane.tmp_path / "dumps").listed()) == 1


def test_def_23_a_stuck_namespace_is_finalized_through_its_subresource(plane: Plane) -> None:
    broken(plane)
    remove(plane)
    assert plane.cluster.get(Ref("Namespace", NAMESPACE)) is None
    assert plane.cluster.mutations[-1] == f"replace Namespace {NAMESPACE}/finalize"


def test_managers_are_gone_before_any_object_is_touched(plane: Plane) -> None:
    """LHP-050, GLK-018; and no Replica is deleted by itself."""
    broken(plane)
    remove(plane)
    first = next(i for i, step in enumerate(plane.cluster.mutations) if "finalizers" in step)
    assert plane.cluster.mutations[:first] == [f"delete DaemonSet {NAMESPACE}/longhorn-manager"]
    assert not any(step.startswith("delete Longhorn") for step in plane.cluster.mutations)


def test_the_webhooks_go_with_the_managers_that_answered_them(plane: Plane) -> None:
    """LHP-042, LHP-050: they fail closed, and nothing of Longhorn could be changed any more."""
    broken(plane)
    validator = Ref("ValidatingWebhookConfiguration", "longhorn-webhook-validator")
    mutator = Ref("MutatingWebhookConfiguration", "longhorn-webhook-mutator")
    stranger = Ref("ValidatingWebhookConfiguration", "somebody-else")
    for ref in (validator, mutator, stranger):
        plane.cluster.add(ref, {})
    patch = plane.cluster.patch

    def asked(ref: Ref, body: Any, subresource: str = "") -> Any:
        if ref.kind.startswith("longhorn.") and {validator, mutator} & plane.cluster.objects.keys():
            raise ClusterError(500, 'failed calling webhook "validator.longhorn.io": no endpoints available')
        return patch(ref, body, subresource)

    plane.cluster.patch = asked  # type: ignore[method-assign]
    remove(plane)
    assert plane.cluster.get(Ref("Namespace", NAMESPACE)) is None
    assert plane.cluster.get(stranger) is not None
    assert plane.cluster.mutations[:3] == [f"delete DaemonSet {NAMESPACE}/longhorn-manager"] + [
        f"delete {ref}" for ref in (validator, mutator)
    ]


def test_every_kind_of_longhorn_s_is_known() -> None:
    """LHP-042, DEF-22: those of its release 1.9; one that is missing would keep the namespace for ever."""
    known = {kind.removeprefix("longhorn.") for kind in KINDS if kind.startswith("longhorn.")}
    assert {"EngineImage", "InstanceManager", "ShareManager", "Snapshot", "Node", "Setting", "Volume"} <= known
    assert len(known) == 22


def test_managers_that_stay_stop_the_teardown(plane: Plane) -> None:
    broken(plane)
    plane.clock.tick = lambda: None
    with pytest.raises(StopError, match="no manager runs"):
        remove(plane)
    assert plane.cluster.mutations == [f"delete DaemonSet {NAMESPACE}/longhorn-manager"]


@pytest.mark.parametrize("lacking", ["confirmation", "dump", "node", "flag", "runtime"])
def test_a_teardown_without_its_conditions_touches_nothing(lacking: str, plane: Plane) -> None:
    """LHP-005, INV-009, LHP-011, LHP-014, GLK-021."""
    broken(plane)

    def no_dump() -> str:
        raise OSError("no space left")

    if lacking == "node":
        plane.hosts[2].unreachable = True
    if lacking == "flag":
        plane.cluster.add(Ref("longhorn.Setting", "deleting-confirmation-flag", NAMESPACE), {"value": "true"})
    if lacking == "runtime":
        plane.hosts[1].unfit = "charts.example.test has no address there\n"
    dump = no_dump if lacking == "dump" else lambda: "a dump"
    with pytest.raises((EscalationError, StopError)):
        remove(plane, confirmed=lacking != "confirmation", dump=dump)
    assert plane.cluster.mutations == []
    assert [host.commands for host in plane.hosts] == [[], [], []]


def test_what_would_install_it_again_is_put_aside_first(plane: Plane) -> None:
    """LHP-041: k3s applies its manifests at each of its starts, also in the middle of a removal."""
    broken(plane)
    seen: list[tuple[str, int]] = []
    plane.hosts[1].effect = lambda name: seen.append((name, len(plane.cluster.mutations)))
    remove(plane)
    assert seen == [("manifest", 0)]
    remove(plane)
    assert len(seen) == 1, "nothing is left to be removed"


def test_a_manifest_that_was_put_aside_keeps_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LHP-041, LHP-047: the new chart is installed with the version and the data path of the old one."""
    manifest, work = tmp_path / "manifests" / "longhorn-install.yaml", tmp_path / "work"
    manifest.parent.mkdir()
    manifest.write_text("the chart\n")
    monkeypatch.setattr(removal, "MANIFEST", str(manifest))
    settings = SETTINGS.model_copy(update={"work_directory": str(work)})
    evidence = Evidence(tmp_path, "teardown", FakeClock())
    node = TransportNode("node1", LocalTransport())
    try:
        for _ in range(2):
            removal._put_manifest_aside([node], settings, evidence)
            assert not manifest.exists()
            assert (work / manifest.name).read_text() == "the chart\n"
        assert evidence.text.read_text().count(f"node1:{work}/{manifest.name}") == 1
        manifest.mkdir()
        with pytest.raises(EscalationError, match="cannot be put aside, so nothing is removed"):
            removal._put_manifest_aside([node], settings, evidence)
    finally:
        node.close()


def test_a_directory_that_disappears_stops_the_teardown(plane: Plane) -> None:
    """INV-014, FM-29, PIT-17."""
    broken(plane)
    before = plane.clock.tick

    def tick() -> None:
        before()
        plane.hosts[0].directories.clear()

    plane.clock.tick = tick
    with pytest.raises(StopError, match="node1:pvc-a-01234567 has disappeared"):
        remove(plane)
    assert len(plane.cluster.mutations) == 1


def test_an_inventory_of_nothing_is_no_inventory(plane: Plane) -> None:
    """INV-014: below a mistyped data_path nothing can disappear."""
    broken(plane)
    for host in plane.hosts:
        host.directories.clear()
        host.disk = ""
    with pytest.raises(EscalationError, match="is data_path right"):
        remove(plane)
    assert plane.cluster.mutations == []


def test_another_disk_stops_the_teardown(plane: Plane) -> None:
    """GLK-020, LHP-052: by its identity a new Longhorn knows the disk."""
    broken(plane)
    before = plane.clock.tick

    def tick() -> None:
        before()
        plane.hosts[2].disk = ""

    plane.clock.tick = tick
    with pytest.raises(StopError, match=r"node3: longhorn-disk\.cfg was .* and is gone"):
        remove(plane)
    assert len(plane.cluster.mutations) == 1


def test_a_healthy_control_plane_without_its_data_is_said() -> None:
    """LHP-010: nothing is to be done, and yet somebody should know."""
    found = diagnose(facts(data={**THERE, "node2": False}))
    assert found.healthy
    assert found.reasons == ("CRITICAL: no data directory on node2 (LHP-010)",)


def test_the_inventory_and_the_fitness_of_a_real_node(tmp_path: Path) -> None:
    """The scripts, as they run on this machine."""
    (tmp_path / "replicas" / "pvc-a-01234567").mkdir(parents=True)
    (tmp_path / "longhorn-disk.cfg").write_text('{"diskUUID":"1"}\n')
    node = TransportNode("node1", LocalTransport())
    try:
        found = take_inventory([node], str(tmp_path))
        assert list(found.sizes) == [("node1", "pvc-a-01234567")]
        assert found.disks == {"node1": '{"diskUUID":"1"}'}
        assert take_inventory([node], str(tmp_path / "none")) == Inventory({}, frozenset({"node1"}))
        nowhere = FlowSettings.model_validate({**SETTINGS.model_dump(), "chart_host": "nowhere.invalid"})
        assert "nowhere.invalid has no address there" in " ".join(unfit([node], nowhere))
    finally:
        node.close()


def test_the_steps_of_a_reinstall_keep_the_data_path() -> None:
    """LHP-049."""
    assert any("defaultDataPath /srv/longhorn" in step for step in reinstall_steps(SETTINGS))


def test_a_crash_loop_is_not_running(plane: Plane) -> None:
    pod = plane.cluster.objects[Ref("Pod", "longhorn-manager-node2", NAMESPACE)]
    pod["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    nodes: list[Node] = list(plane.hosts)
    assert diagnose(capture(plane.cluster, nodes, SETTINGS)).state is State.HARD


def test_silent_nodes_prove_no_loss() -> None:
    before = Inventory({("a", "x"): 5, ("b", "y"): 5}, frozenset({"a", "b"}))
    Inventory({("a", "x"): 6}, frozenset({"a"})).compare_with(before)
    with pytest.raises(InventoryError, match="shrank from 5 to 4"):
        Inventory({("a", "x"): 4}, frozenset({"a"})).compare_with(before)
