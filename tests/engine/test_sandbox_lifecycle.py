"""Start, stop, crash, conflict: what happens to the processes, the ports and the data.

One sandbox lives through these tests in the order in which they stand, because each start costs seconds.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import psycopg
import pytest

import toolchain
from sandbox.endpoints import Endpoints
from sandbox.errors import SandboxError
from sandbox.layout import Layout
from sandbox.ports import load_or_choose
from sandbox.processes import ProcessId, wait_gone, with_descendants
from sandbox.record import BackendState, Record
from sandbox.status import SandboxState
from sandbox.supervisor import Sandbox
from tests.engine.conftest import kube_client
from tests.support.waiting import until

pytestmark = pytest.mark.engine

MEMORY_BYTES = 2_000_000_000


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("lifecycle")
    yield directory
    Sandbox(directory).stop(print)


@pytest.fixture
def lines() -> list[str]:
    return []


def record(state: Path) -> Record:
    found = Record.load(Layout(state).record)
    assert found
    return found


def all_processes(state: Path) -> list[ProcessId]:
    found = [ProcessId.of(pid) for pid in with_descendants(record(state).supervisor.pid)]
    return [process for process in found if process]


def query(endpoints: Endpoints, statement: str) -> list[tuple[object, ...]]:
    server = endpoints.postgres
    with psycopg.connect(
        host=server.host, port=server.port, user=server.username, password=server.password, dbname="postgres"
    ) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def data_directory(state: Path) -> bytes:
    return f"--data-dir={Layout(state).etcd / 'data'}".encode()


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def restart(state: Path, lines: list[str]) -> Endpoints:
    return Sandbox(state).start(lines.append)


def test_everything_comes_up_in_little_memory(state: Path, lines: list[str]) -> None:
    """How long it takes is what `./factory bench engine` measures."""
    box = Sandbox(state)
    endpoints = box.start(lines.append)
    status = box.status()
    assert 0 < status.memory_bytes <= MEMORY_BYTES
    assert status.state is SandboxState.RUNNING
    started = [backend for backend in status.backends if backend.backend != "supervisor"]
    assert len([line for line in lines if "ready after" in line]) == len(started)
    for backend in status.backends:
        assert backend.state is BackendState.READY
        assert backend.pid
        assert backend.memory_bytes
        assert backend.uptime_seconds is not None
    assert (endpoints.pooler is None) == bool(status.uncovered)


def test_the_state_is_private(state: Path) -> None:
    private = [state / name for name in ("endpoints.json", "credentials.json", "ports.json")]
    private += [*(state / "logs").iterdir(), *(state / "kubernetes").glob("*.kubeconfig")]
    assert {oct(path.stat().st_mode & 0o777) for path in private} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o077) for path in state.iterdir()} == {"0o0"}


def test_a_second_start_does_nothing(state: Path, lines: list[str]) -> None:
    before = record(state)
    endpoints = restart(state, lines)
    assert endpoints == Endpoints.load(state)
    assert record(state) == before
    assert lines == []


def test_no_secret_is_in_an_argument_or_in_the_environment_of_a_process(state: Path) -> None:
    endpoints = Endpoints.load(state)
    secrets = {endpoints.postgres.password, endpoints.vault.root_token}
    if endpoints.pooler:
        secrets.add(endpoints.pooler.auth_password)
    processes = all_processes(state)
    assert len(processes) > 7
    for process in processes:
        for name in ("cmdline", "environ"):
            content = Path(f"/proc/{process.pid}/{name}").read_bytes().decode(errors="replace")
            assert not [secret for secret in secrets if secret in content], f"{name} of {process.pid}"


def test_everything_listens_on_loopback_only(state: Path) -> None:
    inodes = set()
    for process in all_processes(state):
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with_target = str(descriptor.readlink()) if descriptor.is_symlink() else ""
            inodes.add(with_target.removeprefix("socket:[").removesuffix("]"))
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        listening += [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]
    assert len(listening) >= 5
    assert {address.split(":")[0] for address in listening} == {"0100007F"}


def test_data_ports_and_endpoints_survive_a_stop(state: Path, lines: list[str]) -> None:
    before = Endpoints.load(state)
    query(before, "CREATE TABLE kept AS SELECT 42 AS answer")
    processes = all_processes(state)
    box = Sandbox(state)
    box.stop(lines.append)
    assert [process for process in processes if process.alive()] == []
    stopped = box.status()
    assert stopped.state is SandboxState.STOPPED
    assert {backend.state for backend in stopped.backends} == {BackendState.STOPPED}
    after = box.start(lines.append)
    assert after == before
    assert query(after, "SELECT answer FROM kept") == [(42,)]


def test_the_machines_work_at_once_after_a_restart(state: Path, lines: list[str], tmp_path: Path) -> None:
    """Pods run and go within seconds; the leases of the kwok before would last 40."""
    box = Sandbox(state)
    with kube_client(Endpoints.load(state), tmp_path) as kube:
        before = holders(kube)
    assert len(before) == 1
    box.stop(lines.append)
    with kube_client(box.start(lines.append), tmp_path) as kube:
        until(lambda: len(holders(kube)) == 1 and holders(kube) != before, 15)


def holders(kube: httpx.Client) -> set[str]:
    """Who moves the machines."""
    leases = kube.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases").raise_for_status().json()
    return {lease["spec"]["holderIdentity"] for lease in leases["items"]}


def test_a_crashed_backend_is_told_and_a_start_brings_it_back(state: Path, lines: list[str]) -> None:
    box = Sandbox(state)
    box.start(lines.append)
    victim = record(state).backends["kwok"].process
    victim.signal(signal.SIGKILL)
    deadline = time.monotonic() + 90
    while (status := box.status()).state is SandboxState.RUNNING and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status.state is SandboxState.DEGRADED
    states = {backend.backend: backend.state for backend in status.backends}
    assert states["kwok"] is BackendState.CRASHED
    assert states["vault"] is BackendState.READY
    deadline = time.monotonic() + 90
    while "SIGKILL" not in (note := box.status().note):
        assert time.monotonic() < deadline, note
        time.sleep(0.05)
    restart(state, lines)
    assert "the sandbox is degraded; it is started anew" in lines
    assert box.status().state is SandboxState.RUNNING


def test_a_killed_supervisor_takes_all_its_processes_along_and_the_next_start_heals(
    state: Path, lines: list[str]
) -> None:
    processes = all_processes(state)
    before = Endpoints.load(state)
    server = before.postgres
    session = psycopg.connect(
        host=server.host, port=server.port, user=server.username, password=server.password, dbname="postgres"
    )
    session.execute("CREATE TABLE unfinished (id int)")
    os.kill(record(state).supervisor.pid, signal.SIGKILL)
    deadline = time.monotonic() + 90
    while [process for process in processes if process.alive()]:
        assert time.monotonic() < deadline, [process for process in processes if process.alive()]
        time.sleep(0.05)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()
    status = Sandbox(state).status()
    assert status.state is SandboxState.STOPPED
    assert "the supervisor died" in status.note
    after = restart(state, lines)
    assert after == before
    assert query(after, "SELECT answer FROM kept") == [(42,)]


def test_a_stale_record_never_leads_to_a_strangers_process(state: Path, lines: list[str]) -> None:
    """After a power cut the numbers belong to others: here to a harmless process of this test."""
    box = Sandbox(state)
    box.stop(lines.append)
    stranger = subprocess.Popen(["/bin/sleep", "60"])
    try:
        identity = ProcessId.of(stranger.pid)
        assert identity
        stale = identity.model_copy(update={"started_ticks": identity.started_ticks - 1})
        old_boot = identity.model_copy(update={"boot": "another"})
        Record.model_validate(
            {"supervisor": stale, "phase": "ready", "backends": {"vault": {"process": old_boot, "state": "ready"}}}
        ).save(Layout(state).record)
        pid_file = Layout(state).postgres / "data" / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{pid_file.parent}\n")
        assert box.status().state is SandboxState.STOPPED
        box.stop(lines.append)
        assert stranger.poll() is None
        endpoints = restart(state, lines)
        assert stranger.poll() is None
        assert query(endpoints, "SELECT answer FROM kept") == [(42,)]
    finally:
        stranger.kill()
        stranger.wait()


def test_without_a_pooler_the_rest_works_and_the_missing_hop_is_named(
    state: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Sandbox(state)
    box.stop(lines.append)
    ensure = toolchain.ensure

    def without_pgbouncer(names: Sequence[str], report: Callable[[str], None]) -> dict[str, Path]:
        return {name: path for name, path in ensure(names, report).items() if name != "pgbouncer"}

    monkeypatch.setattr(toolchain, "ensure", without_pgbouncer)
    endpoints = box.start(lines.append)
    assert endpoints.pooler is None
    assert query(endpoints, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'pgbouncer_auth'") == [(True,)]
    status = box.status()
    assert status.state is SandboxState.RUNNING
    assert "APP-07" in status.uncovered[0]
    assert status.uncovered[0] in lines


def test_it_ends_with_the_process_that_owns_it(state: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    box = Sandbox(state)
    box.stop(lines.append)
    with subprocess.Popen(["/bin/sleep", "600"]) as owner:
        monkeypatch.setenv("FACTORY_SANDBOX_OWNER", str(owner.pid))
        box.start(lines.append)
        processes = all_processes(state)
        owner.kill()
    assert wait_gone(processes, 90) == []
    assert box.status().state is SandboxState.STOPPED
    with pytest.raises(SandboxError, match=f"FACTORY_SANDBOX_OWNER={owner.pid}: there is no such process"):
        box.start(lines.append)


def test_a_port_held_by_another_program_is_named_with_its_holder(state: Path, lines: list[str]) -> None:
    box = Sandbox(state)
    box.stop(lines.append)
    port = load_or_choose(Layout(state).ports)["vault"]
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(SandboxError) as caught:
            box.start(lines.append)
        assert f"port {port} (vault) is in use by process {os.getpid()}" in str(caught.value)
        assert "ports.json" in str(caught.value)
        assert box.status().state is SandboxState.STOPPED
    assert load_or_choose(Layout(state).ports)["vault"] == port


def test_two_starts_at_once_give_one_sandbox_and_an_interrupt_of_one_caller_does_not_end_it(
    state: Path, lines: list[str]
) -> None:
    """Ctrl-C goes to the terminal's whole foreground group: the daemon is in a session of its own."""
    Sandbox(state).stop(lines.append)
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom sandbox.supervisor import Sandbox\n"
        "Sandbox(Path(sys.argv[1])).start(print)\nprint('up', flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(state)],
        cwd=toolchain.ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as caller:
        here = restart(state, lines)
        assert caller.stdout
        theirs = list(itertools.takewhile(lambda line: line != "up\n", caller.stdout))
        stores = [path for path in Path("/proc").glob("[0-9]*/cmdline") if data_directory(state) in read(path)]
        assert [path.parent.name for path in stores] == [str(record(state).backends["etcd"].process.pid)]
        assert len([line for line in (*lines, *theirs) if line.startswith("vault")]) == 1
        os.killpg(caller.pid, signal.SIGINT)
        caller.wait(90)
    assert os.getsid(record(state).supervisor.pid) != caller.pid
    assert Sandbox(state).status().state is SandboxState.RUNNING
    assert here == Endpoints.load(state)


def test_lost_unseal_keys_are_told_and_not_replaced(state: Path, lines: list[str]) -> None:
    box = Sandbox(state)
    box.stop(lines.append)
    keys = Layout(state).cluster_keys
    hidden = keys.with_suffix(".hidden")
    keys.rename(hidden)
    try:
        with pytest.raises(SandboxError, match=r"cluster-keys\.json is gone .* sandbox reset"):
            box.start(lines.append)
    finally:
        hidden.rename(keys)


def test_a_start_that_fails_says_why_and_leaves_nothing_running(state: Path, lines: list[str]) -> None:
    box = Sandbox(state)
    configuration = Layout(state).postgres / "data" / "global" / "pg_control"
    hidden = configuration.with_suffix(".hidden")
    configuration.rename(hidden)
    try:
        with pytest.raises(SandboxError, match=r"postgres ended by itself \(exit status \d\)") as caught:
            box.start(lines.append)
        assert "postgres.log" in str(caught.value)
        assert "Traceback" not in str(caught.value)
        assert record(state).survivors() == []
        assert "postgres ended by itself" in box.status().note
    finally:
        hidden.rename(configuration)
    assert query(restart(state, lines), "SELECT answer FROM kept") == [(42,)]


def test_reset_is_refused_without_yes_and_deletes_everything_with_it(state: Path, lines: list[str]) -> None:
    box = Sandbox(state)
    with pytest.raises(SandboxError, match="--yes"):
        box.reset(lines.append, yes=False)
    assert box.status().state is SandboxState.RUNNING
    processes = all_processes(state)
    (state / "something-else").write_text("not the sandbox's")
    box.reset(lines.append, yes=True)
    assert [process for process in processes if process.alive()] == []
    assert {path.name for path in state.iterdir()} == {"sandbox.lock", "supervisor.lock", "something-else"}


def test_a_state_directory_that_cannot_be_written_is_a_clean_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SandboxError, match=r"cannot write .*FACTORY_STATE"):
        Sandbox(file / "state").start(print)


def test_a_full_disk_is_a_clean_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5_000_000))
    with pytest.raises(SandboxError, match=r"has 5 MB free, the sandbox needs 400.*FACTORY_STATE"):
        Sandbox(tmp_path).start(print)
    assert not (tmp_path / "supervisor.json").exists()
