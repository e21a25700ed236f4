"""The host as the agent sees it: its paths' prefix, names of users, hashes of secrets, its programs."""

from __future__ import annotations

from .errors import failed
from .runner import Done, Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

STATE = "/var/lib/factory"
"""Where the journal of an unfinished run, the marks of steps and the copies for a revert lie."""
_SHORTEST_SECRET = 4
_NAMES = ("item", "do", "why", "applied", "not_applied")
"""Where answers name items: keys of a document are no secrets, and a line of one may look like the kind of an item."""


class Host:
    """One host, or one directory tree that stands for it.

    ``system`` tells whether its packages, users, kernel and services may be managed: below a prefix that makes sense
    only with a double of the programs.
    """

    def __init__(self, root: str = "/", runner: Runner | None = None, *, system: bool | None = None) -> None:
        self.root = root.rstrip("/")
        self.runner = runner or Runner()
        self.system = system if system is not None else not self.root
        self.key = b""
        self._secrets: set[str] = set()
        self._names: dict[tuple[str, int], str] = {}

    def path(self, path: str) -> str:
        """Give the real place of a path of the host."""
        return f"{self.root}{path}"

    def run(self, argv: list[str], **options: Any) -> Done:
        """Run a program, see :meth:`Runner.run`."""
        return self.runner.run(argv, **options)

    def read(self, path: str) -> str | None:
        """Read a small text file; None if it is not there."""
        try:
            with open(self.path(path), encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def keyed_hash(self, digest: str) -> str:
        """Hide the SHA-256 of a secret: without the caller's key it tells nothing about the content."""
        import hmac

        return hmac.new(self.key, digest.encode("ascii"), "sha256").hexdigest()

    def hide(self, secrets: Iterable[str]) -> None:
        """Remember texts, and their lines, that no message may hold."""
        for text in secrets:
            self._secrets.update(part for part in (text, *text.splitlines()) if len(part.strip()) >= _SHORTEST_SECRET)

    def redact(self, value: Any) -> Any:
        """Take the remembered secrets out of texts, also inside lists and maps; the names of items stay."""
        if isinstance(value, str):
            for secret in sorted(self._secrets, key=len, reverse=True):
                value = value.replace(secret, "[secret]")
            return value
        if isinstance(value, list):
            return [self.redact(part) for part in value]
        if isinstance(value, dict):
            return {key: part if key in _NAMES else self.redact(part) for key, part in value.items()}
        return value

    def forget_names(self) -> None:
        """Ask for names anew: a run may have made users since."""
        self._names.clear()

    def user_name(self, number: int) -> str:
        """Name a user; the number itself where it has no name."""
        return self._name("passwd", number)

    def group_name(self, number: int) -> str:
        """Name a group; the number itself where it has no name."""
        return self._name("group", number)

    def user_number(self, name: str | None) -> int:
        """Find a user's number, -1 for none; raises AgentError for a user that is not there."""
        return self._number("passwd", name)

    def group_number(self, name: str | None) -> int:
        """Find a group's number, -1 for none; raises AgentError for a group that is not there."""
        return self._number("group", name)

    def accounts(self, database: str) -> dict[str, list[str]]:
        """Read the local users (``passwd``) or groups (``group``): name to the fields of the line."""
        lines = (line.split(":") for line in (self.read(f"/etc/{database}") or "").splitlines())
        return {fields[0]: fields for fields in lines if len(fields) > 3}  # noqa: PLR2004 name, password, number, more

    def _name(self, database: str, number: int) -> str:
        if not self._names:
            for kind in ("passwd", "group"):
                for name, fields in self.accounts(kind).items():
                    self._names.setdefault((kind, int(fields[2])), name)
        if (database, number) not in self._names:
            self._names[database, number] = self._foreign_name(database, number)
        return self._names[database, number]

    def _foreign_name(self, database: str, number: int) -> str:
        """Ask the system's other sources of names (LDAP and the like), and not below a prefix of its own accounts."""
        import grp
        import pwd

        try:
            return pwd.getpwuid(number).pw_name if database == "passwd" else grp.getgrgid(number).gr_name
        except KeyError:
            return str(number)

    def _number(self, database: str, name: str | None) -> int:
        import grp
        import pwd

        if name is None:
            return -1
        fields = self.accounts(database).get(name)
        if fields is not None:
            return int(fields[2])
        try:
            return pwd.getpwnam(name).pw_uid if database == "passwd" else grp.getgrnam(name).gr_gid
        except KeyError:
            what = "user" if database == "passwd" else "group"
            raise failed(
                f"the {what} {name!r} does not exist on the host: let a package or this document create it"
            ) from None
