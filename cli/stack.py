"""Which stack a command is about."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import pwd
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer

from cli.errors import InputError
from toolchain.paths import ROOT

PROJECT = "factory"
DEFAULT_STACK = "sandbox"
BACKEND_VARIABLE = "PULUMI_BACKEND_URL"
STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
STACK_NAME_RULE = "at most 100 of A-Z, a-z, 0-9, '.', '_' and '-', a letter or digit first"


@dataclass(frozen=True)
class Stack:
    """A stack and the few facts of its file that decide how the engine is run for it."""

    name: str
    file: Path
    environment: str | None
    embedded: bool
    config: dict[str, Any]

    @property
    def sandbox(self) -> bool:
        """Whether the stack is declared safe to break. A missing declaration is not one."""
        return self.environment == "sandbox"

    def declares(self, section: str) -> bool:
        """Whether the file has this section."""
        return f"{PROJECT}:{section}" in self.config

    @property
    def backend(self) -> str | None:
        """The URL of its state, unless embedded: PULUMI_BACKEND_URL, a sandbox's declaration, or the engine's choice.

        A sandbox has its own (POL-10), whatever the operator is logged in to; production's is the operator's choice.
        """
        declared = self.config.get(f"{PROJECT}:sandbox")
        url = declared.get("state_url") if self.sandbox and isinstance(declared, dict) else None
        return os.environ.get(BACKEND_VARIABLE) or (url if isinstance(url, str) else None) or _engines_choice()


def select(explicit: str | None) -> Stack:
    """Return the stack named by the option, `PULUMI_STACK`, or `pulumi stack select`, else the sandbox.

    Raises InputError when it has no file or the file cannot be read, and for an empty option: the variable that should
    have filled it must not mean another stack.
    """
    if explicit is not None:
        return load(explicit)
    return load(os.environ.get("PULUMI_STACK") or _engine_selection() or DEFAULT_STACK)


def load(name: str) -> Stack:
    """Read a stack by name. Raises InputError."""
    name = name.rsplit("/", 1)[-1]
    if not STACK_NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a stack name: {STACK_NAME_RULE}")
    file = ROOT / f"Pulumi.{name}.yaml"
    if not file.is_file():
        if file.exists() or file.is_symlink():
            raise InputError(f"{file.name} is no file, or a link that leads nowhere: put a stack file in its place")
        known = names()
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'};"
        raise InputError(f"stack {name!r} has no file {file.name}; {hint} `./factory init {name}` writes a new one")
    try:
        document = _document(file)
    except OSError as error:
        raise InputError(f"{file.name} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        _explain_malformed(file)
        raise InputError(f"{file.name} is not readable YAML: {' '.join(str(error).split())}") from error
    config = document.get("config")
    config = config if isinstance(config, dict) else {}
    environment = config.get(f"{PROJECT}:environment")
    return Stack(
        name=name,
        file=file,
        environment=environment if isinstance(environment, str) else None,
        embedded=config.get(f"{PROJECT}:backends") == "embedded",
        config=config,
    )


class _Texts(Composer, yaml.CBaseLoader):
    """Parsed by libyaml, composed by Python: libyaml's composer has no limit of depth and would end the process."""

    def __init__(self, stream: str) -> None:
        yaml.CBaseLoader.__init__(self, stream)
        Composer.__init__(self)


def _document(file: Path) -> dict[str, Any]:
    """Read a file of YAML as nothing but texts: what a value means, and whether it may stand there, the settings say.

    Raises OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError.
    """
    document = yaml.load(file.read_text("utf-8"), Loader=_Texts)  # noqa: S506 - makes no objects
    return document if isinstance(document, dict) else {}


def _explain_malformed(file: Path) -> None:
    """Raise InputError with what the settings say of the file: where, why, and what to do."""
    from cli.configuration import settings_of  # noqa: PLC0415 - far heavier than what every command needs of a stack

    settings_of(Stack("", file, environment=None, embedded=False, config={}))


def names() -> list[str]:
    """Return the stacks that have a file."""
    return [file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in files()]


def files() -> list[Path]:
    """Return the stack files."""
    return sorted(ROOT.glob("Pulumi.*.yaml"))


def account_home() -> Path:
    """Return what the engine takes for `~`: the account's home, whatever HOME says, if the system knows the account."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path.home()


def _engines_choice() -> str | None:
    """Return the backend that the engine would take: the project's, else that of the last `pulumi login`.

    From its own files: asked, it would log in there first.
    """
    with contextlib.suppress(OSError, yaml.YAMLError, UnicodeDecodeError):
        declared = _document(ROOT / "Pulumi.yaml").get("backend")
        if isinstance(declared, dict) and declared.get("url"):
            return str(declared["url"])
    folder = Path(os.environ.get("PULUMI_CREDENTIALS_PATH") or _engine_home())
    current = _read(folder / "credentials.json").get("current")
    return str(current) if current else None


def _engine_home() -> Path:
    return Path(os.environ.get("PULUMI_HOME") or account_home() / ".pulumi")


def _engine_selection() -> str | None:
    """Return what `pulumi stack select` noted for this project and the backend in use."""
    project_id = hashlib.sha1(str(ROOT / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
    workspace = _engine_home() / "workspaces" / f"{PROJECT}-{project_id}-workspace.json"
    selected = (_read(workspace).get("stacks") or {}).get(os.environ.get(BACKEND_VARIABLE) or _engines_choice())
    return str(selected).rsplit("/", 1)[-1] if selected else None


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
