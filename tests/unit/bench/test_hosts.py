"""The work that all peers of the benchmark `hosts` get is the same, whatever notation it is written in."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from bench.harness import Row
from bench.hosts import _in_time, document
from bench.hosts_peers import PEERS, Ansible, Peer, Pyinfra
from bench.hosts_work import FILES, Target, Work, files
from components.host.args import HostStateArgs

TARGET = Target("10.1.2.3", 2222, "ssh-ed25519 AAAA", Path("/keys/client"))
WORK = Work({"a.conf": "one\n"}, ("bash",), ("web.service",))


def test_the_document_is_one_that_a_role_may_have() -> None:
    role = HostStateArgs.model_validate(document(WORK))
    assert role.files["/srv/bench/a.conf"].content == "one\n"
    assert (list(role.packages), role.units["web.service"].running) == (["bash"], True)


def test_one_of_the_files_changes() -> None:
    before, after = files(), files().with_one_changed(1)
    assert len(before.files) == FILES
    assert [name for name in before.files if before.files[name] != after.files[name]] == ["file-00.conf"]


def test_the_machine_s_key_is_pinned_for_its_port() -> None:
    assert TARGET.known_hosts == "[10.1.2.3]:2222 ssh-ed25519 AAAA\n"
    assert Target("10.1.2.3", 22, "ssh-ed25519 AAAA", Path("/x")).known_hosts == "10.1.2.3 ssh-ed25519 AAAA\n"


def test_the_peers_are_given_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Peer, "run", lambda *_, **__: None)
    monkeypatch.setattr(Peer, "programs", tmp_path)
    Ansible(tmp_path / "ansible").apply(WORK, [TARGET])
    (play,) = yaml.safe_load((tmp_path / "ansible" / "playbook.yml").read_text())
    modules = {name.rpartition(".")[2] for task in play["tasks"] for name in task if "." in name}
    assert modules == {"copy", "apt", "systemd_service"}
    Pyinfra(tmp_path / "pyinfra").apply(WORK, [TARGET])
    told = json.loads((tmp_path / "pyinfra" / "work.json").read_text())
    assert (told["files"], told["packages"], told["units"]) == (["a.conf"], ["bash"], ["web.service"])
    assert (tmp_path / "pyinfra" / "files" / "a.conf").read_text() == "one\n"


def test_every_peer_has_a_name_of_its_own() -> None:
    assert len({peer.name for peer in PEERS}) == len(PEERS) == 4


def test_who_is_measured_elsewhere_is_who_is_done_in_time(tmp_path: Path) -> None:
    ours, fast, slow = (Peer(tmp_path / name) for name in ("ours", "fast", "slow"))
    for peer, name in ((ours, "ours"), (fast, "fast"), (slow, "slow")):
        peer.name = name
    near = [Row(case, name, [seconds]) for case in ("cold", "changed") for name, seconds in (("fast", 1), ("slow", 60))]
    everybody = [(ours, 5), (slow, 5), (fast, 5)]
    assert _in_time(everybody, near, 10, time.monotonic() + 100) == [(ours, 5), (fast, 1)]
    assert _in_time(everybody, near, 10, 0) == [(ours, 5)]
