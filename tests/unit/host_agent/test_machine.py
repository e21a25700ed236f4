"""Whole documents on a machine of doubles: what is called, what is owned, what the next run does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from components.host.agent.errors import AgentError
from components.host.agent.runner import Done
from tests.support.host_machine import Driver, Machine, quick_directory, tree

PACKAGES: dict[str, tuple[str, str | None]] = {"nginx": ("1.22", "nginx.service"), "jq": ("1.6", None)}
WEB: dict[str, Any] = {
    "packages": {"nginx": {}, "jq": {"hold": True}},
    "groups": {"app": {}},
    "users": {"app": {"group": "app", "groups": ["adm"]}},
    "authorized_keys": {"app": {"keys": {"ann": "ssh-ed25519 AAAAC3one ann@example.test"}}},
    "modules": {"br_netfilter": {}},
    "mounts": {"/mnt/my data": {"source": "LABEL=data", "fstype": "ext4"}},
    "directories": {"/srv/app": {"mode": "0750"}},
    "links": {"/srv/app/current": {"target": "v1"}},
    "files": {"/etc/nginx/nginx.conf": {"content": "events {}\n"}, "/srv/app/key": {"content": "k", "mode": "0600"}},
    "blocks": {"names": {"path": "/etc/hosts", "content": "10.0.0.1 a\n"}},
    "merges": {"/etc/docker/daemon.json": {"format": "json", "values": {"log-driver": "json-file"}}},
    "sysctl": {"net.ipv4.ip_forward": {"value": "1"}},
    "units": {
        "nginx.service": {"enabled": True, "running": True, "restart_on": ["files:/etc/nginx/nginx.conf"]},
        "app.service": {
            "unit": {"Service": {"ExecStart": "/bin/app"}, "Install": {"WantedBy": "multi-user.target"}},
            "drop_ins": {"limits": {"Service": {"MemoryMax": "1G"}}},
            "enabled": True,
            "running": True,
        },
    },
    "steps": {"seed": {"run": ["touch", "/srv/app/seeded"], "creates": "/srv/app/seeded"}},
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    built = Machine(tmp_path, PACKAGES)
    (tmp_path / "etc/hosts").write_text("127.0.0.1 localhost\n")
    return built


def test_create_then_nothing_then_also_with_an_emptied_state(machine: Machine) -> None:
    driver = Driver.on(machine)
    assert driver.pending(WEB)
    driver.apply(WEB)
    assert driver.pending(WEB) == []
    before, starts = tree(machine.root), {name: unit["starts"] for name, unit in machine.units.items()}
    stats = {path: path.lstat() for path in machine.root.rglob("*")}
    fresh = Driver.on(machine)
    assert fresh.apply(WEB) == []
    assert fresh.owned == {}
    assert tree(machine.root) == before
    assert {name: unit["starts"] for name, unit in machine.units.items()} == starts
    changed = [path for path, stat in stats.items() if path.lstat().st_mtime_ns != stat.st_mtime_ns]
    assert [str(path.relative_to(machine.root)) for path in changed if path.name != "factory.lock"] == []


def test_one_call_of_apt_get_and_one_of_each_systemctl_verb(machine: Machine) -> None:
    Driver.on(machine).apply(WEB)
    installs = [call for call in machine.called("apt-get") if "install" in call]
    assert [call[call.index("--") + 1 :] for call in installs] == [["jq", "nginx"]]
    assert machine.called("apt-mark") == [["apt-mark", "hold", "jq"]]
    assert machine.called("systemctl", "enable") == [["systemctl", "enable", "app.service", "nginx.service"]]
    assert len(machine.called("systemctl", "daemon-reload")) <= 2  # one for fstab, one for the units


def test_a_changed_file_touches_itself_and_its_service_once(machine: Machine) -> None:
    driver = Driver.on(machine)
    driver.apply(WEB)
    starts = machine.units["nginx.service"]["starts"], machine.units["app.service"]["starts"]
    changed = {**WEB, "files": {**WEB["files"], "/etc/nginx/nginx.conf": {"content": "events { }\n"}}}
    assert driver.apply(changed) == ["files:/etc/nginx/nginx.conf", "units:nginx.service"]
    assert machine.units["nginx.service"]["starts"] == starts[0] + 1
    assert machine.units["app.service"]["starts"] == starts[1]
    assert driver.pending(changed) == []


def test_a_service_that_its_package_starts_reads_the_document_s_file(machine: Machine) -> None:
    document = {
        "packages": {"nginx": {}},
        "files": {"/etc/nginx/nginx.conf": {"content": "events {}\n"}},
        "units": {"nginx.service": {"running": True, "restart_on": ["files:/etc/nginx/nginx.conf"]}},
    }
    Driver.on(machine).apply(document)
    # Once by the package, before the file was there, and once afterwards.
    assert machine.units["nginx.service"]["starts"] == 2
    Driver.on(machine).apply(document)
    assert machine.units["nginx.service"]["starts"] == 2


def test_deleting_gives_back_what_was_there(machine: Machine) -> None:
    before = tree(machine.root)
    driver = Driver.on(machine)
    driver.apply(WEB)
    driver.apply({})
    after = tree(machine.root)
    # Parents of files, homes, mount points and a foreign file's backup stay: they may hold somebody's data by now.
    left = {path for path in after if path not in before}
    assert {path for path in left if after[path][1]} == set()
    assert {path: after.get(path) for path in before if path != "etc/fstab"} == {
        path: entry for path, entry in before.items() if path != "etc/fstab"
    }
    assert driver.owned == {}
    assert driver.pending({}) == []


def test_what_is_not_ours_survives_deletion(machine: Machine) -> None:
    (machine.root / "etc/mine").write_text("mine\n")
    (machine.root / "etc/mine").chmod(0o644)
    driver = Driver.on(machine)
    document = {"files": {"/etc/mine": {"content": "mine\n"}, "/etc/ours": {"content": "ours\n"}}}
    assert driver.apply(document) == ["files:/etc/ours"]
    assert driver.apply({}) == ["files:/etc/ours"]
    assert (machine.root / "etc/mine").read_text() == "mine\n"


def test_a_failure_tells_item_command_status_and_last_words_and_the_next_run_continues(machine: Machine) -> None:
    driver = Driver.on(machine)
    document = {
        "files": {"/etc/a": {"content": "a"}},
        "steps": {"bad": {"run": ["false"], "creates": "/srv/x"}},
        "units": {"nginx.service": {"running": True, "restart_on": ["files:/etc/a"]}},
        "packages": {"nginx": {}},
    }
    with pytest.raises(AgentError) as caught:
        driver.apply(document)
    details = caught.value.details
    assert caught.value.message == "the step 'bad' failed: false ended with status 1"
    assert details["item"] == "steps:bad"
    assert (details["command"], details["status"], details["stderr"]) == (["false"], 1, ["it did not work"])
    assert details["applied"] == ["packages:nginx", "files:/etc/a"]
    assert details["not_applied"] == ["steps:bad", "units:nginx.service"]
    assert details["owned"] == {"packages": {"nginx": True}, "files": {"/etc/a": True}}
    driver.owned = details["owned"]
    starts = machine.units["nginx.service"]["starts"]
    mended = {**document, "steps": {"bad": {"run": ["touch", "/srv/x"], "creates": "/srv/x"}}}
    # The file is right already, yet the restart that it owes is done: the first run did not come to it.
    assert driver.apply(mended) == ["steps:bad", "units:nginx.service"]
    assert machine.units["nginx.service"]["starts"] == starts + 1
    assert driver.pending(mended) == []
    assert driver.apply(mended) == []


def test_a_plan_with_problems_changes_nothing(machine: Machine) -> None:
    (machine.root / "etc/dir").mkdir()
    before = tree(machine.root)
    document = {"files": {"/etc/dir": {"content": "x"}, "/etc/a": {"content": "a"}}}
    with pytest.raises(AgentError, match="files:/etc/dir: a directory is in the way") as caught:
        Driver.on(machine).apply(document)
    assert caught.value.code == "refused"
    assert tree(machine.root) == before


def test_a_virtual_package_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_apt_get", lambda _words: (0, ""), raising=False)
    with pytest.raises(AgentError, match="apt-get ended well, but jq is not installed: is it a virtual package"):
        Driver.on(machine).apply({"packages": {"jq": {}}})


def test_an_unknown_package_is_looked_for_in_fresh_lists_once(machine: Machine) -> None:
    with pytest.raises(AgentError, match="installing nonesuch: apt-get ended with status 100") as caught:
        Driver.on(machine).apply({"packages": {"nonesuch": {}}})
    assert caught.value.details["stderr"] == ["E: Unable to locate package nonesuch"]
    assert len([call for call in machine.called("apt-get") if call[-1] == "update"]) == 1


def test_a_step_is_asked_again_when_its_turn_comes(machine: Machine) -> None:
    driver = Driver.on(machine)
    document = {
        "steps": {
            "first": {"run": ["touch", "/srv/a"], "creates": "/srv/a"},
            "second": {"run": ["touch", "/srv/b"], "only_if": ["test", "-e", "/srv/a"], "creates": "/srv/b"},
        }
    }
    planned = [(action.item, action.do) for action in driver.plan(document).actions]
    assert planned == [("steps:first", "run"), ("steps:second", "maybe")]
    assert driver.apply(document) == ["steps:first", "steps:second"]
    assert driver.pending(document) == []


def test_a_service_that_a_skipped_step_would_restart_is_left_alone(machine: Machine) -> None:
    driver = Driver.on(machine)
    driver.apply({"packages": {"nginx": {}}})
    (machine.root / "srv").mkdir()
    (machine.root / "srv/done").touch()
    document = {
        "files": {"/etc/a": {"content": "a"}},
        "steps": {"s": {"run": ["touch", "/srv/x"], "unless": ["test", "-e", "/srv/done"]}},
        "units": {"nginx.service": {"restart_on": ["steps:s"]}},
    }
    starts = machine.units["nginx.service"]["starts"]
    driver.owned = {}
    assert driver.apply(document) == ["files:/etc/a"]
    assert machine.units["nginx.service"]["starts"] == starts


def test_a_step_for_a_text_runs_once_for_each(machine: Machine) -> None:
    driver = Driver.on(machine)
    one = {"steps": {"s": {"run": ["touch", "/srv/x"], "once_for": "v1"}}}
    two = {"steps": {"s": {"run": ["touch", "/srv/x"], "once_for": "v2"}}}
    assert driver.apply(one) == ["steps:s"]
    assert driver.apply(one) == []
    assert driver.apply(two) == ["steps:s"]
    assert driver.apply(two) == []
    assert [name for name in tree(machine.root) if name.startswith("var/lib/factory/steps/")] != []
    driver.apply({})
    assert [name for name in tree(machine.root) if name.startswith("var/lib/factory/steps/")] == []


class Killed(BaseException):
    """The end of the agent, in the middle of things: nothing of it runs any more."""


class Mortal(Machine):
    """A machine whose agent dies at a certain changing command, in front of it or right behind it."""

    point = 0
    behind = False
    done = 0

    def run(self, argv: Sequence[str], **options: Any) -> Done:
        changing = argv[0] not in {"dpkg-query", "journalctl", "test"} and list(argv[:2]) != ["systemctl", "show"]
        self.done += changing
        dies = changing and self.done == self.point
        if dies and not self.behind:
            raise Killed
        answer = super().run(argv, **options)
        if dies:
            raise Killed
        return answer


def mortal(root: Path, point: int, *, behind: bool) -> Mortal:
    machine = Mortal(root, PACKAGES)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    machine.point, machine.behind = point, behind
    return machine


@pytest.mark.parametrize("behind", [False, True], ids=["in-front-of", "behind"])
def test_killed_at_every_command(behind: bool) -> None:
    with quick_directory() as folder:
        killed_at_every_command(folder, behind=behind)


def killed_at_every_command(folder: Path, *, behind: bool) -> None:
    (folder / "reference").mkdir()
    reference = mortal(folder / "reference", 0, behind=behind)
    whole = Driver.on(reference)
    whole.apply(WEB)
    assert reference.done > 10
    assert reference.units["nginx.service"]["starts"] == 2  # the package's, and one for the changed file
    for point in range(1, reference.done + 1):
        root = folder / str(point)
        root.mkdir()
        machine = mortal(root, point, behind=behind)
        with pytest.raises(Killed):
            Driver.on(machine).apply(WEB)
        survivor = Driver.on(machine)
        survivor.apply(WEB)
        assert survivor.pending(WEB) == [], point
        assert survivor.owned == whole.owned, point
        assert tree(root) == tree(folder / "reference"), point
        assert {name for name, unit in machine.units.items() if unit["active"]} == set(machine.units), point
        assert machine.units["nginx.service"]["starts"] in {2, 3}, point
