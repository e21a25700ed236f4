"""The file for `--policy-pack-config` holds what the pack reads."""

import json

from policies.facts import Environment, read_facts
from policies.pack_config import pack_config
from policies.rules import RULES


def test_each_rule_is_mandatory_and_reads_back_what_was_given() -> None:
    document = pack_config(
        "sandbox",
        {"ips": ("203.0.113.5",), "hosts": ("Vault.Example.Test.",), "tunnels": ("main",)},
        i_mean_prod=True,
        kube_contexts=["sandbox"],
        kube_servers=["https://127.0.0.1:6443/"],
        resolved={"Db.Sandbox.Test": {"198.51.100.9"}},
        sandbox_networks=["198.51.100.0/24"],
    )
    read = json.loads(json.dumps(document))
    assert set(read) == {rule.id for rule in RULES}
    for properties in read.values():
        assert properties.pop("enforcementLevel") == "mandatory"
        facts = read_facts(properties)
        assert facts.problems == ()
        assert facts.environment is Environment.SANDBOX
        assert facts.i_mean_prod
        assert [str(network) for network in facts.fingerprints.ips] == ["203.0.113.5/32"]
        assert facts.fingerprints.hosts == {"vault.example.test"}
        assert facts.fingerprints.tunnels == {"main"}
        assert facts.kube_contexts == {"sandbox"}
        assert facts.kube_servers == {"https://127.0.0.1:6443"}
        assert [str(network) for network in facts.resolved["db.sandbox.test"]] == ["198.51.100.9/32"]
        assert [str(network) for network in facts.sandbox_networks] == ["198.51.100.0/24"]


def test_an_unknown_environment_stays_absent_so_that_nothing_is_allowed() -> None:
    document = pack_config(None, {"ips": ["203.0.113.5"], "hosts": ["vault.example.test"]})
    for properties in document.values():
        del properties["enforcementLevel"]
        assert read_facts(properties).problems == ("environment is missing, it must be prod or sandbox",)
