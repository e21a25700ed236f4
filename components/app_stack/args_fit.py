"""How the parts of a declaration fit together: what does not would fail late, or be lost in silence.

Each rule returns what is wrong as half a sentence, or nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from posixpath import normpath

from ..model import amount
from .args_workload import QuotaArgs, VolumeArgs, WorkloadArgs

__all__ = ["contested_variables", "missing_room", "shared_places", "single_writer"]


def single_writer(volumes: Sequence[VolumeArgs]) -> bool:
    """Whether a volume admits one pod: the old one ends before the new one begins (CHART-31)."""
    return any(volume.access_mode == "ReadWriteOnce" for volume in volumes)


def missing_room(workload: WorkloadArgs, volumes: Sequence[VolumeArgs], quota: QuotaArgs) -> Iterator[str]:
    """Compare the pods, and the one more with which a rollout begins, with what the namespace may hold (CHART-42)."""
    pods = workload.autoscaling.max_replicas if workload.autoscaling else workload.replicas
    most = pods if pods == 0 or single_writer(volumes) else pods + 1
    for key in ("cpu_limit", "memory_limit"):
        allowed, each = getattr(quota, key), getattr(workload.resources, key)
        if most * amount(each) > amount(allowed):
            yield f"quota.{key} {allowed} is less than {most} times workload.resources.{key} {each}"
    if most > quota.pods:
        yield f"quota.pods {quota.pods} is less than {most}"


def shared_places(volumes: Sequence[VolumeArgs], *, mounted: bool, memory: bool) -> Iterator[str]:
    """Find what volumes share: a name, a claim, and where one container has all ``mounted``, a place of the container.

    With ``memory`` the name ``tmp`` and the place ``/tmp`` are taken. A chart may give two containers one place.
    """
    names, places = ({"tmp"}, {"/tmp"}) if memory else (set[str](), set[str]())  # noqa: S108 - the container's own
    claims: set[str] = set()
    for volume in volumes:
        if volume.claim in claims:
            yield f"the claim {volume.claim}"
        claims |= {volume.claim} if volume.claim else set()
        place = normpath(f"/{volume.mount_path.lstrip('/')}")
        if volume.name in names:
            yield f"the name {volume.name}"
        if mounted and place in places:
            yield f"the mount_path {volume.mount_path}"
        names.add(volume.name)
        places.add(place)


def contested_variables(sources: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Find the variables that two parts of the declaration set: the container would see one of the values."""
    for (one, mine), (other, theirs) in combinations(sources.items(), 2):
        for name in sorted(set(mine) & set(theirs)):
            yield f"{name} ({one} and {other})"
