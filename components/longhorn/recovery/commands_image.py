"""The commands on an image: verify, list, extract."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .errors import DamagedError, Status
from .image import ImageReport, extract, listing, verify
from .manifest import manifest_path, read_manifest
from .output import Outcome, Screen
from .readback import digest_of_file
from .text import size


def add(commands: Any) -> None:  # noqa: ANN401 - argparse does not name the type of its subparsers
    """Add the commands to a parser."""
    checked = _command(commands, "verify", _verify, "check an image: its manifest, file systems, journal, fsck -n")
    checked.add_argument("--no-fsck", action="store_true", help="do not run the file system's own checker")
    checked.add_argument("--no-digest", action="store_true", help="do not read all of it for the manifest's digest")
    listed = _command(commands, "list", _list, "list the files of an image without mounting it")
    listed.add_argument("path", nargs="?", default="/", metavar="PATH")
    copied = _command(commands, "extract", _extract, "copy files out of an image without mounting it, without root")
    copied.add_argument("paths", nargs="+", metavar="PATH", help="a file or a directory in the image; / for all")
    copied.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="where to (here)")
    for parser in (listed, copied):
        parser.add_argument("--partition", type=int, metavar="N", help="which one, if it has a partition table")


def _command(
    commands: Any,  # noqa: ANN401 - as above
    name: str,
    run: Callable[[argparse.Namespace, Screen], Outcome],
    help_text: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    parser.add_argument("image", type=Path, metavar="IMAGE", help="an image that `merge` wrote, or a block device")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def _verify(chosen: argparse.Namespace, screen: Screen) -> Outcome:
    manifest = None if chosen.no_digest else read_manifest(manifest_path(chosen.image))
    # The digest does not tell how many zeros are at the end.
    if manifest is not None and (
        chosen.image.stat().st_size != manifest["identity"]["size"]
        or digest_of_file(chosen.image, screen) != manifest["content"]["sha256"]
    ):
        raise DamagedError("image-differs", f"{chosen.image} is not the image that its manifest describes")
    report = verify(chosen.image, run_checker=not chosen.no_fsck)
    lost = not report.readable and not report.locked
    status = Status.DAMAGED if lost else Status.RECOVERED if report.sound else Status.WARNINGS
    proven = manifest is not None
    document = {"status": status.name.lower(), "equals_manifest": True if proven else None, **report.as_dict()}
    return Outcome(status, document, _verify_text(report, proven=proven))


def _verify_text(report: ImageReport, *, proven: bool) -> Iterator[str]:
    yield f"{report.path}: {size(report.size)}{', equal to its manifest' if proven else ''}"
    if not report.file_systems:
        yield "  no file system was recognised"
    for found in report.file_systems:
        yield f"  {found.kind} at byte {found.offset}: {size(found.used)} of {size(found.size)} used, uuid {found.uuid}"
        yield f"    journal {found.journal}, {found.replayed_transactions} transactions replayed for reading"
        yield f"    check: {found.check.tool} {found.check.verdict}"
        yield from (f"      {line}" for line in found.check.detail.splitlines())
        yield from (f"    problem: {problem}" for problem in found.problems)
        yield f"    in its root: {', '.join(found.root) or 'nothing'}"


def _list(chosen: argparse.Namespace, _screen: Screen) -> Outcome:
    found = listing(chosen.image, chosen.path, partition=chosen.partition)
    document = {"status": Status.RECOVERED.name.lower(), "entries": [asdict(entry) for entry in found]}
    lines = (
        f"{entry.kind[0]} {entry.size:>12} {_day(entry.modified)} {entry.path}"
        + (f" -> {entry.target}" if entry.target else "")
        for entry in found
    )
    return Outcome(Status.RECOVERED, document, lines)


def _day(seconds: int) -> str:
    try:
        return f"{dt.datetime.fromtimestamp(seconds, dt.timezone.utc):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        return "?"


def _extract(chosen: argparse.Namespace, _screen: Screen) -> Outcome:
    done = extract(chosen.image, chosen.paths, chosen.to, partition=chosen.partition)
    status = Status.WARNINGS if done.skipped or done.problems else Status.RECOVERED
    lines = [
        f"{done.files} files, {done.directories} directories, {done.links} links, {size(done.bytes)} to {chosen.to}"
    ]
    lines += [f"skipped: {reason}" for reason in done.skipped]
    lines += [f"problem: {problem}" for problem in done.problems]
    return Outcome(status, {"status": status.name.lower(), **asdict(done)}, lines)
