"""What a machine is, as a resource: found out in a preview already, so that a plan rests on what is really there."""

from collections.abc import Mapping
from typing import Any

import pulumi

from .checks import HostCheck
from .credentials import Credentials
from .remote_host import RemoteHost

__all__ = ["HostFacts"]


class HostFacts(pulumi.CustomResource):
    """Questions that a machine must answer rightly before anything of it is planned or changed.

    They are asked when the engine checks the resource, in a preview too: a wrong answer ends the run there, with its
    cause. What depends on this resource is then known to be possible. A machine that cannot be reached keeps the facts
    of the last run, with a warning.
    """

    found: pulumi.Output[Mapping[str, str]]
    """What each command printed. A command prints what stays the same from run to run, or nothing."""

    def __init__(
        self,
        name: str,
        host: RemoteHost,
        checks: Mapping[str, HostCheck],
        *,
        credentials: Credentials | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare what must hold on ``host``; ``likely_cause`` of a check says what to do where it does not."""
        properties: dict[str, Any] = {
            "host": host.model_dump(mode="json", exclude_none=True),
            "credentials": (credentials or Credentials()).as_inputs(),
            "checks": {key: check.model_dump(mode="json", exclude_defaults=True) for key, check in checks.items()},
            "found": None,
        }
        super().__init__("factory-host:index:HostFacts", name, properties, opts)
