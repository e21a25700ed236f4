"""The files of a gateway as the programs that read them see them: on two networks of their own, without the machine's.

The namespaces need root; the programs are Debian's, which `./factory test` installs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.cm5_gateway import Gateway
from components.cm5_gateway.render import roles
from components.host.agent import rendering
from tests.support import dhcp_client
from tests.support.gateway import classic, gateway_args
from toolchain.debian_packages import GATEWAY_PROGRAMS, program

MISSING = [name for name in GATEWAY_PROGRAMS if program(name) is None]
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or bool(MISSING), reason=f"needs root and {', '.join(MISSING) or 'nothing else'}"
)

NETWORKS = """set -e
ip link set lo up
ip link add eth0 type veth peer name home
ip link add eth1 type veth peer name field
for link in eth0 home eth1 field; do ip link set $link up; done
ip address add 10.20.0.14/24 dev eth0
ip address add 10.0.1.1/24 dev eth1
"""
GATEWAY = Gateway.of(gateway_args())


def on_networks(script: str, directory: Path) -> str:
    """Run a script on the gateway's two networks, as root of a namespace."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", NETWORKS + script],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def text_of(gateway: Gateway, role: str, path: str) -> str:
    content = roles(gateway)[role].desired.files[path].content
    assert content is not None
    return content


def nginx_configuration(gateway: Gateway, directory: Path) -> Path:
    """The file as the container has it, with the paths of this machine."""
    text = text_of(gateway, "container-nginx", "/opt/data/config/nginx/nginx.conf")
    static = directory / "www"
    static.mkdir()
    (static / "index.html").write_text("the pages")
    for ours, theirs in {
        "/srv/www": str(static),
        "/tmp/nginx.pid": str(directory / "pid"),
        "/dev/stdout": str(directory / "access.log"),
    }.items():
        text = text.replace(ours, theirs)
    file = directory / "nginx.conf"
    file.write_text(f"user root;\n{text}")
    return file


def test_nginx_serves_the_segment_and_closes_the_lan(tmp_path: Path) -> None:
    """CM5-85, CM5-88, CM5-202, CM5-210, CM5-226: by asking the real server."""
    file = nginx_configuration(GATEWAY, tmp_path)
    said = on_networks(
        f"""
nginx -q -t -c {file} -e stderr && nginx -c {file} -e stderr
code() {{ curl -s -m 5 -w '%{{http_code}} %{{exitcode}}\\n' "$@" || true; }}
code http://10.0.1.1/
echo
code http://10.0.1.1/deep/link
echo
code http://10.20.0.14/
code http://10.0.1.1/api/x -o /dev/null
nginx -c {file} -s quit -e stderr
""",
        tmp_path,
    )
    assert [line for line in said.splitlines() if line] == [
        "the pages200 0",
        "the pages200 0",
        "000 52",
        # Its backend is not here.
        "502 0",
    ]


def test_the_classic_server_answers_everywhere(tmp_path: Path) -> None:
    """CM5-12"""
    file = nginx_configuration(Gateway.of(classic()), tmp_path)
    said = on_networks(
        f"""
nginx -q -t -c {file} -e stderr && nginx -c {file} -e stderr
for address in 127.0.0.1 10.20.0.14; do curl -s -o /dev/null -m 5 -w '%{{http_code}}\\n' http://$address/; done
nginx -c {file} -s quit -e stderr
""",
        tmp_path,
    )
    assert said.split() == ["404", "404"]


def test_dnsmasq_takes_its_file_and_answers_the_segment_only(tmp_path: Path) -> None:
    """CM5-158, CM5-163, CM5-166, CM5-168: with another name server on the LAN's address already."""
    file = tmp_path / "dnsmasq.conf"
    file.write_text(text_of(GATEWAY, "dhcp", "/etc/dnsmasq.d/cabin.conf"))
    said = on_networks(
        f"""
dnsmasq --test --conf-file={file} 2>/dev/null
dnsmasq --no-daemon --no-ping --conf-file={file} --user=root --pid-file={tmp_path}/pid \\
    --dhcp-leasefile={tmp_path}/leases 2>{tmp_path}/log &
server=$!
for _ in $(seq 50); do ss -Hlnu 'sport = :53' | grep -q 10.0.1.1 && break; sleep 0.1; done
ask() {{ dig +time=2 +tries=1 "$@"; }}
echo "A $(ask +short @10.0.1.1 hub.example.test A)"
echo "AAAA $(ask @10.0.1.1 hub.example.test AAAA | grep -o 'status: [A-Z]*\\|ANSWER: [0-9]*' | xargs)"
ss -Hlntu 'sport = :53' | awk '{{print $5}}' | sort -u
kill $server
""",
        tmp_path,
    )
    lines = said.splitlines()
    assert lines[:2] == ["A 10.0.1.1", "AAAA status: NOERROR ANSWER: 0"]
    assert lines[2:] == ["10.0.1.1:53"]


def test_a_device_gets_its_address_and_no_way_out(tmp_path: Path) -> None:
    """CM5-159 to CM5-162, CM5-164, CM5-167, CM5-209: the answer to a real request for an address."""
    file = tmp_path / "dnsmasq.conf"
    file.write_text(text_of(GATEWAY, "dhcp", "/etc/dnsmasq.d/cabin.conf"))
    client = dhcp_client.__file__
    said = on_networks(
        f"""
dnsmasq --no-daemon --no-ping --conf-file={file} --user=root --pid-file={tmp_path}/pid \\
    --dhcp-leasefile={tmp_path}/leases 2>{tmp_path}/log &
server=$!
for _ in $(seq 50); do ss -Hlnu 'sport = :67' | grep -q . && break; sleep 0.1; done
python3 {client} field 02:00:5e:00:53:10
python3 {client} field 02:00:5e:00:53:77
kill $server
""",
        tmp_path,
    )
    known, unknown = (dict(pair.split("=") for pair in line.split()) for line in said.splitlines())
    assert known == {
        "address": "10.0.1.10",
        "router": "none",
        "dns": "10.0.1.1",
        "mask": "255.255.255.0",
        "lease": "43200",
        "name": "valve",
    }
    last = int(unknown["address"].rpartition(".")[2])
    assert 100 <= last <= 200
    assert unknown["router"] == "none"


def test_the_firewall_loads_twice_and_isolates(tmp_path: Path) -> None:
    """CM5-155, CM5-209, CM5-215: a second load replaces the first, and nobody else's table is touched."""
    file = tmp_path / "firewall.nft"
    file.write_text(text_of(GATEWAY, "firewall", "/etc/cabin/firewall.nft"))
    said = on_networks(
        f"""
nft add table ip docker
nft --check --file {file} && nft --file {file} && nft --file {file}
nft list tables
nft list chain inet cabin_gateway forward
nft list chain inet cabin_gateway input
""",
        tmp_path,
    )
    assert said.count("table ip docker") == 1
    assert 'iifname "eth1" drop' in said
    assert 'oifname "eth1" drop' in said
    assert "tcp dport { 1883, 7070 } drop" in said


def test_logrotate_takes_its_file(tmp_path: Path) -> None:
    file = tmp_path / "logs"
    text = text_of(GATEWAY, "log-rotation", "/etc/logrotate.d/cabin").replace("su cabin cabin", "su root root")
    file.write_text(text)
    file.chmod(0o644)
    done = subprocess.run(
        [str(program("logrotate")), "--debug", file], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    assert "after 1 days (14 rotations)" in done.stderr


def units(gateway: Gateway) -> Mapping[str, Any]:
    """Every unit file of the gateway by name."""
    found = {}
    for role in roles(gateway).values():
        for name, unit in role.desired.units.items():
            if unit.unit is not None:
                found[name] = rendering.unit(unit.unit)
    return found


def test_systemd_takes_every_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    written = units(GATEWAY)
    assert set(written) == {
        "avahi-publish-cabin.service",
        "cabin-firewall.service",
        "cabin-local-ca.service",
        "cabin-local-ca.timer",
        "monitor.service",
        "push-status.service",
        "push-status.timer",
    }
    for name, text in written.items():
        # The programs are on the device; what is judged here is the unit.
        lines = [
            f"{line.partition('=')[0]}=/bin/true" if line.startswith("Exec") else line for line in text.splitlines()
        ]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    (tmp_path / "avahi-daemon.service").write_text("[Service]\nExecStart=/bin/true\n")
    command: list[str | Path] = [
        "systemd-analyze",
        "verify",
        "--man=no",
        *(tmp_path / name for name in sorted(written)),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line] == []
