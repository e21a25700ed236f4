"""Phases 0 to 2: find a directory, copy it, merge the copy, and prove the image. Nothing on the cluster is touched."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from .agent import AgentError
from .decide_data import Candidate, Paths, Ranking, judge_image, live_directories, rank
from .decide_stop import Source
from .interfaces import Ref
from .journal import Evidence, Journal
from .marks import SOURCE, mark_of
from .node_tools import repair_scratch, run_long, test_mount
from .preflight import check_space
from .steps import StopError
from .volumes import VolumeInput
from .world import World

__all__ = ["Prepared", "discover", "pinned_source", "prepare", "scan_nodes", "source_doubts"]

_SCAN_SECONDS: Final = 3600
_SHORT: Final = 120
_REPAIR_LIMIT: Final = 3


@dataclass(frozen=True)
class Prepared:
    """A proven image and where it came from."""

    source: Source
    paths: Paths
    image: str
    """The image whose files are copied: the merged one, or its repaired copy."""
    sha256: str
    root: tuple[str, ...]
    warnings: tuple[str, ...]
    content: Mapping[str, Any]
    """What the image is made of and what is in it (LHR-055, LHR-060)."""
    notes: tuple[str, ...] = ()


def scan_nodes(world: World, silent: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """Describe all replica directories of all nodes that answer. Raises NodeError, AgentError."""
    found = []
    for name in world.settings.nodes:
        if name not in silent:
            answer = world.agent(name).call(
                "scan", f"{world.settings.data_path}/replicas", timeout=_SCAN_SECONDS, long=True
            )
            found += [(name, item) for item in answer["directories"]]
    return found


def discover(world: World, volume: VolumeInput, scanned: list[tuple[str, Mapping[str, Any]]]) -> Ranking:
    """Rank the directories of a volume. Raises ClusterError."""
    namespace = world.settings.longhorn_namespace
    replicas = world.cluster.list("longhorn.Replica", namespace, f"longhornvolume={volume.pv_name}")
    return rank(scanned, volume, world.settings, live_directories(replicas))


def pinned_source(world: World, volume: VolumeInput, journal: Journal) -> tuple[str, str] | None:
    """Return node and directory of an earlier run: they are never chosen anew (LHR-036, DEF-12).

    Until a Volume was made for them, a person may still name others (VAR-002).
    """
    marked = _marked(world, volume)
    if marked is not None:
        return marked
    chosen = journal.result("merge")
    place = (str(chosen["node"]), str(chosen["directory"])) if chosen else None
    return place if place and _as_named(volume, place) else None


def source_doubts(world: World, volume: VolumeInput, ranking: Ranking, journal: Journal) -> list[str]:
    """Say where an earlier run's choice contradicts what a person names, or what was written since. Reads only."""
    marked, pinned = _marked(world, volume), pinned_source(world, volume, journal)
    if marked is not None:
        doubt = (
            f"{volume.pv_name}: its Longhorn Volume was made for {marked[0]}:{marked[1]}, and another source is named; "
            f"delete that Volume first if what was copied into it is not wanted (DT-5)"
        )
        return [] if _as_named(volume, marked) else [doubt]
    if pinned is None:
        return []
    since = float((journal.result("merge") or {}).get("time", math.inf))
    newer = [
        f"{item.node}:{item.directory}"
        for item in ranking.candidates
        if item.usable and (item.node, item.directory) != pinned and item.mtime > since
    ]
    doubt = (
        f"{volume.pv_name}: an earlier run chose {pinned[0]}:{pinned[1]} and did not end, and {', '.join(newer)} was "
        f"written since; name the right one by source_node and source_dir"
    )
    return [doubt] if newer else []


def _marked(world: World, volume: VolumeInput) -> tuple[str, str] | None:
    """Return node and directory for which the present Volume was made."""
    present = world.cluster.get(Ref("longhorn.Volume", volume.pv_name, world.settings.longhorn_namespace))
    source = Source.from_mark(mark_of(present, SOURCE))
    return (source.node, source.directory) if source else None


def _as_named(volume: VolumeInput, place: tuple[str, str]) -> bool:
    """Whether the input names this place, or leaves it open."""
    return (volume.source_node or place[0], volume.source_dir or place[1]) == place


def prepare(
    world: World, volume: VolumeInput, ranking: Ranking, journal: Journal, evidence: Evidence
) -> Iterator[tuple[str, Prepared | None]]:
    """Back up, merge and prove the best candidate; a bad one gives way to the next (LHR-034, LHR-056).

    Yields the name of each completed phase, with the result at the last. Raises StopError when no candidate is good.
    """
    pinned = pinned_source(world, volume, journal)
    candidates = [
        item
        for item in ranking.candidates
        if (item.usable if pinned is None else (item.node, item.directory) == pinned)
    ]
    if pinned is not None and not candidates:
        candidates = [Candidate(*pinned, 0, None, 0, 0, dirty=False, layers=0, revision=0, reasons=())]
    refused = []
    for candidate in candidates:
        place = f"{candidate.node}:{candidate.directory}"
        try:
            paths = Paths.of(volume, world.settings, candidate.directory)
            notes = _room(world, candidate, paths)
            digest = _backup(world, candidate, paths)
            evidence.note(volume.pv_name, "backup", f"copied {place} to {paths.backup}", outcome=digest)
            yield "backup", None
            prepared = replace(_image(world, volume, candidate, paths, digest), notes=notes)
        except (AgentError, ValueError) as error:
            refused.append(f"{place}: {error}")
            evidence.note(volume.pv_name, "merge", f"try {place}", outcome=str(error), next_step="the next candidate")
            continue
        chosen = {"node": candidate.node, "directory": candidate.directory, "digest": digest}
        journal.complete("merge", {**chosen, "time": world.clock.now()})
        evidence.note(volume.pv_name, "merge", f"merged into {prepared.image}", outcome=", ".join(prepared.root))
        yield "merge", prepared
        return
    raise StopError("merge", "no-source", f"no directory gives a usable image: {'; '.join(refused) or 'none found'}")


def _room(world: World, candidate: Candidate, paths: Paths) -> tuple[str, ...]:
    """Refuse where there is no room for copy and image; tell of a copy beside the original (LHR-017, LHR-018)."""
    agent, node = world.agent(candidate.node), world.nodes[candidate.node]

    def missing(path: str) -> int:
        # What an earlier run made has its room already: a disk that it filled must not stop the next one.
        return candidate.actual if node.run(("test", "-e", path), timeout=_SHORT).status else 0

    wanted = (missing(paths.backup), missing(paths.image) + missing(paths.scratch))
    places = [agent.call("space", path, timeout=_SHORT) for path in (paths.backup, paths.image)]
    problems = check_space(tuple(zip(wanted, places, strict=True)), places[1])
    if problems:
        raise StopError("backup", "no-room", f"{candidate.node}: {'; '.join(problems)}")
    data = agent.call("space", f"{world.settings.data_path}/replicas", timeout=_SHORT)
    if data["device"] != places[0]["device"]:
        return ()
    return (f"{paths.backup} is on the file system of the original: one broken disk takes both; copy it elsewhere",)


def _backup(world: World, candidate: Candidate, paths: Paths) -> str:
    source = f"{world.settings.data_path}/replicas/{candidate.directory}"
    agent, limit = world.agent(candidate.node), world.settings.copy_seconds
    answer = agent.call("backup", source, paths.backup, world.settings.copy_method.value, timeout=limit, long=True)
    return str(answer["digest"])


def _image(world: World, volume: VolumeInput, candidate: Candidate, paths: Paths, digest: str) -> Prepared:
    """Merge the copy, never the original (INV-003), and prove the result."""
    agent, limit = world.agent(candidate.node), world.settings.copy_seconds
    merged = agent.call("merge", paths.backup, paths.image, timeout=limit, long=True)
    if not merged["data_bytes"]:
        message = "the image has no data at all (LHR-060)"
        raise ValueError(message)
    if int(merged["size"]) > volume.size:
        message = f"the image has {merged['size']} bytes, the volume only {volume.size}"
        raise ValueError(message)
    report = agent.call("verify", paths.image, timeout=limit, long=True)
    _kind, option = judge_image(report)
    found = report["file_systems"][0]
    image, warnings = paths.image, [str(item) for item in found["problems"]]
    if found["journal"] == "needs replay":
        # Without the replay the newest files are missing or torn (LHR-059); the merged image stays as it is.
        repaired = run_long(
            world.nodes[candidate.node],
            repair_scratch(paths.image, paths.scratch),
            clock=world.clock,
            timeout=limit,
            directory=world.settings.work_directory,
        )
        if repaired.status > _REPAIR_LIMIT:
            warnings.append(f"the journal could not be replayed ({repaired.err.strip()[-200:]}): files may be older")
        else:
            image = paths.scratch
    root = _listed(world, candidate, image, paths, option)
    source = Source(candidate.node, candidate.directory, digest)
    content = _content(merged, found, root)
    return Prepared(source, paths, image, str(merged["sha256"]), root, tuple(warnings), content)


def _content(merged: Mapping[str, Any], found: Mapping[str, Any], root: tuple[str, ...]) -> dict[str, Any]:
    """Put together what a person compares with what is remembered: layers, bytes, file system, names."""
    return {
        "layers": [{"name": layer["name"], "wins": layer["wins"]} for layer in merged["layers"]],
        "data_bytes": merged["data_bytes"],
        "file_system": found["kind"],
        "uuid": found["uuid"],
        "journal": found["journal"],
        "check": found["check"]["verdict"],
        "root": list(root),
    }


def _listed(world: World, candidate: Candidate, image: str, paths: Paths, option: str) -> tuple[str, ...]:
    done = world.nodes[candidate.node].run(test_mount(image, f"{paths.mounts}/source", option), timeout=_SHORT)
    if done.status:
        message = f"it cannot be mounted: {done.err.strip()[-300:]} (FM-06)"
        raise ValueError(message)
    return tuple(done.out.splitlines())
