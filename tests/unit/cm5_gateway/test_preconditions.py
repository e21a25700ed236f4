"""What is asked of a device before anything is planned: each question passes what is right and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.cm5_gateway import Gateway, nvme_disk
from components.cm5_gateway.lan_address import AddressError, judged
from components.cm5_gateway.nvme_disk import DiskError
from components.cm5_gateway.preconditions import preconditions
from components.host.checks import HostCheck
from tests.support.gateway import classic, gateway_args

GATEWAY = Gateway.of(gateway_args())
ASKED = preconditions(GATEWAY)


def passes(check: HostCheck, path: str = os.environ["PATH"]) -> tuple[bool, str]:
    """Whether the command of a question ends well, and what it prints."""
    assert check.command is not None
    done = subprocess.run(check.command, capture_output=True, text=True, check=False, env={"PATH": path})
    return done.returncode == 0, done.stdout.strip()


def address(*given: tuple[str, int], scope: str = "global") -> str:
    return json.dumps([{"addr_info": [{"local": ip, "prefixlen": length, "scope": scope} for ip, length in given]}])


def test_every_fact_of_the_device_is_asked_for() -> None:
    """CM5-27, CM5-254: hardware addresses, address, name, disk, and what would be in the way."""
    assert list(ASKED) == [
        "lan.mac",
        "device_segment.mac",
        "lan.address",
        "wan_domain",
        "storage.device",
        "network.no-other-network-file",
        "network.no-ifupdown",
        "dhcp.port-53-is-free",
        "data.data-hides-nothing",
        "data.log-hides-nothing",
    ]
    assert list(preconditions(Gateway.of(classic()))) == ["lan.mac", "lan.address", "wan_domain"]
    assert [name for name, check in ASKED.items() if "CM5-" not in check.likely_cause] == ["wan_domain"]


def test_the_right_address_is_a_fact() -> None:
    """CM5-102"""
    assert judged(address(("10.20.0.14", 24)), "eth0", "10.20.0.14", "10.0.1.0/24") == "10.20.0.14/24"
    two = address(("10.20.0.13", 24), ("10.20.0.14", 24))
    assert judged(two, "eth0", "10.20.0.14", "") == "10.20.0.14/24"


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        # CM5-103
        ("[]", "eth0 has no address"),
        (address(("169.254.3.4", 16), scope="link"), "eth0 has no address"),
        # CM5-206, CM5-252
        (address(("10.20.0.99", 24)), "eth0 has 10.20.0.99 and not 10.20.0.14"),
        # CM5-80
        (address(("10.20.0.14", 8)), "the networks 10.0.0.0/8 and 10.0.1.0/24 overlap"),
    ],
)
def test_another_address_is_refused(shown: str, said: str) -> None:
    with pytest.raises(AddressError, match=said):
        judged(shown, "eth0", "10.20.0.14", "10.0.1.0/24")


def test_the_question_runs_as_it_is_sent(tmp_path: Path) -> None:
    ip = tmp_path / "ip"
    ip.write_text(f"#!/bin/sh\necho '{address(('10.20.0.14', 24))}'\n")
    ip.chmod(0o755)
    assert passes(ASKED["lan.address"], f"{tmp_path}:{os.environ['PATH']}") == (True, "10.20.0.14/24")
    ip.write_text("#!/bin/sh\nexit 1\n")
    assert passes(ASKED["lan.address"], f"{tmp_path}:{os.environ['PATH']}") == (False, "")


def test_a_hardware_address_is_that_of_its_interface() -> None:
    """CM5-25, CM5-243; loopback stands for the interface."""
    lan = {"interface": "lo", "mac": "02:00:5e:00:53:01"}
    wrong = preconditions(Gateway.of(gateway_args(lan=lan)))["lan.mac"]
    assert passes(wrong) == (False, "00:00:00:00:00:00")
    assert "lo does not have the hardware address 02:00:5e:00:53:01" in wrong.likely_cause


@pytest.mark.parametrize(
    ("content", "printed"),
    [(None, ""), (" \n", ""), ("Own.Example.Test\n", "Own.Example.Test"), ("two\nlines", "two\nlines")],
)
def test_the_name_in_the_device_s_file_is_a_fact(content: str | None, printed: str, tmp_path: Path) -> None:
    """CM5-171: whatever it is; the plan is made with it."""
    file = tmp_path / "domain.txt"
    if content is not None:
        file.write_text(content)
    assert passes(preconditions(Gateway.of(gateway_args(domain_file=str(file))))["wan_domain"]) == (True, printed)


def test_a_disk_is_judged_without_a_byte_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CM5-147, CM5-263: the plan knows what would be refused."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    asked = (str(disk), f"{disk}1", "cabin-data", "")
    with pytest.raises(DiskError, match="there is no disk"):
        nvme_disk.judge(*asked)
    monkeypatch.setattr(Path, "is_block_device", lambda _path: True)
    signs: dict[str, str] = {}
    whole = {"path": str(disk), "serial": "S-1"}
    monkeypatch.setattr(nvme_disk, "_described", lambda _disk: (whole, []))
    monkeypatch.setattr(nvme_disk, "_probed", lambda _path: signs)
    monkeypatch.setattr(nvme_disk, "_run", lambda *command: pytest.fail(f"ran {command}"))
    nvme_disk.judge(*asked)
    signs["TYPE"] = "ntfs"
    with pytest.raises(DiskError, match=r"it holds ntfs.*erase_serial: S-1"):
        nvme_disk.judge(*asked)
    nvme_disk.judge(*asked[:3], "S-1")
    signs |= {"TYPE": "ext4", "LABEL": "cabin-data"}
    nvme_disk.judge(*asked)
    assert disk.read_bytes() == bytes(4096)


def test_the_disk_is_asked_for_as_it_is_sent() -> None:
    """CM5-19, CM5-244"""
    check = preconditions(Gateway.of(gateway_args(storage={"device": "/dev/no-such-disk"})))["storage.device"]
    assert check.command is not None
    done = subprocess.run(check.command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, "there is no disk /dev/no-such-disk")


def test_a_directory_with_files_is_told_before_it_would_be_hidden(tmp_path: Path) -> None:
    """CM5-149"""
    data: dict[str, Any] = {"data_dir": str(tmp_path / "data")}
    check = preconditions(Gateway.of(gateway_args(**data)))["data.data-hides-nothing"]
    assert passes(check)[0]
    (tmp_path / "data").mkdir()
    assert passes(check)[0]
    (tmp_path / "data" / "file").touch()
    assert not passes(check)[0]
    assert "holds files, which the mount would hide" in check.likely_cause


def test_another_name_server_is_told(tmp_path: Path) -> None:
    """CM5-250"""
    ss = tmp_path / "ss"
    ss.write_text("#!/bin/sh\necho 'udp UNCONN 0 0 10.0.1.1:53 0.0.0.0:* users:((\"named\",pid=1,fd=2))'\n")
    ss.chmod(0o755)
    check = ASKED["dhcp.port-53-is-free"]
    assert not passes(check, f"{tmp_path}:{os.environ['PATH']}")[0]
    ss.write_text("#!/bin/sh\necho 'udp UNCONN 0 0 127.0.0.53:53 0.0.0.0:* users:((\"systemd-resolve\",pid=1,fd=2))'\n")
    assert passes(check, f"{tmp_path}:{os.environ['PATH']}")[0]


@pytest.mark.parametrize(
    ("file", "content", "alone"),
    [
        ("interfaces", "auto lo\niface lo inet loopback\n", True),
        ("interfaces", "# allow-hotplug eth0\niface eth0.7 inet manual\n", True),
        ("interfaces", "iface eth10 inet dhcp\n", True),
        ("interfaces", "  allow-hotplug eth0\n", False),
        ("interfaces.d/eth1", "auto eth1\niface eth1 inet static\n", False),
    ],
)
def test_one_manager_has_the_interfaces(file: str, content: str, alone: bool, tmp_path: Path) -> None:
    """CM5-157: where ifupdown is installed, its lines are told before a second one takes the interfaces over."""
    folder, programs = tmp_path / "network", tmp_path / "programs"
    (folder / "interfaces.d").mkdir(parents=True)
    programs.mkdir()
    (folder / file).write_text(content)
    check = ASKED["network.no-ifupdown"]
    assert check.command is not None
    assert "do not restart the device" in check.likely_cause
    asked = HostCheck(command=tuple(str(folder) if word == "/etc/network" else word for word in check.command))
    path = f"{programs}:{os.environ['PATH']}"
    (programs / "ifup").write_text("#!/bin/sh\n")
    (programs / "ifup").chmod(0o755)
    assert passes(asked, path)[0] is alone
    (programs / "ifup").unlink()
    if shutil.which("ifup") is None:
        assert passes(asked, path)[0]
