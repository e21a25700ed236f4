"""The typed configuration of a stack: read, validated once with all problems together, described.

`load` and `validate_files` are for programs, `reference` and `starter` write what people read, `guards` keeps a
sandbox away from production. `program.from_pulumi` is the one place that reads the engine's configuration.
"""

from .guards import Environment, Fingerprints
from .load import load, production_fingerprints, validate_files
from .problems import EXIT_BAD_INPUT, EXIT_OK, Problem, SettingsError, exit_status, render
from .reference import reference
from .schema import SandboxArgs, Settings
from .sections import SECTIONS, targets
from .starter import starter

__all__ = [
    "EXIT_BAD_INPUT",
    "EXIT_OK",
    "SECTIONS",
    "Environment",
    "Fingerprints",
    "Problem",
    "SandboxArgs",
    "Settings",
    "SettingsError",
    "exit_status",
    "load",
    "production_fingerprints",
    "reference",
    "render",
    "starter",
    "targets",
    "validate_files",
]
