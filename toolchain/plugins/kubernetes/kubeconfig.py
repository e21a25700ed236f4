"""How to reach one cluster: a kubeconfig, reduced to the context in use."""

import base64
import binascii
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from toolchain.plugins.kit import ProviderError

Entry = TypeVar("Entry", bound=BaseModel)


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class _Section(BaseModel):
    # A message never repeats a value: most of them are secrets.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, alias_generator=_kebab)


class Cluster(_Section):
    """The server's address and how its certificate is verified."""

    server: str
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None

    @field_validator("server", "proxy_url")
    @classmethod
    def _url(cls, address: str | None) -> str | None:
        if address is None:
            return None
        try:
            parts = urlsplit(address)
            usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("is not an http or https URL")
        return address.rstrip("/")


class User(_Section):
    """Who we are to the server."""

    token: str | None = None
    tokenFile: str | None = None  # noqa: N815 - the kubeconfig format mixes two spellings
    username: str | None = None
    password: str | None = None
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    exec: Any = None
    auth_provider: Any = None
    impersonate: str | None = Field(default=None, alias="as")
    impersonate_uid: str | None = Field(default=None, alias="as-uid")
    impersonate_groups: tuple[str, ...] = Field(default=(), alias="as-groups")
    as_user_extra: Any = None


class _Context(_Section):
    cluster: str
    user: str | None = None
    namespace: str | None = None


class Access(NamedTuple):
    """One cluster, one user; file references are already resolved to absolute paths."""

    context: str
    namespace: str
    cluster: Cluster
    user: User


def access(kubeconfig: str, context: str | None = None, cluster: str | None = None) -> Access:
    """Choose a context of a kubeconfig, given as its content or as the path of a file.

    ``context`` and ``cluster`` override what the file says. Raises :class:`ProviderError` for an unreadable file, a
    missing entry or a way to log in which this plugin does not have.
    """
    document, folder = _load(kubeconfig)
    name = context or document.get("current-context") or ""
    if not name:
        raise ProviderError("The kubeconfig has no current-context: set one, or the provider's `context`.")
    chosen = _entry(document, "contexts", "context", name, _Context)
    user = _entry(document, "users", "user", chosen.user, User) if chosen.user else User()
    for way in ("exec", "auth_provider", "as_user_extra"):
        if getattr(user, way) is not None:
            raise ProviderError(
                f"User {chosen.user!r} of the kubeconfig has `{_kebab(way)}`, which this local plugin refuses (it runs "
                "no foreign programs): use a token or a client certificate."
            )
    return Access(
        context=name,
        namespace=chosen.namespace or "default",
        cluster=_resolved(_entry(document, "clusters", "cluster", cluster or chosen.cluster, Cluster), folder),
        user=_resolved(user, folder),
    )


def decode(data: str, key: str) -> str:
    """Decode a ``*-data`` entry (base64 of PEM)."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ProviderError(f"`{key}` of the kubeconfig is not base64 of a PEM text.") from None


def _load(kubeconfig: str) -> tuple[dict[str, Any], Path]:
    text, folder, origin = kubeconfig, Path.cwd(), "The kubeconfig"
    if "\n" not in kubeconfig and not kubeconfig.lstrip().startswith("{"):
        path = Path(kubeconfig).expanduser()
        origin = f"The kubeconfig {path}"
        try:
            text, folder = path.read_text(encoding="utf-8"), path.absolute().parent
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ProviderError(f"{origin} cannot be read: {reason}.") from None
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ProviderError(f"{origin} is not valid YAML{where}.") from None
    if not isinstance(document, dict):
        raise ProviderError(f"{origin} is not a mapping with clusters, users and contexts.")
    return document, folder


def _entry(document: dict[str, Any], section: str, key: str, name: str, model: type[Entry]) -> Entry:
    entries = document.get(section)
    named = [e for e in entries if isinstance(e, dict) and "name" in e] if isinstance(entries, list) else []
    for entry in named:
        if entry["name"] == name:
            try:
                return model.model_validate(entry.get(key) or {})
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False)[0]
                where = ".".join(map(str, first["loc"]))
                raise ProviderError(f"{key} {name!r} of the kubeconfig: `{where}`: {first['msg']}.") from None
    known = ", ".join(repr(e["name"]) for e in named) or "none"
    raise ProviderError(f"The kubeconfig has no {key} {name!r}; it has {known}.")


_FILES = ("certificate_authority", "client_certificate", "client_key", "tokenFile")


def _resolved(entry: Entry, folder: Path) -> Entry:
    paths = {field: str(folder / value) for field in _FILES if (value := getattr(entry, field, None))}
    return entry.model_copy(update=paths)
