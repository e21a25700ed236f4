"""How a machine is described, and the same description for pulumi-command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.host import Credentials, RemoteHost, Sudo, command_connection

ROOT = Path(__file__).resolve().parents[3]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
JUMP = {"address": "jump.example.test", "user": "hop", "host_key": KEY}


def host(**given: Any) -> RemoteHost:
    return RemoteHost.model_validate({"address": "node.example.test", "host_key": KEY, **given})


def test_a_host_has_sensible_defaults() -> None:
    plain = host()
    assert (plain.sudo, plain.root, plain.python, plain.ssh_config) == (Sudo.NONE, "/", "python3", "~/.ssh/config")
    assert plain.place == "node.example.test"
    assert host(port=2222).place == "node.example.test:2222"


def test_no_configuration_file_survives_the_way_through_the_engine() -> None:
    without = host(ssh_config=None)
    assert without.ssh_config == ""
    sent = {key: value for key, value in without.model_dump(mode="json").items() if value is not None}
    assert RemoteHost.model_validate(sent) == without


def test_two_spellings_of_a_machine_are_one() -> None:
    assert host().identity == host(address="NODE.example.test", port=22, user="op").identity
    assert host().identity != host(port=2222).identity
    assert host().identity != host(root="/srv/test").identity


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"host_key": None}, ("host_key",)),
        ({"address": "a b"}, ("address",)),
        ({"address": "-oProxyCommand=x y"}, ("address",)),
        ({"port": 0}, ("port",)),
        ({"user": "a;b"}, ("user",)),
        ({"sudo": "maybe"}, ("sudo",)),
        ({"python": "python3 -c x"}, ("python",)),
        ({"root": "relative"}, ("root",)),
        # Relative to what? A command is called from anywhere, the program runs in its checkout.
        ({"identity_file": "keys/id"}, ("identity_file",)),
        ({"identity_file": "~op/id"}, ("identity_file",)),
        ({"agent_socket": "agent"}, ("agent_socket",)),
        ({"ssh_config": "config"}, ("ssh_config",)),
        ({"jump_hosts": [{"address": "jump.example.test", "user": "hop"}]}, ("jump_hosts", 0, "host_key")),
        ({"prot": 22}, ("prot",)),
    ],
)
def test_a_mistake_is_named(given: dict[str, Any], place: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        host(**given)
    assert [error["loc"] for error in refused.value.errors()] == [place]


def test_pulumi_command_gets_the_pinned_keys() -> None:
    secrets = Credentials(private_key="k", passphrase="p", sudo_password="s")
    made = command_connection(host(user="op", port=2222, jump_hosts=[JUMP]), secrets)
    assert (made.host, made.port, made.user, made.host_key) == ("node.example.test", 2222, "op", KEY)
    assert (made.private_key, made.private_key_password, made.per_dial_timeout) == ("k", "p", 10)
    assert made.proxy is not None
    assert (made.proxy.host, made.proxy.host_key) == ("jump.example.test", KEY)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "mistake"),
    [({}, "`user` must be given"), ({"user": "op", "jump_hosts": [JUMP, JUMP]}, "has 2 jump_hosts")],
)
def test_what_pulumi_command_cannot_do_is_told(given: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        command_connection(host(**given))


def test_a_program_imports_no_ssh() -> None:
    """The start of every run of the program would pay for it."""
    program = (
        "import sys; from components.host import HostState, RemoteHost, Credentials; print('asyncssh' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
