"""The whole gateway on a test machine: its description, its packages, and the real engine that makes it so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.cm5_gateway import CM5GatewayArgs, Gateway
from components.cm5_gateway.checks import wan_checklist
from components.cm5_gateway.machine import machine_of
from components.cm5_gateway.render import roles
from components.host.checks import judge
from tests.support.apt_repository import Package, signer, write_repository
from tests.support.gateway import GATEWAY, SECRETS, merged
from tests.support.gateway_site import DEVICE_MAC, LAN_MAC, SEGMENT_MAC, GatewayMachine, gateway_site
from tests.support.managed_host import ManagedHost
from tests.support.plugin_program import Program
from tests.support.project import Project
from toolchain.paths import ROOT

__all__ = ["Device", "gateway_device"]

_SHELF = "/srv/docker"
_CHECK_SECONDS = 120
_DOUBLES = Path(__file__).parent / "gateway_doubles"
_PYTHON = "#!/usr/bin/python3\n"
_ADGUARD = '#!/bin/sh\nexec /usr/lib/docker-double/serve.py adguard "$3"\n'
_MONITOR = "#!/bin/sh\nexec /usr/lib/docker-double/serve.py http 9091\n"
_DOCKER_UNIT = """\
[Unit]
Description=A double of Docker

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/docker boot

[Install]
WantedBy=multi-user.target
"""
_PROGRAM = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
import pulumi, pulumi_command
from components.cm5_gateway import CM5Gateway, CM5GatewayArgs
from components.host import FactoryProvider

given = json.loads(os.environ["VALUES"])
secrets = {{name: pulumi.Output.secret(value) for name, value in given["secrets"].items()}}
providers = [FactoryProvider("factory"), pulumi_command.Provider("command")]
if given["vault"]:
    import pulumi_vault
    providers.append(pulumi_vault.Provider("vault", **given["vault"]))
opts = pulumi.ResourceOptions(providers=providers)
gateway = CM5Gateway("cabin", CM5GatewayArgs.model_validate(given["args"]), secrets=secrets, opts=opts)
pulumi.export("cm5", gateway.outputs())
"""


@dataclass
class Device:
    """A machine, the program that describes it as a gateway, and what they were given."""

    machine: GatewayMachine
    program: Program
    signing_key: str
    secrets: dict[str, str] = field(default_factory=lambda: dict(SECRETS))
    vault: dict[str, str] = field(default_factory=dict)
    """How the program reaches a Vault, if it shall."""

    def args(self, **changes: Any) -> dict[str, Any]:
        """Describe the gateway; a keyword changes a section in depth."""
        machine = self.machine
        repository = {"uris": [f"file://{_SHELF}"], "suites": ["./"], "signing_key": self.signing_key}
        here: dict[str, Any] = {
            "connection": {
                "address": machine.address,
                "user": "root",
                "sudo": "none",
                "host_key": machine.keys.host_key,
                "ssh_config": None,
            },
            "lan": {"mac": LAN_MAC, "resolvers": [machine.site.router]},
            "device_segment": {
                "mac": SEGMENT_MAC,
                "reservations": [{"mac": DEVICE_MAC, "address": "10.0.1.10", "name": "valve"}],
            },
            "storage": {"device": machine.disk.path},
            "packages": ["bind9-dnsutils", "curl"],
            "docker": {"repository": repository},
            "services": {"monitor": {"files": {"/usr/local/bin/monitor": {"content": _MONITOR}}}},
            "go": None,
        }
        return dict(merged(merged(GATEWAY, here), changes))

    def values(self, **changes: Any) -> dict[str, Any]:
        """Write what the program is given."""
        secrets = {**self.secrets, "private_key": self.machine.keys.private_key}
        return {"args": self.args(**changes), "secrets": secrets, "vault": self.vault}

    def up(self, **changes: Any) -> None:
        """Refresh and update."""
        self.program.up(**self.values(**changes))

    def stack(self, folder: Path, name: str, **changes: Any) -> Project:
        """Make a checkout with a sandbox's stack of that name, which is the gateway, and has its secrets."""
        state = folder / "sandbox-state"
        state.mkdir()
        project = Project.copy_to(folder / "checkout", folder / "state")
        # The gateway has names of the example site, which counts as production beside a sandbox.
        project.stack_file("example").unlink()
        project.environment = {"PULUMI_BACKEND_URL": state.as_uri(), "PULUMI_CONFIG_PASSPHRASE": name}
        config = {
            "pulumi:disable-default-providers": ["*"],
            "factory:environment": "sandbox",
            "factory:sandbox": {"mode": "vms", "state_url": state.as_uri(), "target_revision": "sandbox"},
            "factory:cm5_gateway": self.args(**changes),
        }
        project.configure(name, {"config": config})
        project.pulumi(name, "stack", "init", name)
        needed = {"private_key", *CM5GatewayArgs.model_validate(self.args(**changes)).secrets}
        given = {key: value for key, value in self.values()["secrets"].items() if key in needed}
        options = [w for key, value in given.items() for w in ("--secret", f"host_secrets.cm5_gateway.{key}={value}")]
        project.pulumi(name, "config", "set-all", "--stack", name, "--path", *options)
        return project

    def refused(self, **changes: Any) -> str:
        """Refresh and update, which must fail; return what was said."""
        said = self.program.run(
            "up", "--refresh", "--yes", "--skip-preview", check=False, values=self.values(**changes)
        )
        assert "error:" in said, said
        return said

    def steps(self, **changes: Any) -> dict[str, list[str]]:
        """Preview with refresh; return what would be done to each role."""
        found = self.program.steps(**self.values(**changes))
        return {name.removeprefix("cabin."): what for name, what in found.items()}

    def roles(self) -> list[str]:
        """Name the roles, each after those it waits for."""
        return list(roles(Gateway.of(CM5GatewayArgs.model_validate(self.args()))))

    def forget(self) -> None:
        """Throw the state of the stack away."""
        self.program.run("stack", "rm", "--force", "--yes")
        self.program.run("stack", "init", "dev")

    def outputs(self) -> Mapping[str, Any]:
        """Return the gateway's outputs."""
        outputs: Mapping[str, Any] = self.program.outputs()["cm5"]
        return outputs

    def failed_checks(self, **changes: Any) -> dict[str, str]:
        """Run every check of the gateway itself on the machine; return what those found that fail."""
        described = machine_of(CM5GatewayArgs.model_validate(self.args(**changes))).checks
        checks = {name: check for name, check in described.items() if name not in self._wan_checks(**changes)}
        requests = {name: check.request() for name, check in checks.items()}
        host = ManagedHost.of(self.machine)
        observed = host.asked(lambda session: session.check(requests, seconds=_CHECK_SECONDS))["checks"]
        return {result.name: result.actual for result in judge(checks, observed) if not result.ok}

    def _wan_checks(self, **changes: Any) -> Mapping[str, Any]:
        """List those of the way to the hub, which is not there."""
        return wan_checklist(Gateway.of(CM5GatewayArgs.model_validate(self.args(**changes))))


@contextmanager
def gateway_device(folder: Path, *, traefik: Path | None = None) -> Iterator[Device]:
    """Run a bare machine, with the program that has not been run yet. With ``traefik`` that one runs, and no double."""
    doubles = {name: _PYTHON + (_DOUBLES / f"{name}.py").read_text("utf-8") for name in ("docker", "serve")}
    packages = (
        Package(
            "docker.io",
            files={"/usr/lib/systemd/system/docker.service": _DOCKER_UNIT},
            programs={
                "/usr/bin/docker": doubles["docker"],
                "/usr/lib/docker-double/serve.py": doubles["serve"],
                "/opt/adguardhome/AdGuardHome": _ADGUARD,
            },
        ),
        Package("docker-compose"),
    )
    with signer(folder / "gpg") as key:
        write_repository(folder / "seed" / _SHELF.lstrip("/"), packages, key, folder / "work")
        signing_key = key.public_key
    if traefik is not None:
        (folder / "seed/usr/bin").mkdir(parents=True)
        shutil.copy2(traefik, folder / "seed/usr/bin/traefik")
    program = Program.write(folder / "project", _PROGRAM, plugins=["factory-host"])
    with gateway_site("gateway", seeds=[folder / "seed"]) as machine:
        yield Device(machine, program, signing_key)
