"""Which directives of the operator's SSH configuration file apply to a host and are not followed here.

asyncssh reads the file itself and passes over what it does not know; this module names that, so that a login which
works with ``ssh`` and fails here is no riddle.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

__all__ = ["FOLLOWED", "WITHOUT_EFFECT", "Directive", "config_files", "gives", "not_followed"]

_FOLLOWED: Final = """
addressfamily bindaddress canonicaldomains canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots
canonicalizepermittedcnames casignaturealgorithms certificatefile challengeresponseauthentication ciphers
compression connecttimeout enablesshkeysign gssapiauthentication gssapidelegatecredentials gssapikeyexchange
hostbasedauthentication hostkeyalias hostname identitiesonly identityagent identityfile include
kbdinteractiveauthentication kexalgorithms macs passwordauthentication pkcs11provider port preferredauthentications
proxycommand proxyjump pubkeyauthentication rekeylimit sendenv serveralivecountmax serveraliveinterval setenv tag
tcpkeepalive user
"""
FOLLOWED: Final = frozenset(_FOLLOWED.split())
"""Directives that connections follow, in lower case."""

_WITHOUT_EFFECT: Final = """
addkeystoagent batchmode checkhostip clearallforwardings connectionattempts controlmaster controlpath controlpersist
dynamicforward escapechar exitonforwardfailure fingerprinthash forkafterauthentication forwardagent forwardx11
forwardx11timeout forwardx11trusted gatewayports globalknownhostsfile hashknownhosts hostkeyalgorithms
identityagentforward ignoreunknown ipqos knownhostscommand localcommand localforward loglevel logverbose
nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming permitlocalcommand permitremoteopen
proxyusefdpass remotecommand remoteforward requesttty revokedhostkeys sessiontype stdinnull streamlocalbindmask
streamlocalbindunlink stricthostkeychecking syslogfacility updatehostkeys usekeychain userknownhostsfile
verifyhostkeydns visualhostkey xauthlocation
"""
WITHOUT_EFFECT: Final = frozenset(_WITHOUT_EFFECT.split())
"""Directives about terminals, forwarding, sharing and the trust in host keys, which is the pinned key's alone here."""

_INCLUDES: Final = 16
"""How deep files may include each other, as in OpenSSH."""


@dataclass(frozen=True)
class Directive:
    """A line of a configuration file."""

    name: str
    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.name} ({self.file}:{self.line})"


def config_files(path: str) -> list[Path]:
    """Return the file as asyncssh wants it: a list, empty where there is none."""
    file = Path(path).expanduser()
    return [file] if path and file.is_file() else []


def not_followed(path: str, host: str) -> list[Directive]:
    """Return the directives for ``host`` that have an effect with OpenSSH and none here.

    A ``Match`` block counts as one for this host: its conditions cannot be told from here.
    """
    return [each for each in _directives(path, host) if each.name.lower() not in FOLLOWED | WITHOUT_EFFECT]


def gives(path: str, host: str, keyword: str) -> bool:
    """Tell whether the file says something about ``keyword`` (in lower case) for ``host``, or may in a ``Match``."""
    return any(each.name.lower() == keyword for each in _directives(path, host))


def _directives(path: str, host: str) -> Iterator[Directive]:
    for file in config_files(path):
        yield from _scan(file, host, 0)


def _scan(file: Path, host: str, depth: int) -> Iterator[Directive]:
    """Yield what applies to ``host``, but for the lines that say so."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return  # whoever connects is told why
    applies = True
    for number, text in enumerate(lines, 1):
        words = _words(text)
        if not words:
            continue
        name, *values = words
        keyword = name.lower()
        if keyword == "host":
            applies = _matches(host, values)
        elif keyword == "match":
            applies = True
        elif not applies:
            continue
        elif keyword == "include" and depth < _INCLUDES:
            for included in _included(values):
                yield from _scan(included, host, depth + 1)
        else:
            yield Directive(name, file, number)


def _words(text: str) -> list[str]:
    """Split a line as ``keyword arguments`` or ``keyword=arguments``; asyncssh tells what is wrong with a bad one."""
    line = text.strip()
    if not line or line.startswith("#"):
        return []
    keyword, _, rest = line.replace("=", " ", 1).partition(" ") if "=" in line.split()[0] else line.partition(" ")
    try:
        return [keyword.strip(), *shlex.split(rest.lstrip(" ="))]
    except ValueError:
        return [keyword.strip()]


def _matches(host: str, patterns: list[str]) -> bool:
    found = False
    for pattern in (each for word in patterns for each in word.split(",")):
        if fnmatchcase(host, pattern.removeprefix("!")):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _included(patterns: list[str]) -> Iterator[Path]:
    for pattern in patterns:
        place = Path("~/.ssh").expanduser() / Path(pattern).expanduser()
        found = Path(place.anchor).glob(str(place.relative_to(place.anchor)))
        yield from (file for file in sorted(found) if file.is_file())
