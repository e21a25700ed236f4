"""Globs over a directory, as the official provider documents them for asset and archive paths."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from toolchain.plugins.kit import Archive, Asset

_TOKEN = re.compile(r"\*\*|\*|\?|\{[^}]*\}|\[[^\]]*\]|.", re.DOTALL)


def assets(directory: Path, rules: Iterable[str]) -> dict[str, Asset]:
    """Return the files below a directory which the rules include, by relative path.

    Rules are read in order; one which begins with ``!`` takes out again what the earlier ones took in.
    """
    patterns = [(rule.startswith("!"), _regex(rule.removeprefix("!").removeprefix("./"))) for rule in rules]
    found = {}
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = file.relative_to(directory).as_posix()
        included = False
        for exclude, pattern in patterns:
            if pattern.fullmatch(name):
                included = not exclude
        if included:
            found[name] = Asset(path=str(file), hash=hashlib.sha256(file.read_bytes()).hexdigest())
    return found


def archive(files: Mapping[str, Asset]) -> Archive:
    """Return one archive of these files."""
    listing = "\n".join(f"{asset.hash} {name}" for name, asset in sorted(files.items()))
    return Archive(assets=files, hash=hashlib.sha256(listing.encode()).hexdigest())


def _regex(glob: str) -> re.Pattern[str]:
    return re.compile("".join(map(_translate, _TOKEN.findall(glob))), re.DOTALL)


def _translate(token: str) -> str:
    simple = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    if token in simple:
        return simple[token]
    if len(token) > 1 and token.startswith("{"):
        return f"(?:{'|'.join(_regex(part).pattern for part in token[1:-1].split(','))})"
    if len(token) > 1:
        return f"[{token[1:-1].replace('!', '^', 1)}]"
    return re.escape(token)
