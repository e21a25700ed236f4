"""Backups of a gateway from the operator's side: bytes over the host's own connection, into a file and out of it.

The file is readable by its owner alone, for it holds keys. Its digest stands in ``FILE.sha256``, as `sha256sum` has it.
"""

import contextlib
import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ..host.command import agent_command, preamble
from ..host.transport import Channel, HostError, Transport, UnreachableError
from .device_archive import MANIFEST
from .formats import script
from .gateway import Gateway
from .keep import kept, manifest
from .render_containers import applied_file

__all__ = ["ArchiveRefusedError", "Device", "digest_file", "read_manifest"]

_BOOTSTRAP: Final = "import sys;read=sys.stdin.buffer.read;exec(read(int.from_bytes(read(4),'big')))"
"""The program travels on standard input, before its request."""
_PIECE: Final = 256 * 1024
_LENGTH: Final = 4
_PRIVATE: Final = 0o600


class ArchiveRefusedError(Exception):
    """An archive or a target is not to be used; the message says why and what to do."""


class Device:
    """A gateway that is asked to hand out its data, or to take it back."""

    def __init__(self, gateway: Gateway, transport: Transport, *, sudo_password: str | None = None) -> None:
        """Reach the device over ``transport``."""
        self._gateway = gateway
        self._transport = transport
        self._password = sudo_password
        self._host = gateway.connection

    async def backup(self, file: Path, created: str) -> dict[str, Any]:
        """Write the archive and its digest; a file that exists is never touched.

        Returns ``sha256``, ``size``, ``manifest``, and the containers that were ``held`` meanwhile. Raises HostError
        and ArchiveRefusedError; then there is no new file.
        """
        part = _Part(file)
        request = self._request("backup", paths=kept(self._gateway), manifest=manifest(self._gateway, created))
        part.begin()
        try:
            channel = await self._start(request)
            stream = _Stream(channel)
            try:
                async for piece in stream.pieces():
                    part.write(piece)
                answer = await self._answer(channel, stream)
            finally:
                channel.kill()
            part.complete(answer["sha256"])
        finally:
            part.discard()
        return answer

    async def restore(self, file: Path, *, stop: bool, other_gateway: bool) -> dict[str, Any]:
        """Put an archive back. Returns ``restored`` and ``skipped`` paths, and the containers ``held`` meanwhile.

        Raises ArchiveRefusedError for an archive that is damaged or another gateway's, and HostError, also while
        containers run and ``stop`` is not given. A restore that was interrupted is run again.
        """
        expected, found = self._verified(file, other_gateway=other_gateway)
        mine = set(kept(self._gateway))
        paths = [path for path in found["paths"] if path in mine]
        if not paths:
            message = f"{file} holds nothing that this gateway keeps: {', '.join(found['paths']) or 'it is empty'}"
            raise ArchiveRefusedError(message)
        channel = await self._start(self._request("restore", paths=paths, stop=stop, sha256=expected))
        stream = _Stream(channel)
        try:
            await self._answer(channel, stream)
            # Why a device takes no more is in its answer.
            with contextlib.suppress(UnreachableError):
                for piece in _read(file):
                    await channel.send(len(piece).to_bytes(_LENGTH, "big") + piece)
                await channel.send(bytes(_LENGTH))
            answer = await self._answer(channel, stream)
        finally:
            channel.kill()
        return {**answer, "skipped": [path for path in found["paths"] if path not in mine]}

    async def down(self) -> bool:
        """Stop and remove the containers until the next `up`; their data stays. Returns whether there were any."""
        return bool((await self._ask(self._request("down", applied=applied_file(self._gateway))))["down"])

    async def erase(self, disk: str, serial: str, *, only_look: bool) -> None:
        """Erase a disk with this serial number, or only look whether it has it. Raises HostError for another one."""
        await self._ask(self._request("erase", disk=disk, serial=serial, only_look=only_look))

    def _verified(self, file: Path, *, other_gateway: bool) -> tuple[str, dict[str, Any]]:
        try:
            expected = digest_file(file).read_text("utf-8").split()[0]
        except (OSError, IndexError, UnicodeDecodeError):
            message = f"{digest_file(file)} is not there or no digest: without it an archive is not put back"
            raise ArchiveRefusedError(message) from None
        if _digest(file) != expected:
            message = f"{file} is damaged: its digest is not the one in {digest_file(file)}; use another backup"
            raise ArchiveRefusedError(message)
        found = read_manifest(file)
        own = manifest(self._gateway, "")
        if not other_gateway and any(found[key] != own[key] for key in ("product", "gateway_id")):
            message = (
                f"{file} is of {found['product']} {found['gateway_id']} and this is {own['product']} "
                f"{own['gateway_id']}: give --other-gateway if it shall take its place"
            )
            raise ArchiveRefusedError(message)
        return expected, found

    def _request(self, verb: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - what the verb needs
        gateway = self._gateway
        storage = gateway.args.storage
        return {
            "verb": verb,
            "root": self._host.root.rstrip("/"),
            "data_dir": gateway.data_dir,
            "mounts": [gateway.data_dir] if storage and storage.bind_mounts else [],
            "compose": gateway.compose_file,
            **more,
        }

    async def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        channel = await self._start(request)
        try:
            return await self._answer(channel, _Stream(channel))
        finally:
            channel.kill()

    async def _start(self, request: Mapping[str, Any]) -> Channel:
        """Start the program on the device; it travels before its request, and nothing is left there."""
        try:
            password = preamble(self._host, self._password)
        except ValueError as error:
            message = f"{self._transport.place}: {error}"
            raise HostError(message) from None
        program = script("device_archive.py").encode()
        channel = await self._transport.start(agent_command(self._host, _BOOTSTRAP))
        line = json.dumps(request).encode() + b"\n"
        await channel.send(password + len(program).to_bytes(_LENGTH, "big") + program + line)
        return channel

    async def _answer(self, channel: Channel, stream: "_Stream") -> dict[str, Any]:
        """Wait for the next line. Raises HostError with the device's own reason, or with why there is no answer."""
        place, line = self._transport.place, await stream.line()
        if not line:
            _, words = await channel.ended()
            said = " ".join(words.strip().splitlines()[-1:]) or "the connection was lost; run it again"
            message = f"{place}: {said}"
            raise HostError(message)
        try:
            answer: dict[str, Any] = dict(json.loads(line))
        except (ValueError, TypeError):
            message = f"{place}: answers {line[:80]!r}: does its shell print something by itself?"
            raise HostError(message) from None
        if "error" in answer:
            message = f"{place}: {answer['error']}"
            raise HostError(message)
        return answer


class _Part:
    """A file that takes its name when it is whole, readable by its owner alone."""

    def __init__(self, file: Path) -> None:
        """Name the file. Raises ArchiveRefusedError where it or its digest is there already."""
        if file.exists() or digest_file(file).exists():
            message = f"{file} exists already: choose another name"
            raise ArchiveRefusedError(message)
        self._file = file
        self._part = file.with_name(f".{file.name}.part")

    def begin(self) -> None:
        """Make it, empty."""
        self._part.unlink(missing_ok=True)
        self._part.touch(_PRIVATE, exist_ok=False)
        self._opened = self._part.open("wb")

    def write(self, piece: bytes) -> None:
        """Add a piece."""
        self._opened.write(piece)

    def complete(self, sha256: str) -> None:
        """Look at what lies on the disk now, and give it its name. Raises ArchiveRefusedError if it is not whole."""
        self._opened.flush()
        os.fsync(self._opened.fileno())
        if _digest(self._part) != sha256:
            message = f"{self._file}: the archive did not arrive as it was sent: run it again"
            raise ArchiveRefusedError(message)
        read_manifest(self._part)
        digest = digest_file(self._file)
        digest.touch(_PRIVATE, exist_ok=False)
        digest.write_text(f"{sha256}  {self._file.name}\n", "utf-8")
        self._part.rename(self._file)

    def discard(self) -> None:
        """Remove what is not whole."""
        self._opened.close()
        self._part.unlink(missing_ok=True)


class _Stream:
    """What a program writes, cut into pieces and lines."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._buffer = bytearray()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield pieces up to the empty one; a stream that ends early ends them too, and there is no answer then."""
        while size := int.from_bytes(await self._take(_LENGTH), "big"):
            yield await self._take(size)

    async def line(self) -> bytes:
        """Return the next line; empty at the end."""
        while b"\n" not in self._buffer:
            if not await self._more():
                return b""
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return line

    async def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not await self._more():
                return b""
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _more(self) -> bool:
        data = await self._channel.receive()
        self._buffer += data
        return bool(data)


def digest_file(file: Path) -> Path:
    """Where the digest of an archive stands."""
    return file.with_name(f"{file.name}.sha256")


def read_manifest(file: Path) -> dict[str, Any]:
    """Read what an archive says of itself, and the names of all that is in it. Raises ArchiveRefusedError."""
    try:
        with tarfile.open(file, "r:gz") as archive:
            first = archive.next()
            opened = archive.extractfile(first) if first is not None and first.name == MANIFEST else None
            if opened is None:
                message = f"{file} is no backup of a gateway: it does not begin with {MANIFEST}"
                raise ArchiveRefusedError(message)
            found = _whole(json.load(opened))
            names = {member.name for member in archive}
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        message = f"{file} cannot be read: {error}"
        raise ArchiveRefusedError(message) from None
    if lost := [path for path in found["paths"] if path.lstrip("/") not in names]:
        message = f"{file} is not whole: it lacks {', '.join(lost)}"
        raise ArchiveRefusedError(message)
    return found


def _whole(found: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Return a manifest. Raises ValueError for anything else."""
    texts = ("product", "gateway_id")
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in texts):
        message = f"its {MANIFEST} names no gateway"
        raise ValueError(message)
    if not isinstance(found.get("paths"), list) or not all(isinstance(path, str) for path in found["paths"]):
        message = f"its {MANIFEST} lists no paths"
        raise ValueError(message)
    return found


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _read(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece
