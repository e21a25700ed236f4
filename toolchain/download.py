"""Fetching a vendor's official release, verified by the checksum the vendor publishes."""

import hashlib
import json
import os
import re
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from toolchain.archive import unpack
from toolchain.catalogue import Spec, go_platform
from toolchain.errors import ToolError
from toolchain.progress import Progress, Report, size
from toolchain.releases import Packing, Release, Sums

MIRROR = "FACTORY_MIRROR"
TIMEOUT = httpx.Timeout(30, connect=8)
ATTEMPTS = 3
BYTES_PER_SECOND = 5_000_000
SURROUNDINGS = frozenset({"ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE"})
"""The variables that a client of HTTP is made by; a proxy's is heeded in small letters, too."""
SHA256 = re.compile(r"[0-9a-f]{64}")


class OutOfReachError(Exception):
    """The release cannot be reached from here, so that the next way of getting the tool is tried. Says why."""


class Vendor:
    """Fetches official releases.

    ``$FACTORY_MIRROR`` (or ``mirror``) is the base address of a mirror which holds the assets below
    ``/<host>/<path>``; the checksums are then the mirror's. A host that did not answer is not asked again.

    Raises OutOfReachError, naming the variables, if what the environment says of proxies and certificates is unusable.
    """

    def __init__(self, report: Report, mirror: str | None = None, timeout: httpx.Timeout | None = None) -> None:
        self._report = report
        self._mirror = (mirror or os.environ.get(MIRROR, "")).rstrip("/")
        self._silent: dict[str, str] = {}
        try:
            self._client = httpx.Client(
                timeout=timeout or TIMEOUT, follow_redirects=True, headers={"Accept-Encoding": "identity"}
            )
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            # Not with the error's own words: they may hold a part of the proxy's password.
            named = ", ".join(name for name in sorted(os.environ) if name.upper() in SURROUNDINGS)
            raise OutOfReachError(
                f"what {named or 'this Python'} says cannot be used here: a proxy is http://HOST:PORT, not SOCKS, and "
                "SSL_CERT_FILE a file of certificates"
            ) from error

    def fetch(self, spec: Spec, target: Path) -> None:
        """Put the verified release of a tool into the empty folder ``target``.

        Raises OutOfReachError if there is no release for this platform, or no way to it; ToolError, for good, if its
        checksum is wrong or missing, the transfer keeps breaking off, or the archive is unsafe or lacks the program.
        """
        release = spec.release
        locations = release.locations(spec.name, *go_platform()) if release else None
        if release is None or locations is None:
            raise OutOfReachError("the vendor has no release for this platform")
        asset, checksums = (self._mirrored(url) for url in locations)
        expected = self._expected(release, asset, checksums)
        file = target / ".asset"
        actual = self._download(spec, asset, file)
        if actual != expected:
            raise ToolError(
                f"{asset}: the checksum is wrong, nothing was installed\n  published {expected}\n  received  {actual}\n"
                "try again; if it stays so, do not trust this download, and build instead with FACTORY_TOOLS=build"
            )
        program = target / spec.name
        if release.packing is Packing.BINARY:
            file.rename(program)
        else:
            unpack(file, release, target)
            file.unlink()
        if not program.is_file():
            raise ToolError(f"{asset}: the release holds no {spec.name}")
        program.chmod(0o755)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _mirrored(self, url: str) -> str:
        parts = urlsplit(url)
        return f"{self._mirror}/{parts.netloc}{parts.path}" if self._mirror else url

    def _expected(self, release: Release, asset: str, checksums: str) -> str:
        response = self._get(checksums)
        name = asset.rsplit("/", 1)[-1]
        if response.status_code == httpx.codes.OK:
            found = _checksum_in(response.text, release.sums, name)
        elif response.status_code == httpx.codes.NOT_FOUND and self._exists(asset):
            found = None
        else:
            raise OutOfReachError(f"{checksums} answered {response.status_code}")
        if found is None:
            raise ToolError(
                f"{asset}: no checksum is published for it at {checksums}, nothing was installed; "
                "build instead with FACTORY_TOOLS=build"
            )
        return found

    def _get(self, url: str) -> httpx.Response:
        with closing(self._open(url, stream=False)) as response:
            return response

    def _exists(self, url: str) -> bool:
        with closing(self._open(url, stream=True)) as response:
            return response.status_code == httpx.codes.OK

    def _open(self, url: str, *, stream: bool) -> httpx.Response:
        host = urlsplit(url).netloc
        if host in self._silent:
            raise OutOfReachError(self._silent[host])
        try:
            return self._client.send(self._client.build_request("GET", url), stream=stream)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            self._silent[host] = f"{host} cannot be reached: {error or type(error).__name__}"
            raise OutOfReachError(self._silent[host]) from error

    def _download(self, spec: Spec, url: str, file: Path) -> str:
        """Write the asset to a file and return its SHA-256."""
        progress = Progress(self._report, f"downloading {spec.name}", spec.size / BYTES_PER_SECOND)
        reason = ""
        for _ in range(ATTEMPTS):
            with closing(self._open(url, stream=True)) as response:
                if response.status_code != httpx.codes.OK:
                    raise OutOfReachError(f"{url} answered {response.status_code}")
                digest = hashlib.sha256()
                try:
                    with file.open("wb") as sink:
                        for chunk in response.iter_raw(1 << 18):
                            sink.write(chunk)
                            digest.update(chunk)
                            progress.tick()
                except httpx.TransportError as error:
                    reason = str(error) or type(error).__name__
                    continue
                progress.done(size(file.stat().st_size))
                return digest.hexdigest()
        raise ToolError(
            f"{url}: the transfer broke off {ATTEMPTS} times ({reason}), nothing was installed; "
            "run it again, or build instead with FACTORY_TOOLS=build"
        )


def _checksum_in(text: str, sums: Sums, asset: str) -> str | None:
    """Return the published sum of an asset, or None if there is none that has the form of a SHA-256."""
    if sums is Sums.GITHUB_DIGEST:
        found = _github_digest(text, asset)
    elif sums is Sums.BARE:
        found = (text.split() or [""])[0]
    else:
        lines = (line.split() for line in text.splitlines())
        found = next((words[0] for words in lines if len(words) == 2 and words[1].removeprefix("*") == asset), "")  # noqa: PLR2004 - sum and name
    found = found.lower()
    return found if SHA256.fullmatch(found) else None


def _github_digest(text: str, asset: str) -> str:
    try:
        assets = json.loads(text)["assets"]
        return next((str(item["digest"]).removeprefix("sha256:") for item in assets if item["name"] == asset), "")
    except (ValueError, KeyError, TypeError):
        return ""
