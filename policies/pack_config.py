"""The file for `--policy-pack-config`: all that the pack is told about the stack it judges.

Pure: the caller finds the facts (the environment of the stack file, the fingerprints of the committed production stack
files, the cluster in use, resolved names), because the pack sees no configuration and opens no connection.
"""

from collections.abc import Iterable, Mapping

from policies.rules import RULES


def pack_config(
    environment: str | None,
    fingerprints: Mapping[str, Iterable[str]],
    *,
    i_mean_prod: bool = False,
    kube_contexts: Iterable[str] = (),
    kube_servers: Iterable[str] = (),
    resolved: Mapping[str, Iterable[str]] | None = None,
    sandbox_networks: Iterable[str] = (),
) -> dict[str, dict[str, object]]:
    """Return the document, ready for `json.dump`: each rule is mandatory and gets the same facts.

    `fingerprints` has the keys of `policies.facts.Fingerprints`; `kube_contexts` and `kube_servers` are what this
    environment's Kubernetes provider may use; `resolved` maps a host name to its addresses; `sandbox_networks` are
    networks where only sandbox machines live. Values are not judged here: what is missing or wrong is a violation of
    POL-30 when the pack runs.
    """
    facts: dict[str, object] = {
        "fingerprints": {kind: list(marks) for kind, marks in fingerprints.items()},
        "i_mean_prod": i_mean_prod,
        "kube_contexts": list(kube_contexts),
        "kube_servers": list(kube_servers),
        "resolved": {host: list(addresses) for host, addresses in (resolved or {}).items()},
        "sandbox_networks": list(sandbox_networks),
    }
    if environment is not None:
        facts["environment"] = environment
    return {rule.id: {"enforcementLevel": "mandatory", **facts} for rule in RULES}
