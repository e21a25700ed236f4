"""What a stack does not have is not imported: one component works while another's SDK is missing or broken."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SDKS = {"pulumi_kubernetes", "pulumi_vault", "pulumi_postgresql", "pulumi_command", "pulumi_cloudflare", "pulumi_gcp"}
SAID = "import json, sys; print(json.dumps(list(sys.modules)))"
# What takes long to import.
HEAVY = {"asyncio", "asyncssh", "components", "cryptography", "grpc", "httpx", "psycopg", "pydantic", "rich", "stacks"}
# Builds the sandbox without these keys, under mocks.
BUILT = """
import pathlib, tempfile
from stacks import build as build_stack
from tests.support.mocks import build
from tests.support.stacks import computed, site_of

folder = pathlib.Path(tempfile.mkdtemp())
absent = dict.fromkeys({absent!r})
build(lambda: build_stack(site_of("sandbox", folder, **absent)), computed=computed, stack_name="sandbox")
"""


def modules(source: str) -> set[str]:
    """What is loaded after a program, in a process of its own."""
    program = f"{source}\n{SAID}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def imported(source: str) -> set[str]:
    """The top-level packages that are loaded after a program."""
    return {name for name in modules(source) if "." not in name}


def pulumi(source: str) -> set[str]:
    """Pulumi and its provider SDKs, if they are loaded after a program."""
    return {name for name in imported(source) if name.startswith("pulumi")}


@pytest.mark.parametrize(
    "source",
    [
        "import stacks, stacks.settings",
        "from pathlib import Path; from stacks import settings; settings.validate_files([Path('Pulumi.sandbox.yaml')])",
        "from components.app_stack import App, AppStackArgs, PlatformArgs",
        "from components.services.vault import VaultFoundationArgs, VaultMounts",
        "from components.services.postgres import PostgresFoundationArgs",
    ],
)
def test_settings_and_arguments_need_no_sdk(source: str) -> None:
    assert pulumi(source) == set()


def test_the_model_of_an_absent_section_is_not_imported() -> None:
    validated = modules(
        "from pathlib import Path; from stacks.settings import validate_files as validate\n"
        "assert validate([Path('Pulumi.sandbox.yaml')]) == []"
    )
    assert {"components.app_stack.args", "components.host.machine_args"} <= validated
    assert validated & {f"components.{name}" for name in ("cm5_gateway", "longhorn", "traefik_gateway")} == set()


def test_a_component_needs_the_sdks_of_what_it_makes() -> None:
    assert imported("from components.services.postgres import PostgresFoundation") & SDKS == {"pulumi_postgresql"}


def test_composing_imports_the_sdk_of_no_section() -> None:
    assert imported("import stacks.compose, stacks.sandbox, stacks.lab") & SDKS == set()


@pytest.mark.parametrize(
    ("absent", "needed"),
    [
        (["apps", "vault_foundation", "postgres_foundation"], set()),
        (["apps", "vault_foundation"], {"pulumi_postgresql"}),
        (["apps", "postgres_foundation"], {"pulumi_vault", "pulumi_kubernetes"}),
    ],
)
def test_an_absent_section_needs_no_sdk(absent: list[str], needed: set[str]) -> None:
    assert imported(BUILT.format(absent=absent)) & SDKS == needed


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        # What `up` and `preview` import before the fork server begins with its own imports, and then beside it.
        ("import cli.forks", set()),
        ("import cli.commands, cli.stack, cli.forks", set()),
        ("import cli.commands, cli.lifecycle, cli.adoption", {"components", "pydantic", "stacks"}),
        ("import toolchain.fork_server.client", set()),
        ("import toolchain.language_host.host", {"asyncio", "grpc"}),
        ("import toolchain.plugins.kit", {"asyncio", "grpc"}),
        ("import toolchain.plugins.kubernetes.provider", {"asyncio", "grpc", "httpx", "pydantic", "rich"}),
        ("import toolchain.plugins.postgresql.provider", {"asyncio", "components", "grpc", "psycopg"}),
    ],
)
def test_a_process_of_a_run_imports_no_more_than_it_needs(source: str, needed: set[str]) -> None:
    assert imported(source) & HEAVY == needed


def test_what_the_processes_of_a_run_share_belongs_to_no_section() -> None:
    source = "from importlib import import_module; from toolchain.fork_server.__main__ import SHARED"
    loaded = imported(f"{source}; [import_module(name) for name in SHARED]")
    assert {"pulumi", "grpc", "stacks", "toolchain"} <= loaded
    assert loaded & (SDKS | {"asyncssh", "httpx", "psycopg"}) == set()
