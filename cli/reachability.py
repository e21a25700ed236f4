"""Before the engine starts: each endpoint that a run needs accepts a connection; all that do not are named at once.

A plugin asks its own backend alone and in its own time: a Vault whose packets are dropped was told after minutes.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from cli.errors import CommandError
from cli.session import PluginSet, Session
from stacks.settings import Problem, SettingsError, render
from stacks.settings.access import access
from stacks.settings.needs import needs
from stacks.settings.problems import key_path
from stacks.settings.schema import Settings

SECONDS = 5.0
"""How long each is given to answer: the system repeats a lost packet after one second and after three."""

_LOOK_UP_SECONDS = 15.0
"""A resolver asks its next server when the first has not answered for five seconds."""
_GRACE_SECONDS = 0.5
_PORTS = {"https": 443, "http": 80}
_WEB_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY")
_PROXIES = {"kubernetes": _WEB_PROXIES, "vault": _WEB_PROXIES, "postgres": ("ALL_PROXY",)}
"""Variables by which the official plugins go through a proxy. The local ones heed none, but for Vault's: it is real."""
_EXCUSES = {
    "kubernetes": ("PULUMI_K8S_DELETE_UNREACHABLE", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"),
    "vault": ("VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY"),
}
"""Variables by which the plugin bears with an unreachable cluster, or goes elsewhere than to the server's address."""


@dataclass(frozen=True)
class Endpoint:
    """Where a connection leads: the section that describes it, the key in it, and the place."""

    section: str
    key: str
    host: str
    port: int

    def __str__(self) -> str:
        """Write it as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def refuse_unreachable(session: Session, settings: Settings, only: str | None) -> None:
    """Refuse a run that could not do its work. Raises CommandError with every endpoint that takes no connection.

    Only those count that the declared sections need, or the one section of `only`; the embedded ones have a supervisor
    that knows. Not asked is what a plugin may reach through a proxy.
    """
    local = session.home.plugins is PluginSet.LOCAL
    declared = endpoints(settings, only)
    failed = unreachable([one for one in declared if not excused(one, session.environment, local=local)])
    if failed:
        file = session.stack.file.name
        problems = [Problem(file, one.key, *_said(error), value=str(one)) for one, error in failed.items()]
        raise CommandError(f"nothing was changed, because what this run needs cannot be reached:\n{render(problems)}")


def endpoints(settings: Settings, only: str | None = None) -> Iterator[Endpoint]:
    """Yield where the connections lead that a run needs.

    What cannot be read, such as a kubeconfig that is not there, is passed over: the program says so, with all the rest.
    """
    needed = {
        connection
        for connection, keys in needs(dict(settings)).items()
        if only is None or any(f"{key}.".startswith(f"{only}.") for key in keys)
    }
    with contextlib.suppress(SettingsError):
        cluster = access(settings, frozenset(needed & {"kubernetes"}), {}, None).kubernetes
        if cluster is not None and "proxy-url:" not in cluster.kubeconfig:
            yield from _of_url("kubernetes", "context", cluster.server)
    if settings.vault is not None and "vault" in needed:
        yield from _of_url("vault", "address", settings.vault.address)
    if settings.postgres is not None and "postgres" in needed:
        yield Endpoint("postgres", key_path(("postgres", "host")), settings.postgres.host, settings.postgres.port)


def excused(endpoint: Endpoint, variables: Mapping[str, str], *, local: bool) -> bool:
    """Whether a run may do without a connection straight to this endpoint, by variables of the environment.

    `local` says whose plugins serve the run. NO_PROXY is heeded where it names the host, a domain above it or a network
    of it. An entry that says something else leaves the endpoint unasked, which is the harmless mistake.
    """
    if any(variables.get(name) for name in _EXCUSES.get(endpoint.section, ())):
        return True
    names = () if local and endpoint.section != "vault" else _PROXIES[endpoint.section]
    if not any(_variable(variables, name) for name in names):
        return False
    spared = [entry.strip().lower() for entry in _variable(variables, "NO_PROXY").split(",")]
    try:
        address = ipaddress.ip_address(endpoint.host)
    except ValueError:
        domains = tuple(entry if entry.startswith(".") else f".{entry}" for entry in spared if entry)
        return not ({"*", endpoint.host} & {*spared} or endpoint.host == "localhost" or endpoint.host.endswith(domains))
    return not ("*" in spared or address.is_loopback or any(address in network for network in _networks(spared)))


def unreachable(asked: Sequence[Endpoint]) -> dict[Endpoint, OSError]:
    """Connect to all of them side by side; return those that take no connection, each with what was seen instead."""
    late = TimeoutError(f"its name was not looked up within {_LOOK_UP_SECONDS:g} s")
    seen: dict[Endpoint, OSError | None] = dict.fromkeys(asked, late)
    deadline = time.monotonic() + _LOOK_UP_SECONDS + SECONDS + _GRACE_SECONDS

    def look(endpoint: Endpoint) -> None:
        try:
            _connect(endpoint)
        except TimeoutError:
            seen[endpoint] = TimeoutError(f"no answer within {SECONDS:g} s")
        except OSError as error:
            seen[endpoint] = error
        else:
            seen[endpoint] = None

    # A look-up of a name that hangs has no end: it must not keep this process, as a pool of threads would.
    threads = [threading.Thread(target=look, args=(endpoint,), daemon=True) for endpoint in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {endpoint: error for endpoint, error in seen.items() if error is not None}


def _connect(endpoint: Endpoint) -> None:
    """Connect to the addresses of the host, all at once: one that drops packets hides none that answers.

    Raises OSError: TimeoutError when no answer came in time, socket.gaierror for an unknown name.
    """
    try:
        addresses = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "it is no host name") from error
    failure: OSError = TimeoutError()
    deadline = time.monotonic() + SECONDS
    with contextlib.ExitStack() as opened, selectors.DefaultSelector() as waiting:
        for family, kind, protocol, _, address in addresses:
            try:
                one = opened.enter_context(socket.socket(family, kind, protocol))
                one.settimeout(0)
                one.connect(address)
            except BlockingIOError:
                waiting.register(one, selectors.EVENT_WRITE, one)
            except OSError as error:
                failure = error
            else:
                return
        while waiting.get_map():
            ready = waiting.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                waiting.unregister(key.fileobj)
                code = key.data.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    return
                failure = OSError(code, os.strerror(code))
    raise failure


def _said(error: OSError) -> tuple[str, str]:
    """Return what was seen, and what to do about it."""
    if isinstance(error, socket.gaierror):
        return f"the name is not known ({error.strerror})", "Mend the name, or the resolver of this machine"
    if isinstance(error, TimeoutError):
        return str(error), "Start its machine, mend the address, or open the way to it (route, firewall, VPN)"
    return str(error.strerror).lower(), "Start the server, or mend the address and the port"


def _of_url(section: str, key: str, url: str) -> Iterator[Endpoint]:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
        if parts.hostname and port:
            yield Endpoint(section, key_path((section, key)), parts.hostname, port)


def _variable(variables: Mapping[str, str], name: str) -> str:
    return variables.get(name) or variables.get(name.lower()) or ""


def _networks(entries: Sequence[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for entry in entries:
        with contextlib.suppress(ValueError):
            yield ipaddress.ip_network(entry, strict=False)
