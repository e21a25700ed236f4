"""The replica directories of all nodes, before and after: none may go, none may shrink (INV-014).

Beside them lies the disk's identity, by which a new Longhorn knows the old disk (GLK-020, LHP-052).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from .interfaces import Node, NodeError
from .node_tools import script

__all__ = ["Inventory", "InventoryError", "take_inventory"]

_LIST: Final = """
if [ -e "$1/longhorn-disk.cfg" ]; then
  printf 'disk\\t%s\\n' "$(tr -d '\\n' <"$1/longhorn-disk.cfg")"
fi
[ -d "$1/replicas" ] || exit 0
cd "$1/replicas" || exit 1
for directory in */; do
  [ -d "$directory" ] || continue
  # A file that goes while it is measured, of a volume in use, is no trouble the second time.
  kib=$(du -sk "$directory") || kib=$(du -sk "$directory") || exit 1
  printf '%s\\t%s\\n' "${kib%%[!0-9]*}" "${directory%/}"
done
"""
_SECONDS: Final = 600


class InventoryError(Exception):
    """A directory disappeared or shrank."""


@dataclass(frozen=True)
class Inventory:
    """Size on disk in KiB by (node, directory), and the nodes that answered."""

    sizes: dict[tuple[str, str], int]
    nodes: frozenset[str]
    disks: dict[str, str] = field(default_factory=dict)
    """By node: what its longhorn-disk.cfg holds."""

    def compare_with(self, before: Inventory) -> None:
        """Raise InventoryError when something of ``before`` is missing or smaller; silent nodes prove nothing."""
        worse = []
        for (node, directory), size in sorted(before.sizes.items()):
            now = self.sizes.get((node, directory))
            if node in self.nodes and now is None:
                worse.append(f"{node}:{directory} has disappeared")
            elif now is not None and now < size:
                worse.append(f"{node}:{directory} shrank from {size} to {now} KiB")
        for node, disk in sorted(before.disks.items()):
            now_disk = self.disks.get(node, "")
            if node in self.nodes and now_disk != disk:
                worse.append(f"{node}: longhorn-disk.cfg was {disk}, and is {now_disk or 'gone'}")
        if worse:
            raise InventoryError("; ".join(worse))


def take_inventory(nodes: Sequence[Node], data_path: str) -> Inventory:
    """List them. A node that does not answer, or cannot measure them all, is left out."""
    sizes: dict[tuple[str, str], int] = {}
    disks: dict[str, str] = {}
    answered = set()
    for node in nodes:
        try:
            done = node.run(script("inventory", _LIST, data_path), timeout=_SECONDS)
        except NodeError:
            continue
        if done.status:
            continue
        answered.add(node.name)
        for line in done.out.splitlines():
            size, _, directory = line.partition("\t")
            if size == "disk":
                disks[node.name] = directory
            else:
                sizes[node.name, directory] = int(size)
    return Inventory(sizes, frozenset(answered), disks)
