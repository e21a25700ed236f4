"""The failures of section 10: each is told where it can be seen, before the run or by the doctor, with what to do."""

from __future__ import annotations

import pytest

from components.cm5_gateway import Gateway
from components.cm5_gateway.checks import checklist, wan_checklist
from components.cm5_gateway.preconditions import preconditions
from components.cm5_gateway.render import roles
from tests.support.gateway import gateway_args

GATEWAY = Gateway.of(gateway_args())
BEFORE = {name: check.likely_cause for name, check in preconditions(GATEWAY).items()}
DURING = {
    f"{role}.{name}": step.run[-1] for role, plan in roles(GATEWAY).items() for name, step in plan.desired.steps.items()
}
AFTER = {name: check.likely_cause for name, check in {**checklist(GATEWAY), **wan_checklist(GATEWAY)}.items()}


@pytest.mark.parametrize(
    ("id_", "seen", "name", "action"),
    [
        # CM5-254: what can be seen before anything is changed is seen then.
        ("CM5-243", BEFORE, "lan.mac", "read `ip link`"),
        ("CM5-243", BEFORE, "device_segment.mac", "correct device_segment.mac"),
        ("CM5-244", BEFORE, "storage.device", "look with `lsblk`"),
        ("CM5-250", BEFORE, "dhcp.port-53-is-free", "ss -tlnup sport = :53"),
        # CM5-252: another lease; every consumer follows the one value.
        ("CM5-206", BEFORE, "lan.address", "reserve the address"),
        # And again when it is applied: between a plan and its run a cable can be moved.
        ("CM5-243", DURING, "network.lan-has-its-mac", "read `ip link`"),
        ("CM5-244", DURING, "nvme.disk-is-there", "enable PCIe"),
        ("CM5-249", DURING, "common.domain-is-known", "run again"),
        ("CM5-250", DURING, "dhcp.port-53-is-free", "ss -tlnup sport = :53"),
        ("CM5-206", DURING, "network.lan-has-its-address", "correct lan.address"),
        # What only shows on a gateway that runs.
        ("CM5-244", AFTER, "CM5-221-label", "lsblk"),
        ("CM5-245", AFTER, "CM5-219-segment-address", "networkctl status eth1"),
        ("CM5-246", AFTER, "CM5-222-dnsmasq.service", "journalctl -u dnsmasq"),
        ("CM5-247", AFTER, "CM5-226-lan-http-closed", "a closed connection is right here"),
        ("CM5-248", AFTER, "CM5-228-local-certificate", "install the authority"),
        ("CM5-250", AFTER, "CM5-231-name-servers-apart", "ss -tlnup sport = :53"),
        ("CM5-251", AFTER, "CM5-218-containers", "docker compose -f /opt/data/docker-compose.yml ps"),
        ("CM5-253", AFTER, "CM5-233-P0-dns", "/etc/resolv.conf"),
    ],
)
def test_a_failure_is_told_with_what_to_do(id_: str, seen: dict[str, str], name: str, action: str) -> None:
    assert id_ in seen[name]
    assert action in seen[name]
