"""The one look-up of names: what a connection really leads to is judged by the guards and by the policy pack."""

from __future__ import annotations

import socket

__all__ = ["addresses"]


def addresses(host: str) -> list[str]:
    """Look the addresses of a host up; none when it cannot be found, for then nothing can reach it either."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)})
    except (OSError, UnicodeError):  # the second: a name that cannot even be asked for, such as one with an empty label
        return []
