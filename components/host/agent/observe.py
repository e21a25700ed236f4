"""Read-only checks: what a command, a web address, a port, a unit or a file shows from the host.

Each observation has ``error`` (None, or why nothing could be observed) and ``seconds``, and beside them:
``command`` -> ``status``, ``stdout``, ``stderr``; ``http`` -> ``status``, ``body`` (the first 4 KiB), ``headers``;
``port`` -> ``open``; ``unit`` -> ``load``, ``active``, ``sub``, ``enabled``, ``result``, ``since``; ``file`` ->
``type`` (None: not there), ``mode``, ``owner``, ``group``, ``size``, ``sha256``, ``target``.
"""

from __future__ import annotations

import threading
import time

from .errors import AgentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .host import Host

_AT_ONCE = 8
_DEFAULT_SECONDS = 10.0
_BODY = 4096
_PROPERTIES = {
    "load": "LoadState",
    "active": "ActiveState",
    "sub": "SubState",
    "enabled": "UnitFileState",
    "result": "Result",
    "since": "ActiveEnterTimestamp",
}


def observe(host: Host, checks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Observe all, several at once."""
    found: dict[str, Any] = {}
    waiting = sorted(checks)
    guard = threading.Lock()

    def work() -> None:
        while True:
            with guard:
                if not waiting:
                    return
                name = waiting.pop(0)
            found[name] = _one(host, checks[name])

    threads = [threading.Thread(target=work) for _ in range(min(_AT_ONCE, len(waiting)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: found[name] for name in sorted(found)}


def _one(host: Host, check: Mapping[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    timeout = float(check.get("timeout", _DEFAULT_SECONDS))
    kinds = {"command": _command, "http": _http, "port": _port, "unit": _unit, "file": _file}
    kind = next((name for name in kinds if name in check), None)
    if kind is None:
        return {"error": f"a check needs one of {', '.join(kinds)}", "seconds": 0.0}
    try:
        shown = {"error": None, **kinds[kind](host, check, timeout)}
    except (OSError, ValueError, AgentError) as error:
        shown = {"error": getattr(error, "strerror", None) or str(getattr(error, "reason", error))}
    return {**shown, "seconds": round(time.monotonic() - began, 3)}


def _command(host: Host, check: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    done = host.run(list(check["command"]), timeout=timeout)
    error = f"it did not end in {timeout:g} s" if done.status is None else None
    return {"error": error, "status": done.status, "stdout": done.stdout, "stderr": done.stderr}


def _http(_host: Host, check: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    if not check["http"].startswith(("http://", "https://")):
        raise AgentError("invalid", f"{check['http']!r} is no web address: it begins with http:// or https://")
    context = ssl.create_default_context()
    if check.get("insecure"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    request = urllib.request.Request(check["http"], headers=dict(check.get("headers", {})))  # noqa: S310 checked above
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _Straight()
    )
    try:
        with opener.open(request, timeout=timeout) as answer:
            return _answer(answer.status, answer.headers, answer.read(_BODY))
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers, error.read(_BODY))
    except http.client.HTTPException as error:
        problem = f"what answers at {check['http']} is no web server ({type(error).__name__})"
        raise AgentError("failed", problem) from error


def _answer(status: int, headers: Any, body: bytes) -> dict[str, Any]:
    shown = {name.lower(): value for name, value in headers.items()}
    return {"status": status, "headers": shown, "body": body.decode("utf-8", "replace")}


def _Straight() -> Any:  # noqa: N802 it makes an instance of a class that exists only when it is needed
    """Make what leaves a redirection to be judged by who asked."""
    import urllib.request

    class Straight(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return Straight()


def _port(_host: Host, check: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    import socket

    address = check.get("address", "127.0.0.1")
    try:
        socket.create_connection((address, int(check["port"])), timeout=timeout).close()
    except ConnectionRefusedError:
        return {"open": False}
    return {"open": True}


def _unit(host: Host, check: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    named = ",".join(_PROPERTIES.values())
    done = host.run(["systemctl", "show", f"--property={named}", "--", check["unit"]], timeout=timeout)
    if done.status != 0:
        return {"error": " ".join(done.last_lines()) or "systemctl failed"}
    fields = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    return {name: fields.get(given, "") for name, given in _PROPERTIES.items()}


def _file(host: Host, check: Mapping[str, Any], _timeout: float) -> dict[str, Any]:
    from .facts import look

    return look(host, check["file"], "hash") or {"type": None}
