"""The pack, started by the real engine: it stops what it must before anything is made, and lets the rest through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.pack_config import pack_config
from tests.support.plugin_program import Program
from toolchain.paths import ROOT

pytestmark = pytest.mark.engine

PRODUCTION = {"ips": ["203.0.113.5"], "hosts": ["vault.example.test"]}
SANDBOX = pack_config("sandbox", PRODUCTION)

# Each variant is one program. A thing that is made leaves a line in a file.
PROGRAM = """
import json, os, pulumi
from pulumi import Output, ResourceOptions
from things import Thing

python = pulumi.ProviderResource("pulumi-python", "python", {})
explicit = ResourceOptions(provider=python)
match json.loads(os.environ["VALUES"])["variant"]:
    case "good":
        Thing("one", {"host": "127.0.0.1", "nested": {"list": [Output.secret("word")]}}, explicit)
    case "component":
        group = pulumi.ComponentResource("test:index:Group", "group")
        Thing("one", {"host": "127.0.0.1"}, ResourceOptions(provider=python, parent=group))
    case "address":
        Thing("one", {"url": Output.secret("https://admin:hunter2@203.0.113.5/")}, explicit)
    case "unknown":
        first = Thing("first", {"host": "127.0.0.1"}, explicit)
        Thing("one", {"nested": {"hosts": ["127.0.0.1", first.address]}, "note": first.address}, explicit)
    case "default-provider":
        Thing("one", {"host": "127.0.0.1"})
"""
THINGS = """
import json, os, pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

class Provider(ResourceProvider):
    serialize_as_secret_always = False

    def create(self, props):
        with open(json.loads(os.environ["VALUES"])["made"], "a") as made:
            made.write("made\\n")
        return CreateResult("thing", {**props, "address": "127.0.0.1"})

class Thing(Resource):
    address: pulumi.Output[str]

    def __init__(self, name, props, opts=None):
        super().__init__(Provider(), name, {"address": None, **props}, opts)
"""


class Site:
    """A program that is run with the pack."""

    def __init__(self, folder: Path) -> None:
        self._program = Program.write(folder, PROGRAM)
        (folder / "things.py").write_text(THINGS, "utf-8")
        self._facts = folder / "policies.json"
        self._made = folder / "made"

    def passes(self, command: str, variant: str, facts: dict[str, dict[str, object]]) -> str:
        """Run a command, which must succeed, and return what it printed."""
        self._facts.write_text(json.dumps(facts), "utf-8")
        options = ("--yes", "--skip-preview") if command == "up" else ()
        pack = ("--policy-pack", str(ROOT / "policies"), "--policy-pack-config", str(self._facts))
        return self._program.run(command, *options, *pack, values={"variant": variant, "made": str(self._made)})

    def is_refused(self, command: str, variant: str, facts: dict[str, dict[str, object]]) -> str:
        """Run a command, which must fail and make nothing, and return what it printed."""
        before = self.made
        with pytest.raises(AssertionError, match="ended with") as failed:
            self.passes(command, variant, facts)
        assert self.made == before
        return str(failed.value)

    @property
    def made(self) -> int:
        """How many things were made so far."""
        return len(self._made.read_text("utf-8").splitlines()) if self._made.exists() else 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, sandbox_state: Path) -> Site:
    del sandbox_state  # the engine's home goes into the state directory of the tests
    return Site(tmp_path_factory.mktemp("pack") / "program")


@pytest.mark.parametrize("variant", ["good", "component"])
def test_a_sandbox_that_keeps_to_itself_passes(site: Site, variant: str) -> None:
    printed = site.passes("preview", variant, SANDBOX)
    assert "factory@v" in printed  # the pack was there
    assert "POL-" not in printed


@pytest.mark.parametrize(
    ("variant", "violations"),
    [
        ("address", ["POL-01  (pulumi-python:dynamic:Resource: one)", "property url: "]),
        ("unknown", ["POL-34  (pulumi-python:dynamic:Resource: one)", "property nested.hosts[1]: "]),
        (
            "default-provider",
            ["POL-33  (pulumi-python:dynamic:Resource: one)", "POL-33  (pulumi:providers:pulumi-python: default)"],
        ),
    ],
)
def test_a_preview_of_what_is_forbidden_fails(site: Site, variant: str, violations: list[str]) -> None:
    printed = site.is_refused("preview", variant, SANDBOX)
    for violation in violations:
        assert violation in printed
    assert "hunter2" not in printed
    assert "property note" not in printed


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({}, id="no configuration at all"),
        pytest.param(pack_config(None, PRODUCTION), id="no environment"),
        pytest.param(pack_config("sandbox", {}), id="no fingerprints"),
    ],
)
def test_without_facts_nothing_is_made(site: Site, facts: dict[str, dict[str, object]]) -> None:
    printed = site.is_refused("up", "good", facts)
    assert "[mandatory]  POL-30  (pulumi:pulumi:Stack: plugins-dev)" in printed


def test_what_is_forbidden_is_not_made_even_without_a_preview(site: Site) -> None:
    assert "[mandatory]  POL-01" in site.is_refused("up", "address", SANDBOX)


def test_the_same_is_made_where_it_is_allowed(site: Site) -> None:
    before = site.made
    site.passes("up", "address", pack_config("prod", PRODUCTION))
    assert site.made == before + 1
