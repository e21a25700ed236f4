"""The program's own reading: from the engine's configuration to a site, or one clean error and no resource."""

import json
import os
from pathlib import Path
from typing import Any

import pulumi
import pytest

from stacks.providers import Providers
from stacks.settings.access import operator_file
from stacks.settings.addresses import addresses
from stacks.settings.program import Site, from_pulumi
from stacks.settings.schema import complete
from stacks.settings.yaml_file import read
from tests.support.mocks import Graph, build
from tests.support.stacks import ENDPOINTS, ROOT, configure, site_of, write_endpoints, write_kubeconfig

SANDBOX = {key: value for key, value in read(ROOT / "Pulumi.sandbox.yaml").values.items() if key != "secrets"}
SECRETS = {"secrets": {"webapp": {"SESSION_KEY": "canary-secret"}}}
PRODUCTION = """\
config:
  factory:environment: prod
  factory:fingerprints: {ips: [127.0.0.0/8], hosts: [vault.example.test], buckets: [site-states]}
"""


def attempt(
    values: dict[str, Any],
    encrypted: dict[str, Any],
    variables: dict[str, str],
    directory: Path = ROOT,
) -> Site:
    """Read the configuration under mocks; errors pass through."""
    sites: list[Site] = []

    def program() -> None:
        configure(values, encrypted)
        sites.append(from_pulumi(variables, directory))

    build(program)
    return sites[0]


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(pulumi.RunError) as caught:
        attempt(*args, **kwargs)
    assert caught.value.__cause__ is None, "the engine would print the cause"
    return str(caught.value)


def test_secrets_come_in_as_secret_outputs_of_exactly_the_declared_keys(tmp_path: Path) -> None:
    def program() -> dict[str, Any]:
        return dict(site_of("sandbox", tmp_path).secrets["webapp"])

    found: Graph = build(program)
    assert found.exports == {"SESSION_KEY": {"secret": "value-of-webapp-SESSION_KEY"}}


def test_no_secret_is_part_of_settings_or_of_any_repr(tmp_path: Path) -> None:
    complete()
    site = attempt(SANDBOX, SECRETS, write_endpoints(tmp_path))
    assert site.settings.secrets == {"webapp": frozenset({"SESSION_KEY"})}
    text = repr(site.settings) + repr(site.access) + site.settings.model_dump_json()
    for secret in ("canary-secret", "pg-secret", "root-secret", "kubeconfig-secret"):
        assert secret not in text


def test_a_truth_value_beside_the_sections_is_one(tmp_path: Path) -> None:
    """The engine hands it over as the text `true`."""
    assert attempt({**SANDBOX, "i_mean_prod": True}, SECRETS, write_endpoints(tmp_path)).settings.i_mean_prod is True


def test_a_sandbox_that_is_not_started_says_how_to_start_it() -> None:
    message = refusal(SANDBOX, SECRETS, {})
    assert "FACTORY_ENDPOINTS" in message
    assert "./factory sandbox start" in message


def test_an_endpoints_file_that_vanished_says_how_to_start_the_sandbox(tmp_path: Path) -> None:
    message = refusal(SANDBOX, SECRETS, {"FACTORY_ENDPOINTS": str(tmp_path / "endpoints.json")})
    assert "endpoints.json cannot be read: No such file" in message


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"postgres": {"password": "pg-secret"}}'])
def test_a_damaged_endpoints_file_is_refused_without_its_values(tmp_path: Path, content: str) -> None:
    file = tmp_path / "endpoints.json"
    file.write_text(content)
    message = refusal(SANDBOX, SECRETS, {"FACTORY_ENDPOINTS": str(file)})
    assert "is not what this release writes" in message
    assert "pg-secret" not in message


def test_an_unknown_field_of_the_endpoints_file_is_no_error(tmp_path: Path) -> None:
    attempt(SANDBOX, SECRETS, write_endpoints(tmp_path, {**ENDPOINTS, "registry": {"host": "127.0.0.1"}}))


def test_a_machine_without_a_pooler_connects_applications_to_postgresql(tmp_path: Path) -> None:
    """PG-13 is then not covered, and nobody else makes the pooler's role."""
    site = attempt(SANDBOX, SECRETS, write_endpoints(tmp_path, {**ENDPOINTS, "pooler": None}))
    assert site.settings.platform is not None
    assert site.settings.platform.postgres.pooler.port == ENDPOINTS["postgres"]["port"]
    assert site.settings.postgres_foundation is not None
    assert site.settings.postgres_foundation.create_pooler_role


def test_a_secret_that_is_missing_at_run_time_is_an_error_also_before_the_stack_has_any(tmp_path: Path) -> None:
    message = refusal(SANDBOX, {}, write_endpoints(tmp_path))
    assert "factory:secrets.webapp.SESSION_KEY: missing secret" in message


def test_an_empty_secret_is_a_missing_one(tmp_path: Path) -> None:
    message = refusal(SANDBOX, {"secrets": {"webapp": {"SESSION_KEY": ""}}}, write_endpoints(tmp_path))
    assert "factory:secrets.webapp.SESSION_KEY: missing secret" in message


def test_a_secret_that_stands_in_clear_is_refused_and_not_repeated(tmp_path: Path) -> None:
    message = refusal({**SANDBOX, **SECRETS}, {}, write_endpoints(tmp_path))
    assert "a secret stands in clear" in message
    assert "canary-secret" not in message


def test_a_section_that_is_encrypted_as_a_whole_is_refused(tmp_path: Path) -> None:
    values = {key: value for key, value in SANDBOX.items() if key != "platform"}
    message = refusal(values, {**SECRETS, "platform": SANDBOX["platform"]}, write_endpoints(tmp_path))
    assert "factory:platform: only `factory:secrets`, `factory:credentials`" in message
    assert "`factory:host_secrets` hold encrypted values" in message


def test_all_problems_come_together(tmp_path: Path) -> None:
    apps = {"web": {"exposure": ["nowhere"]}, "webapp": {"replicas": 2}}
    message = refusal({**SANDBOX, "apps": apps, "enviroment": "prod"}, {}, write_endpoints(tmp_path))
    for part in ("apps.web.exposure[0]", "apps.webapp.replicas", "Did you mean `environment`?"):
        assert part in message


def test_a_credential_of_production_in_the_environment_stops_the_run(tmp_path: Path) -> None:
    """POL-08."""
    message = refusal(SANDBOX, SECRETS, write_endpoints(tmp_path) | {"CLOUDFLARE_API_TOKEN": "cf-secret"})
    assert "CLOUDFLARE_API_TOKEN" in message
    assert "cf-secret" not in message


def test_a_backend_of_production_stops_the_run(tmp_path: Path) -> None:
    """POL-10, SBX-08."""
    (tmp_path / "Pulumi.site.yaml").write_text(PRODUCTION.replace("127.0.0.0/8", "203.0.113.10"))
    variables = write_endpoints(tmp_path) | {"PULUMI_BACKEND_URL": "gs://site-states"}
    assert "sandbox's state in production" in refusal(SANDBOX, SECRETS, variables, tmp_path)
    attempt(SANDBOX, SECRETS, write_endpoints(tmp_path) | {"PULUMI_BACKEND_URL": f"file://{tmp_path}"}, tmp_path)


def test_an_embedded_backend_at_an_address_of_production_stops_the_run(tmp_path: Path) -> None:
    """TEST-12, SBX-26: what the running sandbox answers is checked, too."""
    (tmp_path / "Pulumi.site.yaml").write_text(PRODUCTION)
    message = refusal(SANDBOX, SECRETS, write_endpoints(tmp_path), tmp_path)
    assert "a sandbox may not reach production: address 127.0.0.1" in message


def test_a_name_that_resolves_to_production_stops_the_run(tmp_path: Path) -> None:
    """SBX-26: `localhost` stands for a name whose address is production's."""
    (tmp_path / "Pulumi.site.yaml").write_text(PRODUCTION.replace("127.0.0.0/8", "127.0.0.1, '::1'"))
    kubeconfig = write_kubeconfig(tmp_path, "sandbox", server="https://localhost:6443")
    values = {
        "environment": "sandbox",
        "sandbox": {"mode": "k3d", "target_revision": "sandbox", "state_url": "gs://sandbox"},
        "kubernetes": {"kubeconfig": str(kubeconfig), "context": "sandbox"},
        "vault": {"address": "https://10.99.0.2"},
        "vault_foundation": {"kubernetes": {"host": "https://10.99.0.1:6443", "reviewer_namespace": "tools"}},
    }
    message = refusal(values, {"credentials": {"vault_token": "token"}}, {}, tmp_path)
    assert "factory:kubernetes" in message
    assert "resolves to the production address" in message


def test_a_sandbox_beside_no_production_is_refused(tmp_path: Path) -> None:
    message = refusal(SANDBOX, SECRETS, write_endpoints(tmp_path), tmp_path)
    assert "no stack file of production beside this one" in message


def test_only_the_named_context_is_handed_over(tmp_path: Path) -> None:
    """Other clusters' keys stay out of the state."""
    kubeconfig = write_kubeconfig(tmp_path, "home", "customer")
    site = attempt(*_explicit(kubeconfig, "home"), {})
    assert site.access.kubernetes is not None
    assert "home-secret" in site.access.kubernetes.kubeconfig
    assert "customer" not in site.access.kubernetes.kubeconfig
    assert site.access.kubernetes.server == "https://10.20.0.10:6443"


def test_a_context_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path, "home", "customer")
    message = refusal(*_explicit(kubeconfig, "hme"), {})
    assert "factory:kubernetes.context = hme" in message
    assert "home, customer" in message


@pytest.mark.parametrize("content", ["[", "- 1", "", "contexts: [{name: home, context: {cluster: x}}]", "\x00"])
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: str) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(content)
    assert "factory:kubernetes" in refusal(*_explicit(kubeconfig, "home"), {})


def test_a_server_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path, "home", server="https://[bad")
    message = refusal(*_explicit(kubeconfig, "home"), {})
    assert f"the server of context home in {kubeconfig} cannot be read: https://[bad" in message


def test_a_file_is_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program runs in the checkout, a command where it is called: relative files are the checkout's for both."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/srv/operator")
    assert operator_file("certificates/ca.pem") == ROOT / "certificates/ca.pem"
    assert operator_file("~/ca.pem") == Path("/srv/operator/ca.pem")
    assert operator_file("/srv/ca.pem") == Path("/srv/ca.pem")
    (tmp_path / "kubeconfig").touch()
    message = refusal(*_explicit(Path("kubeconfig"), "home"), {})
    assert f"factory:kubernetes.kubeconfig = {ROOT}/kubeconfig: cannot be read: No such file" in message


def test_providers_get_files_that_they_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them knows a home; they run in the checkout, and the state is the same from every checkout."""
    monkeypatch.setenv("HOME", "/srv/operator")
    files = [("~/ca.pem", "/srv/operator/ca.pem"), ("certificates/ca.pem", "certificates/ca.pem")]
    for written, given in files:

        def program(written: str = written) -> None:
            values, encrypted = _explicit(write_kubeconfig(tmp_path, "home"), "home")
            values["vault"]["ca_cert_file"] = values["postgres"]["sslrootcert"] = written
            configure(values, encrypted)
            Providers(from_pulumi({}, ROOT).access).of(["vault", "postgres"])

        graph = build(program)
        assert graph.one("pulumi:providers:vault").get("caCertFile") == given
        assert graph.one("pulumi:providers:postgresql").get("sslrootcert") == given


@pytest.mark.parametrize("host", ["vault..example.test", f"{'a' * 64}.example.test", "\ud800"])
def test_a_name_that_cannot_be_asked_for_has_no_address(host: str) -> None:
    assert addresses(host) == []


def test_the_addresses_of_a_name_come_once_and_in_order() -> None:
    assert addresses("127.0.0.1") == ["127.0.0.1"]


def test_every_connection_that_fails_is_named_at_once(tmp_path: Path) -> None:
    values, _ = _explicit(tmp_path / "nowhere", "home")
    message = refusal(values, {"credentials": {"vault_token": "", "postgres_password": "x"}}, {})
    assert "factory:credentials.vault_token" in message


def test_the_engine_prints_the_problems_without_a_traceback(tmp_path: Path) -> None:
    """`pulumi.RunError` is what the language host prints as it is."""
    message = refusal({**SANDBOX, "environment": "production"}, SECRETS, write_endpoints(tmp_path))
    assert message.startswith("the configuration is refused, nothing was changed:\n")
    assert "Did you mean `prod`?" in message
    assert "Pulumi.test.yaml" in message


def test_the_default_is_the_environment_of_the_process() -> None:
    assert from_pulumi.__defaults__ == (os.environ, None)


def _explicit(kubeconfig: Path, context: str) -> tuple[dict[str, Any], dict[str, Any]]:
    values = dict(read(ROOT / "Pulumi.example.yaml").values)
    values["kubernetes"] = {"kubeconfig": str(kubeconfig), "context": context}
    return json.loads(json.dumps(values)), {"credentials": {"vault_token": "token", "postgres_password": "password"}}
