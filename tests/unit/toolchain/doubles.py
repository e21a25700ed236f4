"""Doubles for the tests of the toolchain: a Go that compiles nothing, and the vendors' release sites."""

import hashlib
import io
import json
import tarfile
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from toolchain.catalogue import Spec, catalogue, go_platform
from toolchain.releases import Packing, Sums

VERSION_LINES = {
    "pulumi": "v{}",
    "etcd": "etcd Version: {}",
    "kubectl": "Client Version: v{}",
    "kwok": "kwok version v{} go1.26 (linux/amd64)",
    "vault": "Vault v{} (abcdef)",
    "go": "go version go{} linux/amd64",
    "postgres": "postgres (PostgreSQL) {}",
    "pgbouncer": "PgBouncer {}",
}


def program(name: str, version: str) -> bytes:
    """A program that answers any call with its version, in the words of the real one."""
    return f"#!/bin/sh\necho '{VERSION_LINES.get(name, 'Kubernetes v{}').format(version)}'\n".encode()


def executable(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


class FakeGo:
    """``go build`` of a tool gives a program that prints the version in the catalogue. Calls are written down."""

    SCRIPT = """#!/bin/sh
    if [ "$1" = version ]; then echo 'go version go1.26.8 linux/amd64'; exit; fi
    echo "$GOMODCACHE $*" >> "$FAKE_GO_CALLS"
    printf '%s' "$GOOS/$GOARCH" > "$FAKE_GO_CALLS.platform"
    while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
    name=${out##*/}
    touch "$GOCACHE/compiled-$name"
    case "$FAKE_GO" in
        fail) i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo "compiler message $i"; done; exit 3 ;;
        slow) echo $$ > "$FAKE_GO_CALLS.pid"; touch "$out"; sleep "${FAKE_GO_SECONDS:-60}" ;;
    esac
    scripts="$GOMODCACHE/github.com/pulumi/pulumi/sdk/v3@v3.259.0/python"
    mkdir -p "$scripts/cmd" "$scripts/dist"
    echo exec > "$scripts/cmd/pulumi-language-python-exec"
    echo dynamic > "$scripts/dist/pulumi-resource-pulumi-python"
    rm -f "$out"
    cp "$FAKE_GO_PRODUCTS/$name" "$out"
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        executable(folder / "go", self.SCRIPT.encode())
        self._calls = folder.parent / "go-calls"
        products = folder.parent / "products"
        for spec in catalogue().values():
            executable(products / spec.name, program(spec.name, spec.version))
        monkeypatch.setenv("FAKE_GO_CALLS", str(self._calls))
        monkeypatch.setenv("FAKE_GO_PRODUCTS", str(products))
        self._monkeypatch = monkeypatch

    def behave(self, how: str) -> None:
        """``fail``, ``slow``, or nothing special."""
        self._monkeypatch.setenv("FAKE_GO", how)

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    @property
    def platform(self) -> str:
        """For which machine the last build was."""
        return Path(f"{self._calls}.platform").read_text()

    @property
    def running(self) -> int | None:
        """The process of the slow build."""
        file = Path(f"{self._calls}.pid")
        return int(file.read_text()) if file.exists() and file.read_text().strip() else None


@dataclass
class Answer:
    """What the server says to one path. ``cut``: bytes after which the first ``cuts`` connections break."""

    body: bytes = b""
    status: int = 200
    cut: int | None = None
    cuts: int = 1_000_000
    delay: float = 0
    asked: int = field(default=0)


class ReleaseServer:
    """Serves answers below ``/<host>/<path>``; everything else is 404."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                answer = outer.answers.get(self.path, Answer(status=404))
                answer.asked += 1
                time.sleep(answer.delay)
                try:
                    self.send_response(answer.status)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body[: answer.cut] if answer.asked <= answer.cuts else answer.body)
                except OSError:
                    pass  # the client has gone, as some tests want
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Keep the tests' output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def publish(self, name: str, asset: bytes | None = None, sums: str | None = None) -> tuple[Answer, Answer]:
        """Publish a tool as its vendor does; return the answers for the asset and for its checksum, to be changed."""
        spec = catalogue()[name]
        assert spec.release
        locations = spec.release.locations(name, *go_platform())
        assert locations
        asset = archive(spec) if asset is None else asset
        url, checksums = ("/" + urlsplit(u).netloc + urlsplit(u).path for u in locations)
        file = url.rsplit("/", 1)[-1]
        self.answers[url] = Answer(asset)
        self.answers[checksums] = Answer((checksum_text(spec, file, asset) if sums is None else sums).encode())
        return self.answers[url], self.answers[checksums]


def checksum_text(spec: Spec, file: str, asset: bytes) -> str:
    digest = hashlib.sha256(asset).hexdigest()
    other = hashlib.sha256(b"another platform").hexdigest()
    assert spec.release
    if spec.release.sums is Sums.BARE:
        return digest
    if spec.release.sums is Sums.GITHUB_DIGEST:
        assets = [{"name": "other", "digest": f"sha256:{other}"}, {"name": file, "digest": f"sha256:{digest}"}]
        return json.dumps({"tag_name": "v1", "assets": assets})
    return f"{other}  {file}.sbom\n{digest}  {file}\n{other}  windows-{file}\n"


def archive(spec: Spec) -> bytes:
    """The vendor's asset, with tiny programs."""
    assert spec.release
    main = program(spec.name, spec.release.version)
    if spec.release.packing is Packing.BINARY:
        return main
    members = {spec.name: main, "README.md": b"read me\n"}
    if spec.name == "pulumi":
        members |= {"pulumi-language-python": b"#!/bin/sh\n", "pulumi-language-python-exec": b"#!/usr/bin/env python\n"}
    if spec.release.packing is Packing.ZIP:
        return zipped(members)
    folder = f"{spec.name}-release/" if spec.release.nested else ""
    return tarred({f"{folder}{name}": content for name, content in members.items()})


def tarred(members: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644 if name.endswith(".md") else 0o755
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return buffer.getvalue()


def zipped(members: dict[str, bytes], mode: int = 0o100755) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            file.writestr(info, content)
    return buffer.getvalue()
