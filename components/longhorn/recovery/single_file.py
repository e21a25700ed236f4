"""The library as one file that any Python from 3.9 on runs: `longhorn-recover.pyz`."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from .files import sync_folder

NAME = "longhorn-recover.pyz"
_PACKAGE = "longhorn_recover"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SHEBANG = b"#!/usr/bin/env python3\n"


def archive(module: str = "command_line") -> bytes:
    """Return the file's content: the same bytes for the same sources. `main()` of the module is what it runs."""
    start = f"import sys\nfrom {_PACKAGE}.{module} import main\nsys.exit(main(sys.argv[1:]))\n"
    folder = Path(__file__).resolve().parent
    sources = {f"{_PACKAGE}/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in {**sources, "__main__.py": start.encode()}.items():
            # Without a time and with one mode the bytes depend on the sources alone.
            packed.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return _SHEBANG + buffer.getvalue()


def write(path: Path) -> None:
    """Write the file, executable. Raises OSError."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(archive())
    os.chmod(temporary, 0o755)  # noqa: PTH101, S103 - everybody may run it
    temporary.replace(path)
    sync_folder(path.parent)
