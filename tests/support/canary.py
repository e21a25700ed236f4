"""Looks for secrets where none may be: every spelling of a value, in files, in texts, and in the list of processes."""

from __future__ import annotations

import base64
import mmap
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

POLL_SECONDS = 0.05


def spellings(secret: str) -> dict[str, bytes]:
    """Return how a value can stand in a text: raw, base64 at each of the three alignments, URL-encoded, and as hex."""
    raw = secret.encode()
    found = {"raw": raw, "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}
    found["url"] = quote(secret, safe="").encode()
    for offset in range(3):
        padded = bytes(offset) + raw
        # The characters at both ends depend on the neighbours too: only those of the value alone are looked for.
        first, last = -(-offset * 8 // 6), len(padded) * 8 // 6
        found[f"base64+{offset}"] = base64.b64encode(padded)[first:last]
        found[f"base64url+{offset}"] = base64.urlsafe_b64encode(padded)[first:last]
    return found


class Scanner:
    """Finds secrets, given by name. Each finding tells place, name and spelling, never the value."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._needles = {
            (name, spelling): needle
            for name, secret in secrets.items()
            for spelling, needle in spellings(secret).items()
        }

    def text(self, place: str, content: str | bytes | mmap.mmap) -> list[str]:
        """Search a text."""
        data = content.encode() if isinstance(content, str) else content
        return [
            f"{place}: {name} ({spelling})"
            for (name, spelling), needle in self._needles.items()
            if data.find(needle) >= 0
        ]

    def files(self, roots: Iterable[Path], *, skipped: frozenset[str] = frozenset()) -> list[str]:
        """Search every regular file below `roots`; folders named in `skipped` are left out, links are not followed."""
        found: list[str] = []
        for root in roots:
            for file in _files(root, skipped):
                with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    found += self.text(str(file), content)
        return found


class ProcessWatch:
    """What has been seen in the arguments and the environment of the processes of this user."""

    def __init__(self) -> None:
        self.arguments: set[bytes] = set()
        self.environments: set[bytes] = set()

    def text(self) -> bytes:
        """Return all of it."""
        return b"\n".join(self.arguments | self.environments)

    def look(self) -> None:
        """Look once."""
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                for name, seen in (("cmdline", self.arguments), ("environ", self.environments)):
                    try:
                        seen.add((process / name).read_bytes())
                    except OSError:  # it has ended, or is another user's
                        continue


@contextmanager
def watched_processes() -> Iterator[ProcessWatch]:
    """Look at the list of processes again and again, until the block ends."""
    watch, done = ProcessWatch(), threading.Event()

    def keep_looking() -> None:
        while not done.wait(POLL_SECONDS):
            watch.look()

    thread = threading.Thread(target=keep_looking, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()


def _files(root: Path, skipped: frozenset[str]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in skipped]
        for name in names:
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink() and file.stat().st_size:
                yield file
