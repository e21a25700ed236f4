"""From the labels of the containers to the labels of the gateway: pure, ordered, and nothing dropped in silence."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from .args import Collisions, Mode, TransformArgs
from .findings import Finding, error, errors
from .keep_list import filter_labels
from .labels import LabelModel
from .notes import Label
from .passthrough import passthrough_labels
from .routers import Publication, prefixed
from .schema import sort_key

__all__ = ["Transformed", "transform", "transform_all"]

_ROUTERS = "traefik.http.routers."
_SERVICES = "traefik.http.services."


@dataclass(frozen=True, slots=True)
class Transformed:
    """The gateway's labels of one machine (TPX-252)."""

    labels: tuple[Label, ...]
    """In the order in which they are written."""
    kept: int
    """In mode `filter` the labels of the containers that were kept, each container's for itself; else all labels."""
    distinct: int
    """The kept labels without repetitions (TPX-79)."""
    dropped: Mapping[str, int]
    """How many labels of the containers were not kept, by reason."""
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[Finding]:
        """What has to be resolved before these labels are published."""
        return errors(self.findings)

    @property
    def router_names(self) -> list[str]:
        """The names of the routers, in order."""
        return _names(self.labels, _ROUTERS)

    @property
    def service_names(self) -> list[str]:
        """The names of the services, in order."""
        return _names(self.labels, _SERVICES)

    def as_data(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {
            "labels": [list(label) for label in self.labels],
            "kept": self.kept,
            "distinct": self.distinct,
            "dropped": dict(self.dropped),
            "warnings": [finding.as_data() for finding in self.findings],
        }


def transform(model: LabelModel, args: TransformArgs) -> Transformed:
    """Make the gateway's labels for one machine; the same set of containers gives the same result (TPX-107)."""
    publication = Publication(model, args)
    if args.mode is Mode.FILTER:
        labels, kept, distinct = filter_labels(publication)
    else:
        labels = passthrough_labels(publication)
        kept = distinct = len(labels)
    dropped = {reason: count for reason, count in sorted(publication.dropped.items()) if count}
    return Transformed(tuple(labels), kept, distinct, dropped, (*model.findings, *publication.findings))


def transform_all(models: Mapping[str, LabelModel], args: Mapping[str, TransformArgs]) -> dict[str, Transformed]:
    """Make the labels of all machines of one gateway, whose names must differ over all of them (TPX-98, TPX-99).

    Equal names are an error on each machine that has one, or get the machine's name in front where its ``collisions``
    says so.
    """
    done = {machine: transform(model, args[machine]) for machine, model in models.items()}
    for prefix, attribute, rule in ((_ROUTERS, "router_names", "TPX-99"), (_SERVICES, "service_names", "TPX-98")):
        for machine, name in _clashes({machine: getattr(one, attribute) for machine, one in done.items()}):
            new = prefixed(machine, name)
            if args[machine].collisions is Collisions.PREFIX and new not in getattr(done[machine], attribute):
                done[machine] = _renamed(done[machine], prefix, name, new)
        for machine, name in _clashes({machine: getattr(one, attribute) for machine, one in done.items()}):
            others = ", ".join(other for other in done if other != machine and name in getattr(done[other], attribute))
            said = (
                f"{others} has the same name, and on the gateway the later one replaces the other: rename one, or set "
                "collisions to 'prefix'"
            )
            found = error(rule, machine, f"{prefix}{name}", said)
            done[machine] = replace(done[machine], findings=(*done[machine].findings, found))
    return done


def _clashes(names: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    counts = Counter(name for some in names.values() for name in some)
    return [(machine, name) for machine, some in names.items() for name in some if counts[name] > 1]


def _renamed(one: Transformed, prefix: str, old: str, new: str) -> Transformed:
    """Rename a router, or a service with the routers that lead to it; the order is kept."""
    start = f"{prefix}{old}."
    labels = []
    for key, value in one.labels:
        if key.startswith(start):
            labels.append((f"{prefix}{new}.{key.removeprefix(start)}", value))
        elif prefix == _SERVICES and key.startswith(_ROUTERS) and key.endswith(".service") and value == old:
            labels.append((key, new))
        else:
            labels.append((key, value))
    return replace(one, labels=tuple(sorted(labels, key=_place)))


def _place(label: Label) -> tuple[int, str, tuple[tuple[str, int], ...]]:
    """Order labels as they are written: enable, routers, services; by name; by option (TPX-101)."""
    key = label[0]
    if not key.startswith((_ROUTERS, _SERVICES)):
        return (0, key, ())
    _, _, kind, name, path = key.split(".", 4)
    return (1 if kind == "routers" else 2, name, sort_key(path))


def _names(labels: Iterable[Label], prefix: str) -> list[str]:
    return list(dict.fromkeys(key.split(".", 4)[3] for key, _ in labels if key.startswith(prefix)))
