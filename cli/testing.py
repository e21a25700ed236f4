"""Run the project's tests with everything they need."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence

import toolchain
from cli.session import Report
from toolchain.engine_home import VAULT_PLUGIN

TOOLS = (
    "pulumi",
    VAULT_PLUGIN,
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "kwok",
    "vault",
    "postgres",
)


def run(arguments: Sequence[str], *, long: bool, report: Report) -> int:
    """Get the tools, run pytest, and return its exit status. Raises ToolError."""
    toolchain.ensure(TOOLS, report)
    seed = os.environ.get("FACTORY_SEED") or str(random.SystemRandom().randrange(1_000_000))
    report(f"seed {seed}; FACTORY_SEED={seed} repeats this run's random choices")
    environment = os.environ | {"FACTORY_SEED": seed}
    if long:
        environment["FACTORY_LONG"] = "1"
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=toolchain.ROOT, env=environment, check=False).returncode
