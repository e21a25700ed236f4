"""What is there: the stack, the engine, the tools, the backends."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table

import toolchain
from cli.errors import InputError
from cli.session import Report
from cli.stack import Stack
from sandbox.supervisor import Sandbox
from toolchain import state_dir
