"""The agent as its caller meets it: a process of its own, bundle first, frames both ways."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from components.host.agent import BOOTSTRAP, FrameParser, blob_frames, bundle, json_frame, split
from components.host.args import HostStateArgs

KEY = "ab" * 32


class Wire:
    """One agent process below a root prefix.

    ``wrapper`` is a command in front of it (a tracer), ``bytecode`` what it is taken to understand.
    """

    def __init__(
        self, root: Path, wrapper: Sequence[str] = (), python: str = sys.executable, bytecode: str = ""
    ) -> None:
        self.root = root
        self.progress: list[dict[str, Any]] = []
        self.everything = b""
        self.blobs: dict[str, bytes] = {}
        self._parser = FrameParser()
        command = [*wrapper, python, "-IS", "-c", BOOTSTRAP]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        hello = self.answer()
        self.send_bytes(bundle(bytecode or hello["bytecode"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.communicate(json_frame({"kind": "end"}), timeout=60)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream
            stream.close()

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view) or 0 :]

    def ask(self, request: dict[str, Any], after: Sequence[bytes] = ()) -> dict[str, Any]:
        """Ask and wait for the result or error."""
        self.send_bytes(json_frame({"root": str(self.root), **request}))
        for frame in after:
            self.send_bytes(frame)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        while data := os.read(self.process.stdout.fileno(), 1 << 16):
            self.everything += data
            for message in self._parser.feed(data):
                if message["event"] != "progress":
                    return message
                self.progress.append(message)
        raise AssertionError(f"the agent ended without an answer: {self.process.communicate()[1].decode()}")

    def request(self, kind: str, desired: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Make a request about what a person wrote."""
        document, self.blobs = split(HostStateArgs.model_validate(desired).document())
        return {"kind": kind, "document": document, "resource": "role", "key": KEY, **fields}

    def plan(self, desired: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return self.ask(self.request("plan", desired, **fields))

    def read(self, desired: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return self.ask(self.request("read", desired, **fields))

    def apply(self, desired: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Plan with the lock and apply, with the blobs that the plan needs."""
        planned = self.plan(desired, lock={"holder": "test", "wait": 0}, **fields)
        if planned["event"] == "error":
            return planned
        frames = [frame for digest in planned["plan"]["needs"] for frame in blob_frames(self.blobs[digest])]
        return self.ask({"kind": "apply", "plan_id": planned["plan_id"]}, frames)
