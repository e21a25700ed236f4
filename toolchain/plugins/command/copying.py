"""Files and directories copied to a remote host."""

import contextlib
import posixpath
import secrets
from pathlib import Path
from typing import Final

import asyncssh

from toolchain.plugins.kit import (
    Asset,
    Context,
    Created,
    Diff,
    Failure,
    Handler,
    Paths,
    Properties,
    ProviderError,
    State,
    Value,
    has_unknown,
)

from .remote import Ssh, connected, unpinned

_NEW_FILE_MODE: Final = 0o644


class CopyToRemote(Handler):
    """``command:remote:CopyToRemote``. Removing it leaves the copy, as with the official provider."""

    def __init__(self, ssh: Ssh) -> None:
        self._ssh = ssh

    def check(self, context: Context, olds: Properties, news: Properties) -> tuple[Properties, list[Failure]]:
        """Refuse a host without a pinned key, and a source which is no file, text or directory."""
        del context, olds
        failures = list(unpinned(news))
        source = news.get("source")
        if not has_unknown(source) and not _local(source):
            failures.append(Failure("source", "must be a FileAsset, a StringAsset or a FileArchive"))
        return news, failures

    def diff(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """Compare; changed triggers make a new resource."""
        del context, identity, old_outputs
        return Diff.between(old_inputs, news, replace_on=["triggers"], delete_before_replace=False)

    def create(self, context: Context, inputs: Properties) -> Created:
        """Copy."""
        self._copy(context, inputs)
        return Created("" if context.preview else f"{context.name}{secrets.token_hex(4)}", inputs)

    def update(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Properties:
        """Copy again; what an earlier copy left at another path stays."""
        del identity, old_inputs, old_outputs
        self._copy(context, news)
        return news

    def read(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> State | None:
        """Return what is known."""
        if not old_inputs and not old_outputs:
            raise ProviderError(f"{context.token} cannot be imported.")
        return State(identity, old_inputs, old_outputs)

    def delete(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> None:
        """Leave the copy where it is."""

    def secrets(self, token: str, secret_inputs: Paths) -> Paths:
        """Keep the connection secret."""
        del token, secret_inputs
        return frozenset({("connection",)})

    def _copy(self, context: Context, inputs: Properties) -> None:
        if context.preview:
            return
        source = inputs["source"]
        try:
            if isinstance(source, Asset) and source.text is not None:
                work = _copy(context, inputs, source.text.encode(), "")
            elif Path(source.path).is_dir():
                work = _copy(context, inputs, None, "")
            else:
                work = _copy(context, inputs, Path(source.path).read_bytes(), Path(source.path).name)
        except OSError as error:
            raise ProviderError(f"cannot read {error.filename}: {error.strerror}.") from None
        self._ssh.run(context, work)


async def _copy(context: Context, inputs: Properties, content: bytes | None, name: str) -> None:
    """Copy a content, or (None) the source directory; into the target if that is a directory."""
    target = inputs["remotePath"]
    async with connected(context, inputs["connection"]) as connection, connection.start_sftp_client() as sftp:
        try:
            into = await sftp.isdir(target)
            await sftp.makedirs(posixpath.dirname(target) or ".", exist_ok=True)
            if content is None:
                await sftp.put(inputs["source"].path, target, recurse=True)
            elif into and not name:
                raise ProviderError(f"{target} is a directory: a text needs the name of a file there.")
            else:
                await _put(sftp, content, posixpath.join(target, name) if into else target)
        except asyncssh.SFTPError as error:
            raise ProviderError(f"cannot copy to {inputs['connection']['host']}:{target}: {error.reason}.") from None


async def _put(sftp: asyncssh.SFTPClient, content: bytes, target: str) -> None:
    """Write beside the target and rename: nobody sees half a file. The target's mode is kept."""
    beside = f"{target}.{secrets.token_hex(4)}"
    mode = (await sftp.stat(target)).permissions if await sftp.exists(target) else _NEW_FILE_MODE
    try:
        async with sftp.open(beside, "wb", asyncssh.SFTPAttrs(permissions=0o600)) as file:
            await file.write(content)
        await sftp.setstat(beside, asyncssh.SFTPAttrs(permissions=mode))
        await sftp.posix_rename(beside, target)
    except asyncssh.SFTPError:
        # What is told is the failure itself; if there was no file yet, there is none to remove.
        with contextlib.suppress(asyncssh.SFTPError):
            await sftp.remove(beside)
        raise


def _local(source: Value) -> bool:
    text = source.text if isinstance(source, Asset) else None
    return text is not None or getattr(source, "path", None) is not None
