"""The commands on replica directories: scan, merge, compare, codes."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

from . import scan as scanning
from .compare import compare
from .errors import BadInputError, Status
from .findings import RULES
from .merge import MergeOptions, merge
from .output import Outcome, Screen
from .ranking import EMPTY_DIRECTORY_KIB, Circumstances
from .text import compare_text, merge_text, scan_text, table
from .volume import Mode

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def add(commands: Any) -> None:  # noqa: ANN401 - argparse does not name the type of its subparsers
    """Add the commands to a parser."""
    _add_scan(commands.add_parser("scan", help="find, judge and rank every replica directory below some folders"))
    _add_merge(commands.add_parser("merge", help="make an image of a replica directory"))
    _add_compare(commands.add_parser("compare", help="tell which replica directories agree and where they differ"))
    codes = commands.add_parser("codes", help="explain the codes of findings")
    codes.add_argument("--json", action="store_true", help="print JSON")
    codes.set_defaults(run=_codes)


def _add_scan(scan: argparse.ArgumentParser) -> None:
    scan.add_argument(
        "paths", nargs="+", type=Path, metavar="DIR", help="a folder, or a report that `scan --json` made"
    )
    scan.add_argument("--node", default="", help="the node's name, shown beside each directory")
    scan.add_argument("--nodes", default="", metavar="A,B", help="the order of nodes that decides a tie")
    scan.add_argument("--incident", type=_time, metavar="TIME", help="ISO 8601; what changed later is refused (UTC)")
    scan.add_argument("--live", action="append", default=[], metavar="NAME", help="a directory that Longhorn uses now")
    scan.add_argument("--expect", action="append", default=[], type=_expectation, metavar="VOLUME=BYTES")
    scan.add_argument(
        "--minimum-kib", type=int, default=EMPTY_DIRECTORY_KIB, metavar="KIB", help="an empty one takes 16"
    )
    scan.add_argument("--deep", action="store_true", help="read every block to see damage by copying")
    _common(scan)
    scan.set_defaults(run=_scan)


def _add_merge(one: argparse.ArgumentParser) -> None:
    one.add_argument("source", type=Path, metavar="REPLICA_DIR")
    one.add_argument(
        "output", metavar="OUTPUT", help="a file, a block device with --to-device, or - for standard output"
    )
    one.add_argument("--until", default="", metavar="LAYER", help="start at this layer's file instead of the live head")
    one.add_argument("--to-device", action="store_true", help="OUTPUT is a block device; all of it is written")
    one.add_argument("--overwrite", action="store_true", help="replace an existing image, or a device's content")
    one.add_argument("--sha256", action="store_true", help="also the SHA-256 of the whole image, holes as zeros")
    one.add_argument("--no-verify", action="store_true", help="do not read the image back")
    one.add_argument("--on-read-error", choices=("abort", "zero"), default="abort", help="zero: go on, and list it")
    one.add_argument("--rate", type=_size, metavar="BYTES", help="read at most so many per second; 50M is 50 MiB")
    one.add_argument("--manifest", type=Path, metavar="FILE", help="where the manifest goes (OUTPUT.manifest.json)")
    _mode(one)
    _common(one)
    one.set_defaults(run=_merge)


def _add_compare(several: argparse.ArgumentParser) -> None:
    several.add_argument("paths", nargs="+", type=Path, metavar="REPLICA_DIR")
    _mode(several)
    _common(several)
    several.set_defaults(run=_compare)


def _mode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mode",
        choices=[mode.value for mode in Mode],
        default=Mode.EXTENTS.value,
        help="zero-as-hole only for a copy that lost its holes",
    )


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accept", action="append", default=[], metavar="CODE", help="take this risk; see `codes`")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _scan(chosen: argparse.Namespace, _screen: Screen) -> Outcome:
    known = Circumstances(
        incident=chosen.incident,
        live=frozenset(chosen.live),
        sizes=dict(chosen.expect),
        nodes=tuple(filter(None, chosen.nodes.split(","))),
        minimum_kib=chosen.minimum_kib,
        accepting=_accepted(chosen),
    )
    reports = [path for path in chosen.paths if path.is_file()]
    folders = [path for path in chosen.paths if path not in reports]
    found = [_report(path) for path in reports]
    if folders:
        found.insert(0, scanning.scan(folders, node=chosen.node, deep=chosen.deep, circumstances=known))
    report = scanning.combine(found, known) if reports else found[0]
    return Outcome(report.status, report.as_dict(), scan_text(report))


def _merge(chosen: argparse.Namespace, screen: Screen) -> Outcome:
    to_stream = chosen.output == "-"
    options = MergeOptions(
        mode=Mode(chosen.mode),
        until=chosen.until,
        accepting=_accepted(chosen),
        overwrite=chosen.overwrite,
        to_device=chosen.to_device,
        stream_sha256=chosen.sha256,
        verify=not chosen.no_verify,
        zero_unreadable=chosen.on_read_error == "zero",
        rate=chosen.rate,
        manifest=chosen.manifest,
    )
    if to_stream and chosen.to_device:
        raise BadInputError("usage", "--to-device names a device, and - standard output: choose one")
    result = merge(chosen.source, None if to_stream else Path(chosen.output), options, screen)
    return Outcome(result.status, result.as_dict(), merge_text(result), to_error=to_stream)


def _compare(chosen: argparse.Namespace, screen: Screen) -> Outcome:
    found = compare(chosen.paths, mode=Mode(chosen.mode), accepting=_accepted(chosen), observer=screen)
    return Outcome(found.status, found.as_dict(), compare_text(found))


def _codes(_chosen: argparse.Namespace, _screen: Screen) -> Outcome:
    rows = [
        (code, rule.severity.name.lower(), "yes" if rule.acceptable else "no", rule.consequence)
        for code, rule in RULES.items()
    ]
    keys = ("code", "severity", "acceptable", "consequence")
    document = {"codes": [dict(zip(keys, row)) for row in rows]}
    return Outcome(Status.RECOVERED, document, table(keys, rows, {0, 1, 2, 3}))


def _accepted(chosen: argparse.Namespace) -> frozenset[str]:
    for code in chosen.accept:
        if code not in RULES:
            raise BadInputError("unknown-code", f"--accept {code}: there is no such code; `codes` lists them")
        if not RULES[code].acceptable:
            raise BadInputError("not-acceptable", f"--accept {code}: not to be accepted: {RULES[code].consequence}")
    return frozenset(chosen.accept)


def _report(path: Path) -> scanning.ScanReport:
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInputError("not-a-report", f"{path}: neither a folder nor JSON: {error}") from error
    try:
        return scanning.from_dict(document if isinstance(document, dict) else {})
    except BadInputError as error:
        raise BadInputError(error.code, f"{path}: {error}") from error


def _time(text: str) -> float:
    try:
        moment = dt.datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2031-05-04T03:02:01Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc)).timestamp()


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE | re.ASCII)
    if not match or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size like 50M")
    return int(match[1]) * _UNITS[match[2].upper()]


def _expectation(text: str) -> tuple[str, int]:
    volume, _, size = text.rpartition("=")
    if not volume:
        raise argparse.ArgumentTypeError(f"{text!r} is not VOLUME=BYTES")
    return volume, _size(size)
