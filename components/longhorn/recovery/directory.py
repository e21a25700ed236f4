"""Reads a replica directory: its files, its metadata, and the chain from the head to the root. No data is read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import metadata
from .errors import BadInputError
from .findings import Finding, accept
from .metadata import BLOCK, LayerMeta, MetadataError, VolumeMeta
from .replica import Chain, Layer, Replica

ALIGNMENT = 2 << 20
"""Longhorn rounds the size of a volume up to this many bytes, when it is made and when it is expanded (GLK-009)."""
_SECTOR = 512
_RENAMED = re.compile(rf"{metadata.REPLICA_NAME.pattern}(?![0-9a-zA-Z-]).*", re.ASCII | re.DOTALL)
_LEFTOVER = re.compile(r".*\.(?:tmp|snap_tmp)|volume-delta-.*\.img(?:\.meta)?", re.DOTALL)
_KNOWN = re.compile(r"volume\.meta|revision\.counter|volume-(?:head|snap)-.*\.img(?:\.meta|\.checksum)?", re.DOTALL)


def looks_like_replica(names: Collection[str]) -> bool:
    """Tell from the names of its files whether a directory is, or was, a replica."""
    return any(
        name == metadata.VOLUME_META or metadata.is_layer_name(name) or metadata.is_layer_name(name[: -len(".meta")])
        for name in names
    )


def split_name(name: str) -> tuple[str, str]:
    """Return volume and suffix of a directory's name, or empty strings; a renamed one keeps its volume (ODF-018)."""
    match = metadata.REPLICA_NAME.fullmatch(name) or _RENAMED.fullmatch(name)
    return (match["volume"], match["suffix"]) if match else ("", "")


def read_replica(
    path: Path, *, node: str = "", disk: str = "", until: str = "", accepting: Collection[str] = ()
) -> Replica:
    """Read one directory. Whatever is wrong with it is a finding, not an error.

    `until` starts the chain at that layer's file instead of the live head (MRG-016). `accepting` names the findings
    whose risk the caller takes; `volume-meta-missing` and `volume-meta-invalid` then take the only head there is
    (GLK-013). Raises BadInputError when there is no such directory, or no such layer in it.
    """
    name = path.name or path.resolve().name
    volume, suffix = split_name(name)
    reader = _Reader(path)
    try:
        reader.list_files()
    except NotADirectoryError as error:
        raise BadInputError("not-a-directory", f"{path} is not a directory") from error
    except FileNotFoundError as error:
        raise BadInputError("not-a-directory", f"{path} does not exist") from error
    except OSError as error:
        found = (Finding("unreadable", f"the directory cannot be listed: {error.strerror}"),)
        return Replica(path, name, volume, suffix, node, disk, findings=found)
    meta = reader.volume_meta(accepting, needs_head=not until)
    if until:
        reader.refuse_unless_layer(until)
    start = until or (meta.head if meta else "")
    layers = reader.follow(start) if start else None
    chain = None
    if meta is not None:
        _state(reader, meta)
        if layers and not until and meta.parent != layers[0].parent and meta != reader.reconstructed:
            cached, real = (repr(parent) if parent else "none" for parent in (meta.parent, layers[0].parent))
            reader.find("parent-differs", f"Parent is {cached}, and of the head {real}", metadata.VOLUME_META)
        if layers and _volume_size_is_valid(reader, meta.size):
            _sizes(reader, layers, meta.size, live=not until)
            chain = Chain(meta.size, tuple(layers))
    return Replica(
        path,
        name,
        volume,
        suffix,
        node,
        disk,
        meta,
        chain,
        reader.branches(layers or []),
        reader.apparent,
        reader.actual,
        reader.newest,
        reader.revision(),
        accept(reader.findings, accepting),
    )


@dataclass
class _Reader:
    """One directory while it is read."""

    path: Path
    findings: list[Finding] = field(default_factory=list)
    status: dict[str, os.stat_result] = field(default_factory=dict)
    reconstructed: VolumeMeta | None = None
    apparent: int = 0
    actual: int = 0
    newest: int = 0

    def find(self, code: str, message: str, file: str = "") -> None:
        finding = Finding(code, message, file)
        if finding not in self.findings:
            self.findings.append(finding)

    def list_files(self) -> None:
        with os.scandir(self.path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                self.status[entry.name] = entry.stat(follow_symlinks=False)
        own = self.path.stat()
        self.apparent = sum(status.st_size for status in self.status.values())
        self.actual = sum(status.st_blocks * _SECTOR for status in (own, *self.status.values()))
        self.newest = max((status.st_mtime_ns for status in self.status.values()), default=own.st_mtime_ns)
        for name in self.status:
            if _LEFTOVER.fullmatch(name):
                self.find("rebuild-leftover", "is left of an unfinished rebuild or purge", name)
            elif not _KNOWN.fullmatch(name):
                self.find("stray-file", "is not a file of a replica", name)

    def content(self, name: str) -> bytes:
        """Return a metadata file's content. Raises FileNotFoundError, MetadataError, OSError."""
        status = self.status.get(name)
        if status is None:
            raise FileNotFoundError(name)
        if not stat.S_ISREG(status.st_mode):
            raise MetadataError("is not a regular file")
        if status.st_size > metadata.LARGEST_META:
            raise MetadataError(f"has {status.st_size} bytes, and must have at most {metadata.LARGEST_META}")
        return (self.path / name).read_bytes()

    def volume_meta(self, accepting: Collection[str], *, needs_head: bool) -> VolumeMeta | None:
        """Return what volume.meta says, or what its only head makes of it if the caller accepts that."""
        name = metadata.VOLUME_META
        try:
            meta = metadata.parse_volume_meta(self.content(name))
        except FileNotFoundError:
            return self._reconstruct("volume-meta-missing", "there is no such file", accepting, needs_head=needs_head)
        except MetadataError as error:
            return self._reconstruct("volume-meta-invalid", str(error), accepting, needs_head=needs_head)
        except OSError as error:
            self.find("unreadable", f"cannot be read: {error.strerror}", name)
            return None
        if not metadata.HEAD_NAME.fullmatch(meta.head):
            self.find("head-name-invalid", f"Head is {ascii(meta.head)[:80]}, and must be volume-head-NNN.img", name)
            return meta
        others = [other for other in self._heads() if other != meta.head]
        if others:
            self.find("several-heads", f"{', '.join(others)} beside the live {meta.head}")
        return meta

    def _reconstruct(
        self, code: str, message: str, accepting: Collection[str], *, needs_head: bool
    ) -> VolumeMeta | None:
        self.find(code, message, metadata.VOLUME_META)
        if code not in accepting:
            return None
        heads = self._heads()
        if len(heads) != 1 and needs_head:
            self.find("head-ambiguous", f"there are {len(heads)} heads: {', '.join(heads) or 'none'}")
            return None
        largest = max((self.status[name].st_size for name in self.status if metadata.is_layer_name(name)), default=0)
        self.reconstructed = VolumeMeta(size=largest, head=heads[0] if heads else "", dirty=True)
        return self.reconstructed

    def _heads(self) -> list[str]:
        return [name for name in self.status if metadata.HEAD_NAME.fullmatch(name)]

    def refuse_unless_layer(self, name: str) -> None:
        if name in self.status and metadata.is_layer_name(name):
            return
        layers = ", ".join(layer for layer in self.status if metadata.is_layer_name(layer)) or "none"
        raise BadInputError("no-such-layer", f"{self.path} has no layer {name!r}; it has: {layers}")

    def follow(self, start: str) -> list[Layer] | None:
        """Return the layers from `start` down to the root, or None when the chain breaks; the findings say where."""
        layers: list[Layer] = []
        seen: set[str] = set()
        name, child = start, metadata.VOLUME_META
        while name:
            if not metadata.is_layer_name(name):
                self.find("layer-name-invalid", f"names {ascii(name)[:80]} as its parent, which is no layer", child)
                return None
            if name in seen:
                self.find("chain-cycle", f"names {name} as its parent, which lies above it", child)
                return None
            if len(layers) == metadata.MAXIMUM_LAYERS:
                self.find("chain-too-long", f"there are more than {metadata.MAXIMUM_LAYERS} layers below {start}")
                return None
            layer = self._layer(name, child)
            if layer is None:
                return None
            seen.add(name)
            layers.append(layer)
            name, child = layer.parent, f"{name}.meta"
        return layers

    def _layer(self, name: str, child: str) -> Layer | None:
        status = self.status.get(name)
        if status is None:
            self.find("layer-missing", f"is named by {child} and is not there", name)
            return None
        if not stat.S_ISREG(status.st_mode):
            self.find("layer-not-a-file", "is not a regular file", name)
            return None
        if not os.access(self.path / name, os.R_OK):
            self.find("unreadable", "may not be read", name)
            return None
        described = self._layer_meta(f"{name}.meta")
        if described is None:
            return None
        return Layer(
            name,
            self.path / name,
            described.parent,
            status.st_size,
            status.st_blocks * _SECTOR,
            status.st_mtime_ns,
            status.st_ino,
            described.removed,
            described.user_created,
            described.created,
        )

    def _layer_meta(self, name: str) -> LayerMeta | None:
        try:
            return metadata.parse_layer_meta(self.content(name))
        except FileNotFoundError:
            self.find("layer-meta-missing", "there is no such file", name)
        except MetadataError as error:
            self.find("layer-meta-invalid", str(error), name)
        except OSError as error:
            self.find("unreadable", f"cannot be read: {error.strerror}", name)
        return None

    def branches(self, layers: Collection[Layer]) -> tuple[Layer, ...]:
        """Return the snapshots that the chain does not pass; their own faults are no findings of this volume."""
        beside = _Reader(self.path, status=self.status)
        chain = {layer.name for layer in layers}
        names = [name for name in self.status if metadata.SNAPSHOT_NAME.fullmatch(name) and name not in chain]
        found = {layer.name: layer for layer in (beside._layer(name, "") for name in names) if layer}
        for layer in found.values() if layers else ():
            if _meets(layer, found, chain):
                self.find("branch", "is no ancestor of the merged layer", layer.name)
            else:
                self.find("unrelated-layer", "has no ancestor in common with the merged layer", layer.name)
        return tuple(found.values())

    def revision(self) -> int | None:
        """Return the revision counter, if there is one that can be read."""
        name = metadata.REVISION_COUNTER
        try:
            return metadata.parse_revision(self.content(name))
        except FileNotFoundError:
            return None
        except MetadataError as error:
            self.find("revision-invalid", str(error), name)
        except OSError as error:
            self.find("revision-invalid", f"cannot be read: {error.strerror}", name)
        return None


def _meets(layer: Layer, beside: Mapping[str, Layer], chain: Collection[str]) -> bool:
    """Tell whether a layer beside the chain grew out of it."""
    seen: set[str] = set()
    while layer.parent in beside and layer.name not in seen:
        seen.add(layer.name)
        layer = beside[layer.parent]
    return layer.parent in chain


def _state(reader: _Reader, meta: VolumeMeta) -> None:
    """Find what the engine says about the replica's state."""
    name = metadata.VOLUME_META
    if meta.rebuilding:
        reader.find("rebuilding", "Rebuilding is true", name)
    if meta.error:
        reader.find("error", f"Error is {ascii(meta.error)[:200]}", name)
    if meta.backing_file:
        reader.find("backing-file", f"BackingFilePath is {ascii(meta.backing_file)[:200]}", name)
    if meta.dirty:
        reader.find("dirty", "Dirty is true", name)
    if meta.encrypted:
        reader.find("encrypted", "Encrypted is true", name)


def _volume_size_is_valid(reader: _Reader, size: int) -> bool:
    if 0 < size <= metadata.LARGEST_VOLUME and size % BLOCK == 0:
        return True
    rule = f"a positive multiple of {BLOCK}, at most {metadata.LARGEST_VOLUME}"
    reader.find("volume-size-invalid", f"Size is {size}, and must be {rule}", metadata.VOLUME_META)
    return False


def _sizes(reader: _Reader, layers: list[Layer], volume: int, *, live: bool) -> None:
    """Find layers whose length does not fit: volumes only ever grow, in steps of ALIGNMENT (MRG-014, MRG-017)."""
    step = ALIGNMENT if volume % ALIGNMENT == 0 else BLOCK
    expanded = any(layer.name.startswith(metadata.EXPANSION_PREFIX) for layer in layers)
    for index, layer in enumerate(layers):
        older = max((below.size for below in layers[index + 1 :]), default=0)
        if layer.size == 0:
            reader.find("layer-empty", "has 0 bytes", layer.name)
        elif layer.size % step:
            reader.find("layer-truncated", f"has {layer.size} bytes, no multiple of {step}", layer.name)
        elif layer.size < older:
            reader.find("layer-truncated", f"has {layer.size} bytes, and an older layer {older}", layer.name)
        elif layer.size > volume:
            reader.find("layer-too-large", f"has {layer.size} bytes, and the volume {volume}", layer.name)
        elif layer.size < volume and not (live and index == 0):
            code = "layer-expanded" if expanded else "layer-short"
            reader.find(code, f"has {layer.size} bytes, and the volume {volume}", layer.name)
    if live and layers[0].size != volume:
        reader.find("head-size-differs", f"has {layers[0].size} bytes, and Size is {volume}", layers[0].name)
