"""Each variable of the described system has its place here, with the documented default, and names its source."""

from __future__ import annotations

import re
import typing
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.cm5_gateway import CM5GatewayArgs

REQUIRED = object()


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a section that may be absent."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := model_in(part))), None)


def field_of(path: str) -> FieldInfo:
    model: type[BaseModel] | None = CM5GatewayArgs
    field: FieldInfo | None = None
    for name in path.split("."):
        assert model is not None, path
        field = model.model_fields[name]
        model = model_in(field.annotation)
    assert field is not None
    return field


def sources(field: FieldInfo) -> set[int]:
    """The numbers of the requirements that a field names."""
    text = str((field.json_schema_extra or {}).get("source", "")) if isinstance(field.json_schema_extra, dict) else ""
    found: set[int] = set()
    for first, last in re.findall(r"CM5-(\d+)(?: to CM5-(\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


@pytest.mark.parametrize(
    ("number", "path", "default"),
    [
        # Section 3.1: values of a site have no default.
        (31, "lan.mac", REQUIRED),
        (32, "device_segment.mac", REQUIRED),
        (33, "lan.address", None),
        (34, "device_segment.address", "10.0.1.1"),
        (35, "device_segment.prefix", 24),
        (36, "device_segment.hostname", REQUIRED),
        (37, "device_segment.dhcp_range_start", "10.0.1.100"),
        (38, "device_segment.dhcp_range_end", "10.0.1.200"),
        (39, "device_segment.dhcp_lease_time", "12h"),
        (40, "device_segment.upstream_dns", "9.9.9.9"),
        (41, "device_segment.reservations", ()),
        (42, "storage.device", "/dev/nvme0n1"),
        (43, "storage.mount", "/mnt/nvme"),
        (44, "storage.bind_mounts", True),
        (45, "wan_domain_default", REQUIRED),
        (46, "traefik.acme.email", REQUIRED),
        (47, "traefik.acme.use_staging", False),
        # Section 3.2
        (48, "version", REQUIRED),
        (50, "service_user", None),
        (51, "data_dir", "/opt/data"),
        (52, "config_dir", None),
        (53, "domain_file", None),
        (54, "go.version", "1.23.4"),
        (55, "traefik.image", REQUIRED),
        (56, "install_dir", None),
        (63, "mdns.hostname", REQUIRED),
        (63, "mdns.domain", "local"),
        # Section 3.3
        (64, "cloud.enabled", True),
        (65, "cloud.hub_url", REQUIRED),
        (66, "cloud.gateway_id", None),
        (67, "cloud.token", "cloud_gateway_token"),
        (68, "cloud.poll_interval_seconds", 5),
        (69, "cloud.client_id", "default"),
        (70, "cloud.machine_id", REQUIRED),
        (71, "cloud.eth0_mac", None),
        (72, "cloud.eth1_mac", None),
        (73, "cloud.scheduled_sync_enabled", True),
        (74, "cloud.scenarios_sync_enabled", True),
        (269, "cloud.registration", None),
    ],
)
def test_a_documented_variable_has_its_place_and_default(number: int, path: str, default: object) -> None:
    """CM5-270"""
    field = field_of(path)
    assert number in sources(field), f"{path} names {sources(field)}"
    assert field.is_required() if default is REQUIRED else field.get_default() == default


def test_the_connection_is_one_object() -> None:
    """CM5-28, CM5-29, CM5-270"""
    assert {28, 29} <= sources(field_of("connection"))
    assert field_of("connection.address").is_required()
    assert field_of("connection.user").get_default() is None


def test_every_field_names_its_source() -> None:
    def fields(model: type[BaseModel], path: str = "") -> typing.Iterator[tuple[str, FieldInfo]]:
        for name, field in model.model_fields.items():
            yield f"{path}{name}", field
            inner = model_in(field.annotation)
            if inner is not None and inner.__module__.startswith("components.cm5_gateway"):
                yield from fields(inner, f"{path}{name}.")

    unnamed = [
        path
        for path, field in fields(CM5GatewayArgs)
        if not (isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("source"))
    ]
    assert unnamed == []
