"""For any document: what was applied needs no second run, and what was made can be taken away again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.host import RemoteHost
from components.host.agent import split
from components.host.agent.errors import AgentError
from components.host.agent.host import Host
from components.host.agent.main import Agent, Caller
from components.host.args import HostStateArgs
from components.host.session import HostSession
from components.host.transport_fake import FakeTransport
from tests.support.host_machine import Driver, Machine, quick_directory, tree

PACKAGES: dict[str, tuple[str, str | None]] = {
    "nginx": ("1.22", "nginx.service"),
    "jq": ("1.6", None),
    "cron": ("3", "cron.service"),
}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
NAMES = ["a", "b c", "d'e\"f", "g\nh", "é", "-x", "*"]
"""Names of files, for their spaces, quotes, newlines, letters and what a shell would make of them."""
EXAMPLES = settings(
    max_examples=500 if os.environ.get("FACTORY_LONG") == "1" else 25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

modes = st.sampled_from(["0600", "0644", "0755", "0700"])
present = st.just("present")
states = st.sampled_from(["present", "present", "present", "absent"])
texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)


def paths(folder: str) -> st.SearchStrategy[str]:
    return st.sampled_from(NAMES).map(lambda name: f"/{folder}/{name}")


def file_entries() -> st.SearchStrategy[dict[str, Any]]:
    plain = st.fixed_dictionaries({"content": texts, "mode": modes}, optional={"secret": st.booleans()})
    return st.one_of(plain, st.fixed_dictionaries({"content_base64": st.just("AP8Q")}), st.just({"state": "absent"}))


json_values = st.recursive(
    st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(st.none() | inner, max_size=2) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=2),
    max_leaves=4,
)
FILE_KINDS: dict[str, st.SearchStrategy[Any]] = {
    "directories": st.dictionaries(paths("srv"), st.fixed_dictionaries({"mode": modes}), max_size=2),
    "links": st.dictionaries(paths("links"), st.fixed_dictionaries({"target": st.sampled_from(NAMES)}), max_size=2),
    "files": st.dictionaries(paths("etc/files"), file_entries(), max_size=3),
    "blocks": st.dictionaries(
        st.sampled_from(["one", "two"]),
        st.fixed_dictionaries(
            {"path": st.just("/etc/hosts"), "state": states, "content": st.sampled_from(["", "x", "y\nz\n"])}
        ),
        max_size=2,
    ),
    "merges": st.dictionaries(
        st.just("/etc/foreign.json"),
        st.fixed_dictionaries(
            {"format": st.just("json"), "values": st.dictionaries(st.sampled_from("pqrx"), json_values, max_size=3)}
        ),
        max_size=1,
    ),
    "steps": st.dictionaries(
        st.sampled_from(["s", "t"]),
        st.sampled_from(
            [
                {"run": ["touch", "/srv-step"], "creates": "/srv-step"},
                {"run": ["touch", "/srv-once"], "once_for": "v1"},
                {"run": ["touch", "/srv-last"], "unless": ["test", "-e", "/srv-last"], "stage": "finish"},
            ]
        ),
        max_size=2,
    ),
}
SYSTEM_KINDS: dict[str, st.SearchStrategy[Any]] = {
    "packages": st.dictionaries(
        st.sampled_from(sorted(PACKAGES)),
        st.fixed_dictionaries({"state": states}, optional={"hold": st.booleans()}),
        max_size=3,
    ),
    "groups": st.dictionaries(
        st.sampled_from(["app", "ops"]), st.fixed_dictionaries({"gid": st.sampled_from([900, 901])}), max_size=1
    ),
    "users": st.dictionaries(
        st.sampled_from(["ann", "bob"]),
        st.fixed_dictionaries(
            {}, optional={"groups": st.just(["adm"]), "shell": st.sampled_from(["/bin/sh", "/bin/bash"])}
        ),
        max_size=2,
    ),
    "modules": st.dictionaries(
        st.sampled_from(["dm_crypt", "br-netfilter"]), st.fixed_dictionaries({"state": states}), max_size=2
    ),
    "sysctl": st.dictionaries(
        st.sampled_from(["net.ipv4.ip_forward", "net.ipv4.tcp_syncookies"]),
        st.fixed_dictionaries({"value": st.sampled_from(["0", "1"])}),
        max_size=2,
    ),
    "mounts": st.dictionaries(
        st.sampled_from(["/mnt/a", "/mnt/b c"]),
        st.fixed_dictionaries({"source": st.sampled_from(["LABEL=a", "UUID=b"]), "mounted": st.booleans()}),
        max_size=2,
    ),
    "units": st.dictionaries(
        st.sampled_from(["one.service", "two.timer"]),
        st.fixed_dictionaries(
            {
                "unit": st.fixed_dictionaries(
                    {"Service": st.fixed_dictionaries({"ExecStart": st.sampled_from(["/bin/a", "/bin/b"])})}
                )
            },
            optional={"enabled": st.booleans(), "running": st.booleans()},
        ),
        max_size=2,
    ),
}


def prepared(root: Path) -> Path:
    """A tree with foreign files in it."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc/foreign.json").write_text('{"x": 1,   "theirs": [true]}')
    return root


def settle(driver: Driver, document: dict[str, Any]) -> None:
    driver.apply(document)
    assert driver.pending(document) == []
    assert driver.apply(document) == []


@EXAMPLES
@given(st.fixed_dictionaries({}, optional=FILE_KINDS), st.fixed_dictionaries({}, optional=FILE_KINDS))
def test_a_real_tree_settles_and_is_given_back(first: dict[str, Any], second: dict[str, Any]) -> None:
    first.pop("steps", None)
    second.pop("steps", None)
    with quick_directory() as root:
        before = tree(prepared(root))
        driver = Driver(Host(str(root)))
        settle(driver, first)
        settle(driver, second)
        settle(driver, {})
        after = tree(root)
        gone = {path for path in before if path not in after}
        assert gone == set()
        kept = {path for path in after if path not in before and not path.startswith("var/lib/factory")}
        # What remains are parents that were missing, and the backup of a foreign file.
        assert {path for path in kept if after[path][1] is not None} <= {"etc/foreign.json.factory-backup"}
        assert after["etc/hosts"] == before["etc/hosts"]
        assert not [path for path in after if path.endswith(".tmp")]


@EXAMPLES
@given(
    st.fixed_dictionaries({}, optional={**FILE_KINDS, **SYSTEM_KINDS}),
    st.fixed_dictionaries({}, optional={**FILE_KINDS, **SYSTEM_KINDS}),
)
def test_a_machine_settles(first: dict[str, Any], second: dict[str, Any]) -> None:
    with quick_directory() as root:
        machine = Machine(root, PACKAGES)
        prepared(root)
        driver = Driver.on(machine)
        settle(driver, first)
        settle(driver, second)
        fresh = Driver.on(machine)
        assert fresh.pending(second) == []
        settle(driver, {})


class Answering(Caller):
    """The agent itself in this process, behind a fake transport."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._told: list[dict[str, Any]] = []
        self._agent = Agent(self)
        self._agent._host = Host(str(machine.root), machine, system=True)

    def send(self, message: dict[str, Any]) -> None:
        self._told.append(message)

    def __call__(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        self._agent.acknowledge()
        self._told.clear()
        return [*self._told, {"event": "result", **self._agent.answer(request)}]


async def never() -> None:
    """The user does not interrupt."""
    await asyncio.Event().wait()


@EXAMPLES
@given(
    st.fixed_dictionaries({}, optional={**FILE_KINDS, **SYSTEM_KINDS}),
    st.fixed_dictionaries({}, optional={**FILE_KINDS, **SYSTEM_KINDS}),
)
def test_a_host_behind_a_transport_settles(first: dict[str, Any], second: dict[str, Any]) -> None:
    """The same through a session: what was applied is neither planned nor found missing afterwards."""

    async def work(root: Path) -> None:
        answering = Answering(Machine(root, PACKAGES))
        remote = RemoteHost(address="fake.example.test", host_key=HOST_KEY, root=str(root))
        session = HostSession(remote, lambda: FakeTransport(answering))
        owned: dict[str, Any] = {}
        for desired in (first, second, {}):
            document, blobs = split(HostStateArgs.model_validate(desired).document())
            request = {"document": document, "resource": "role", "owned": owned, "key": "00"}
            done = await session.apply(
                request, blobs, planned=lambda _plan: None, progress=lambda _line: None, stop=never
            )
            owned = request["owned"] = done["owned"]
            assert (await session.plan(request))["plan"]["actions"] == []
            assert (await session.read(request))["drift"] == {}
        await session.close()

    with quick_directory() as root:
        prepared(root)
        asyncio.run(work(root))


@EXAMPLES
@given(st.fixed_dictionaries({}, optional=FILE_KINDS), st.randoms(use_true_random=False))
def test_any_tree_is_either_refused_untouched_or_settles(document: dict[str, Any], dice: Any) -> None:
    """Whatever stands where an item should be: a plan with problems touches nothing, any other one settles."""
    with quick_directory() as root:
        prepared(root)
        for path in [path for kind in ("directories", "links", "files") for path in document.get(kind, {})]:
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            match dice.choice(["nothing", "file", "directory", "link"]):
                case "file":
                    place.write_bytes(b"theirs\xff")
                case "directory":
                    place.mkdir()
                case "link":
                    place.symlink_to("/nowhere")
        document.pop("steps", None)
        before = tree(root)
        driver = Driver(Host(str(root)))
        if driver.plan(document).problems:
            with pytest.raises(AgentError) as caught:
                driver.apply(document)
            assert caught.value.code == "refused"
            assert tree(root) == before
        else:
            settle(driver, document)
