"""Fetching a file on the host itself."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request

from .errors import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 256 * 1024
_SILENCE = 30.0


def fetch(url: str, timeout: float) -> Iterator[bytes]:
    """Yield the pieces of what is at a web address, within so many seconds in all."""
    deadline = time.monotonic() + timeout
    try:
        with urllib.request.urlopen(url, timeout=min(timeout, _SILENCE)) as answer:  # noqa: S310 args.py allows http and https
            while piece := answer.read(_PIECE):
                if time.monotonic() > deadline:
                    raise failed(f"{url}: it was not read in {timeout:.0f} s")
                yield piece
    except urllib.error.HTTPError as error:
        raise failed(f"{url}: the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise failed(f"{url}: {error.reason}") from error
    except http.client.HTTPException as error:
        raise failed(f"{url}: the answer is broken off or is no web server's ({type(error).__name__})") from error
    except (OSError, ValueError) as error:
        raise failed(f"{url}: {error}") from error
