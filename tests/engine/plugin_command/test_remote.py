"""Commands and copies over SSH, against a real OpenSSH server."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.plugin_process import PluginProcess, RefusedError, plugin_process
from tests.support.security_key import SecurityKey, agent_with
from tests.support.ssh_server import SshServer, ssh_server, sshd
from toolchain.plugins.kit import Archive, Asset

pytestmark = [pytest.mark.engine, pytest.mark.skipif(sshd() is None, reason="needs an OpenSSH server on this machine")]

COMMAND = "command:remote:Command"
COPY = "command:remote:CopyToRemote"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as running:
        yield running


@pytest.fixture(scope="module")
def plugin() -> Iterator[PluginProcess]:
    with plugin_process("command", {}) as running:
        yield running


def test_a_command_runs_there(plugin: PluginProcess, server: SshServer, tmp_path: Path) -> None:
    inputs = {
        "connection": server.connection,
        "create": "echo $GREETING; cat; echo careful >&2",
        "update": "echo was $PULUMI_COMMAND_STDOUT",
        "delete": f"touch {tmp_path}/gone",
        "environment": {"GREETING": "hello"},
        "stdin": "from stdin",
    }
    made = plugin.create(COMMAND, "x", inputs)
    assert (made.outputs["stdout"], made.outputs["stderr"]) == ("hello\nfrom stdin", "careful")
    assert ("connection",) in made.secret_outputs
    changed = plugin.update(made, {**inputs, "stdin": "y"})
    assert changed.outputs["stdout"] == "was hello from stdin"
    plugin.delete(changed)
    assert (tmp_path / "gone").exists()


def test_a_jump_host_is_gone_through(plugin: PluginProcess, server: SshServer) -> None:
    connection = {**server.connection, "proxy": server.connection}
    made = plugin.create(COMMAND, "x", {"connection": connection, "create": "echo there"})
    assert made.outputs["stdout"] == "there"


def test_an_agent_is_left_as_soon_as_it_has_signed(plugin: PluginProcess, tmp_path: Path) -> None:
    key = SecurityKey()
    with ssh_server(tmp_path) as server, agent_with(key, tmp_path / "agent"):  # this agent hears one caller at a time
        (tmp_path / "authorized_keys").write_text(f"{key.public_line}\n")
        given = {name: value for name, value in server.connection.items() if name != "privateKey"}
        connection = {**given, "agentSocketPath": str(tmp_path / "agent")}
        for word in ("first", "second"):
            made = plugin.create(COMMAND, word, {"connection": connection, "create": f"echo {word}"}, timeout=120)
            assert made.outputs["stdout"] == word


def test_failures_are_one_sentence(plugin: PluginProcess, server: SshServer, tmp_path: Path) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
    where = f"127.0.0.1:{server.port}"
    cases = [
        ({**server.connection, "hostKey": other}, f"{where} shows another host key than the one pinned in hostKey."),
        ({**server.connection, "privateKey": "nonsense"}, f"privateKey for {where} cannot be read"),
        ({**server.connection, "user": "nobody-at-all"}, f"cannot connect to nobody-at-all@{where}: Permission denied"),
        ({**server.connection, "port": 9}, "@127.0.0.1:9: "),
        ({**server.connection, "proxy": {**server.connection, "hostKey": other}}, f"{where} shows another host key"),
    ]
    for connection, sentence in cases:
        with pytest.raises(RefusedError) as refused:
            plugin.create(COMMAND, "x", {"connection": connection, "create": f"touch {tmp_path}/ran"})
        assert sentence in str(refused.value)
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(RefusedError, match="the command ended with exit status 4: oops"):
        plugin.create(COMMAND, "x", {"connection": server.connection, "create": "echo oops >&2; exit 4"})


def test_what_takes_too_long_is_ended(plugin: PluginProcess, server: SshServer, tmp_path: Path) -> None:
    started = time.monotonic()
    inputs = {"connection": server.connection, "create": f"echo $$ > {tmp_path}/pid; exec sleep 300"}
    with pytest.raises(RefusedError, match="the remote work was ended: out of time"):
        plugin.create(COMMAND, "x", inputs, timeout=3)
    assert time.monotonic() - started < 120
    # OpenSSH passes no signal on to a command of root, so it may go on there; here it is over.
    with contextlib.suppress(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_files_are_copied(plugin: PluginProcess, server: SshServer, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("deep")
    (tmp_path / "single").write_text("single")
    target = tmp_path / "target"

    def copy(path: Path, what: Asset | Archive) -> None:
        plugin.create(COPY, "x", {"connection": server.connection, "remotePath": str(path), "source": what})

    copy(target / "new" / "text", Asset(text="text", hash="1"))
    assert (target / "new" / "text").read_text() == "text"
    (target / "new" / "text").chmod(0o600)
    copy(target / "new" / "text", Asset(text="again", hash="2"))
    assert (target / "new" / "text").read_text() == "again"
    assert (target / "new" / "text").stat().st_mode & 0o777 == 0o600
    copy(target, Asset(path=str(tmp_path / "single"), hash="3"))
    assert (target / "single").read_text() == "single"
    copy(target / "tree", Archive(path=str(source), hash="4"))
    assert (target / "tree" / "deep" / "file").read_text() == "deep"
    with pytest.raises(RefusedError, match="is a directory"):
        copy(target, Asset(text="text", hash="5"))
    with pytest.raises(RefusedError, match="cannot read /does/not/exist: No such file"):
        copy(target, Asset(path="/does/not/exist", hash="6"))
    assert sorted(path.name for path in target.iterdir()) == ["new", "single", "tree"]
