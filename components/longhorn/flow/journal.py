"""What a run writes down: a journal per volume, from which a later run goes on, and the evidence of every action."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from .interfaces import Clock

__all__ = ["Evidence", "Journal", "redacted"]

_SECRET: Final = re.compile(
    r"""(?i)(pass(?:word|wd)?|token|secret|credential|api[-_]?key|bearer)(["']?(?:\s*[:=]+>?\s*|\s+)|\W{1,3})"""
    r"""("[^"]*"|'[^']*'|[^\s,;}"']+)"""
)
_USER: Final = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_SHOWN: Final = 2000


class Journal:
    """The completed phases of one volume with their results, in one small file that is replaced whole.

    It saves work; it decides nothing dangerous. What was done is also marked on the objects and on the device, so a
    lost journal costs time only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.phases: dict[str, Any] = {}
        # A broken one is lost, like one that is not there.
        with suppress(FileNotFoundError, ValueError, TypeError, LookupError, AttributeError):
            read = json.loads(path.read_text("utf-8"))
            self.phases = {phase: dict(result) for phase, result in read["phases"].items()}

    def result(self, phase: str) -> Mapping[str, Any] | None:
        """Return what a completed phase left; ``None`` when it is not complete."""
        found: Mapping[str, Any] | None = self.phases.get(phase)
        return found

    def complete(self, phase: str, result: Mapping[str, Any]) -> None:
        """Note that a phase is complete, on the disk before this returns."""
        self.phases[phase] = dict(result)
        self._write()

    def forget(self, *phases: str) -> None:
        """Let phases run again."""
        for phase in phases:
            self.phases.pop(phase, None)
        self._write()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs of this machine away from the volume. Raises BlockingIOError while one works on it.

        The lock goes with the process that holds it, however that ends.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.path.with_name(self.path.name + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            json.dump({"phases": self.phases}, file, indent=1, default=str)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)
        _sync(self.path.parent)


class Evidence:
    """The record of a run: each action, its reason and its outcome, as JSON lines and as Markdown (INC-004, INC-005).

    An entry is on the disk before the next action begins.
    """

    def __init__(self, directory: Path, name: str, clock: Clock) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.lines = directory / f"{name}.jsonl"
        self.text = directory / f"{name}.md"
        self._clock = clock
        if not self.text.exists():
            self._append(self.text, f"# Recovery run {name}\n")

    def note(
        self, volume: str, phase: str, what: str, *, why: str = "", outcome: str = "", next_step: str = ""
    ) -> None:
        """Write one entry."""
        time = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds")
        entry = {
            "time": time,
            "volume": volume,
            "phase": phase,
            "command": redacted(what),
            "decision": redacted(why),
            "outcome": redacted(outcome)[:_SHOWN],
            "next": next_step,
        }
        self._append(self.lines, json.dumps(entry, ensure_ascii=False) + "\n")
        rows = [f"\n## {time} {volume}: {phase}\n\n", f"- command: {entry['command']}\n"]
        rows += [f"- {key}: {entry[key]}\n" for key in ("decision", "outcome", "next") if entry[key]]
        self._append(self.text, "".join(rows))

    @staticmethod
    def _append(path: Path, text: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def redacted(text: str) -> str:
    """Hide what looks like a password or a token."""
    return _USER.sub(r"\1***@", _SECRET.sub(r"\1\2***", text))


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
