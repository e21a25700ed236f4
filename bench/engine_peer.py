"""The peer of `bench engine`: a plain program in which each resource of a stack stands with its values.

It has no component, no configuration, no rendering and no policies, and orders what it makes by as few dependencies as
do: what a person would write who knew every value beforehand.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.project import Project

PEER = "plain program"
_SECONDS = 1800.0
_PROGRAM = f'''\
"""Each resource with its values."""

import json
from pathlib import Path

import pulumi

SECRET = "4dabf18193072939515e22adb298388d"  # marks a secret in an exported state


def given(value):
    if isinstance(value, list):
        return [given(part) for part in value]
    if not isinstance(value, dict):
        return value
    if SECRET in value:
        return pulumi.Output.secret(json.loads(value["plaintext"]))
    return {{key: given(part) for key, part in value.items()}}


made = {{}}
for one in json.loads(Path("{PEER.replace(" ", "-")}.json").read_text("utf-8")):
    inputs = {{key: given(value) for key, value in one["inputs"].items() if key in one["kept"]}}
    options = pulumi.ResourceOptions(
        depends_on=[made[urn] for urn in one["after"]], ignore_changes=one["ignored"], version=one["version"]
    )
    kind, name = one["type"], one["urn"].rpartition("::")[2]
    if kind.startswith("pulumi:providers:"):
        made[one["urn"]] = pulumi.ProviderResource(kind.rpartition(":")[2], name, inputs, options)
    else:
        options.provider = made[one["provider"]]
        made[one["urn"]] = pulumi.CustomResource(kind, name, inputs, options)
'''


@dataclass(frozen=True)
class PlainProgram:
    """The program in the place of the project's own, on its stack, which must be empty when it comes."""

    project: Project
    stack: str
    exports: str

    def run(self, *arguments: str) -> None:
        """Run `pulumi ARGUMENTS` without this project's command line."""
        script = f'{self.exports}\nexec pulumi "$@" --stack {self.stack} --color never'
        subprocess.run(
            ["sh", "-c", script, "pulumi", *arguments],
            cwd=self.project.root,
            env=self.project.variables,
            check=True,
            capture_output=True,
            timeout=_SECONDS,
        )

    def up(self) -> None:
        """Bring everything up, with the engine's options that `./factory up` gives."""
        self.run("up", "--yes", "--skip-preview", "--run-program", "--refresh", "--parallel", "32")

    def preview(self) -> None:
        """Find nothing to do, likewise."""
        self.run("preview", "--run-program", "--refresh", "--parallel", "32", "--expect-no-changes")

    def destroy(self) -> None:
        """Take everything away."""
        self.run("destroy", "--yes", "--skip-preview", "--run-program=false", "--parallel", "32")


@contextmanager
def plain_program(project: Project, stack: str, resources: Mapping[str, Mapping[str, Any]]) -> Iterator[PlainProgram]:
    """Put the program that makes these decrypted resources in the place of the project's own, for a while."""
    program, values = project.root / "__main__.py", project.root / f"{PEER.replace(' ', '-')}.json"
    ours = program.read_text("utf-8")
    values.touch(mode=0o600)
    values.write_text(json.dumps(list(_plain(resources))), "utf-8")
    program.write_text(_PROGRAM, "utf-8")
    try:
        yield PlainProgram(project, stack, project.factory("env").stdout)
    finally:
        program.write_text(ours, "utf-8")
        values.unlink()


def _plain(resources: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what makes each resource that is no component; a state lists them in an order in which they can be made."""
    before: dict[str, set[str]] = {}
    for urn, resource in resources.items():
        if not resource.get("custom"):
            continue
        inputs, provider = resource.get("inputs", {}), str(resource.get("provider", "")).rpartition("::")[0]
        wanted = [one for one in resource.get("dependencies") or () if one in before]
        after = _needed(wanted, before)
        before[urn] = {provider, *after}.union(*(before[one] for one in (provider, *after) if one in before))
        is_provider = resource["type"].startswith("pulumi:providers:")
        yield {
            "urn": urn,
            "type": resource["type"],
            "inputs": inputs,
            # The other keys with two underscores are notes of the bridge; a provider's version is an option.
            "kept": [
                key
                for key in inputs
                if (key == "__provider" or not key.startswith("__")) and not (is_provider and key == "version")
            ],
            "version": inputs.get("version") if is_provider else None,
            "ignored": resource.get("ignoreChanges") or [],
            "provider": provider,
            "after": after,
        }


def _needed(wanted: Iterable[str], before: Mapping[str, set[str]]) -> list[str]:
    """Leave out what another one of the wanted waits for already."""
    names = list(wanted)
    return [one for one in names if not any(one in before[other] for other in names if other != one)]
