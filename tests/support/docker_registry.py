"""A registry of a test's own on loopback, from which a real daemon pulls; its images are made here."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.web_servers import LOOPBACK, serving
from toolchain.catalogue import go_platform

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass
class Registry:
    """What can be pulled, and from where."""

    address: str = ""
    _manifests: dict[str, bytes] = field(default_factory=dict)
    """By `repository:tag`, and by `repository:digest`."""
    _blobs: dict[str, bytes] = field(default_factory=dict)

    def publish(self, image: str, *layers: Mapping[str, bytes | str], entrypoint: Sequence[str]) -> str:
        """Offer an image under `repository:tag`, its layers as files and links; give the name by which it is pulled."""
        archives = [_layer(files) for files in layers]
        config = {
            "architecture": go_platform()[1],
            "os": "linux",
            # Two versions are two images, also where their files are the same.
            "config": {"Entrypoint": list(entrypoint), "Labels": {"image": image}},
            "rootfs": {"type": "layers", "diff_ids": [_digest(archive) for archive in archives]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._stored(_CONFIG, json.dumps(config).encode()),
            "layers": [self._stored(_LAYER, gzip.compress(archive, compresslevel=1, mtime=0)) for archive in archives],
        }
        text = json.dumps(manifest).encode()
        repository = image.rpartition(":")[0]
        self._manifests |= {image: text, f"{repository}:{_digest(text)}": text}
        return f"{self.address}/{image}"

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Find what a client asks for: its kind and its bytes."""
        if path == "/v2/":
            return "application/json", b"{}"
        repository, kind, name = path.removeprefix("/v2/").rsplit("/", 2)
        if kind == "manifests" and (text := self._manifests.get(f"{repository}:{name}")):
            return _MANIFEST, text
        if kind == "blobs" and (blob := self._blobs.get(name)):
            return "application/octet-stream", blob
        return None

    def _stored(self, kind: str, content: bytes) -> dict[str, Any]:
        digest = _digest(content)
        self._blobs[digest] = content
        return {"mediaType": kind, "size": len(content), "digest": digest}


@contextmanager
def registry() -> Iterator[Registry]:
    """Serve a registry without images on a free port of loopback, which daemons trust without TLS."""
    offered = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = offered.answer(self.path)
            kind, content = found or ("application/json", b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
            self.send_response(200 if found else 404)
            headers = {"Content-Type": kind, "Content-Length": str(len(content))}
            for name, value in (headers | {"Docker-Content-Digest": _digest(content)}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the base
            """Keep the tests' output clean."""

    with serving(ThreadingHTTPServer((LOOPBACK, 0), Handler)) as port:
        offered.address = f"{LOOPBACK}:{port}"
        yield offered


def _layer(files: Mapping[str, bytes | str]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size, entry.mode = len(content), 0o755
                tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
