"""A role of a machine as a resource, served by the provider plugin ``factory-host`` of this repository."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pulumi

from .args import HostStateArgs
from .credentials import Credentials
from .remote_host import RemoteHost

__all__ = ["FactoryProvider", "HostState"]


class FactoryProvider(pulumi.ProviderResource):
    """The plugin ``factory-host``, which the project file names (``plugins.providers``). It has no configuration."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the provider; one serves every host of a program."""
        super().__init__("factory-host", name, {}, opts)


class HostState(pulumi.CustomResource):
    """What one role wants of one machine, planned and applied over one SSH connection (design section 3).

    What the document does not name stays untouched. What leaves it is removed if this resource created it.
    """

    summary: pulumi.Output[Mapping[str, Any]]
    """What is managed, by heading (``files``, ``packages``, ``services``, ...): ``count`` and ``names``."""
    owned: pulumi.Output[Mapping[str, Any]]
    """What this resource created on the host, and would therefore remove."""

    def __init__(
        self,
        name: str,
        host: pulumi.Input[RemoteHost],
        role: str,
        desired: HostStateArgs | pulumi.Output[HostStateArgs],
        *,
        credentials: Credentials | None = None,
        contents: Mapping[str, pulumi.Input[str]] | None = None,
        stdin: Mapping[str, pulumi.Input[str]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the role ``role`` of ``host``, whose name is unique on that host.

        ``contents`` gives the content of files by path and ``stdin`` the standard input of steps by name, where these
        are secrets or values of other resources. A host that another resource makes is an output, and so is a document
        that one decides.

        Raises ValueError when one of these is not in ``desired`` or has its content there already.
        """
        whole = partial(_document, contents=contents or {}, stdin=stdin or {})
        properties = {
            "host": pulumi.Output.from_input(host).apply(_as_data),
            "credentials": (credentials or Credentials()).as_inputs(),
            "role": role,
            "desired": desired.apply(whole) if isinstance(desired, pulumi.Output) else whole(desired),
            "summary": None,
            "owned": None,
        }
        super().__init__("factory-host:index:HostState", name, properties, opts)


def _as_data(host: RemoteHost) -> dict[str, Any]:
    return host.model_dump(mode="json", exclude_none=True)


def _document(
    desired: HostStateArgs, *, contents: Mapping[str, pulumi.Input[str]], stdin: Mapping[str, pulumi.Input[str]]
) -> dict[str, Any]:
    document = desired.document()
    _put(document, "files", "content", contents)
    _put(document, "steps", "stdin", stdin)
    return document


def _put(document: dict[str, Any], kind: str, field: str, values: Mapping[str, pulumi.Input[str]]) -> None:
    """Put values of other resources into their places."""
    for key, value in values.items():
        item = document.get(kind, {}).get(key)
        if item is None:
            message = f"a {field} is given for {kind} {key!r}, which the document does not have: add it, or remove this"
            raise ValueError(message)
        if field in item or "content_base64" in item:
            message = f"the {field} of {kind} {key!r} is given twice: in the document and beside it"
            raise ValueError(message)
        item[field] = value
