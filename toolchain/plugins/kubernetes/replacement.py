"""Which changed properties need a new object, as the official provider has it: mostly what the server would refuse."""

from dataclasses import dataclass
from typing import NamedTuple

from toolchain.plugins.kit import Diff, Properties, above, below, compare, format_path, parse_path

from .discovery import Kind
from .manifest import AUTONAMED, annotations_of, metadata_of


@dataclass(frozen=True)
class Mutability:
    """Whether a changed Secret or ConfigMap is changed in place (unless it says ``immutable``) or replaced."""

    secrets: bool = False
    config_maps: bool = False


class _Rule(NamedTuple):
    """Properties which cannot be changed (with all below them), but for these."""

    fixed: tuple[str, ...]
    free: tuple[str, ...] = ()


_ALWAYS = ("kind", "metadata.name", "metadata.namespace")
_POD = _Rule(("spec",), ("spec.activeDeadlineSeconds", "spec.tolerations"))
_RULES: dict[tuple[str, str], _Rule] = {
    ("apps", "DaemonSet"): _Rule(("spec.selector",)),
    ("apps", "Deployment"): _Rule(("spec.selector",)),
    ("apps", "StatefulSet"): _Rule(
        tuple(
            f"spec.{name}"
            for name in (
                "podManagementPolicy",
                "revisionHistoryLimit",
                "selector",
                "serviceName",
                "volumeClaimTemplates",
            )
        )
    ),
    ("batch", "Job"): _Rule(("spec.completions", "spec.parallelism", "spec.selector", "spec.template")),
    ("", "PersistentVolume"): _Rule(
        ("spec",),
        tuple(
            f"spec.{name}"
            for name in (
                "accessModes",
                "capacity",
                "claimRef",
                "mountOptions",
                "nodeAffinity",
                "persistentVolumeReclaimPolicy",
                "storageClassName",
                "volumeAttributesClassName",
                "volumeMode",
            )
        ),
    ),
    ("", "PersistentVolumeClaim"): _Rule(
        ("spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName")
    ),
    ("", "Pod"): _POD,
    ("", "ResourceQuota"): _Rule(("spec.scopes",)),
    ("", "Service"): _Rule(("spec.clusterIP",)),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _Rule(("roleRef",)),
    ("rbac.authorization.k8s.io", "RoleBinding"): _Rule(("roleRef",)),
    ("storage.k8s.io", "StorageClass"): _Rule(("parameters", "provisioner")),
}


def difference(kind: Kind, old: Properties, new: Properties, mutability: Mutability) -> Diff:
    """Compare inputs; the old object goes first where the new one needs its name."""
    changes = list(compare(old, new))
    rule = _rule(kind, old, mutability)
    fixed, free = [parse_path(p) for p in (*_ALWAYS, *rule.fixed)], [parse_path(p) for p in rule.free]
    replaces = [
        format_path(path) for path, _ in changes if (below(path, fixed) or above(path, fixed)) and not below(path, free)
    ]
    if _group(old) != _group(new):
        replaces.append("apiVersion")
    return Diff(
        detailed={format_path(path): change for path, change in changes},
        replaces=replaces,
        delete_before_replace=bool(replaces) and _keeps_name(old, new),
    )


def is_autonamed(inputs: Properties) -> bool:
    """Whether the object's name was generated."""
    return annotations_of(inputs).get(AUTONAMED) == "true"


def _rule(kind: Kind, old: Properties, mutability: Mutability) -> _Rule:
    immutable = old.get("immutable") is True
    if kind[::2] == ("", "Secret"):
        return _Rule(("type",) if mutability.secrets and not immutable else ("type", "data", "stringData", "immutable"))
    if kind[::2] == ("", "ConfigMap"):
        return _Rule(() if mutability.config_maps and not immutable else ("data", "binaryData", "immutable"))
    return _RULES.get((kind.group, kind.kind), _Rule(()))


def _keeps_name(old: Properties, new: Properties) -> bool:
    before, after = metadata_of(old), metadata_of(new)
    same = all(before.get(key) == after.get(key) for key in ("name", "namespace"))
    return same and not is_autonamed(new)


def _group(inputs: Properties) -> str:
    return str(inputs.get("apiVersion", "")).rpartition("/")[0]
