from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain.plugins.kit import ProviderError
from toolchain.plugins.kubernetes.kubeconfig import access, decode


def kubeconfig(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "one", "cluster": {"server": "https://one.example.test:6443/"}},
            {"name": "two", "cluster": {"server": "https://two.example.test", "tls-server-name": "kubernetes"}},
        ],
        "users": [{"name": "admin", "user": {"token": "s3cret-token"}}],
        "contexts": [
            {"name": "first", "context": {"cluster": "one", "user": "admin"}},
            {"name": "second", "context": {"cluster": "two", "user": "admin", "namespace": "tools"}},
        ],
        "current-context": "first",
    }
    return document | changes


def text(**changes: Any) -> str:
    return yaml.safe_dump(kubeconfig(**changes))


def test_the_current_context_is_used_unless_another_is_chosen() -> None:
    found = access(text())
    assert (found.context, found.namespace, found.cluster.server) == (
        "first",
        "default",
        "https://one.example.test:6443",
    )
    second = access(text(), context="second")
    assert (second.namespace, second.cluster.tls_server_name) == ("tools", "kubernetes")
    mixed = access(text(), context="second", cluster="one")
    assert (mixed.namespace, mixed.cluster.server) == ("tools", "https://one.example.test:6443")


def test_a_path_is_read_and_its_files_are_relative_to_it(tmp_path: Path) -> None:
    clusters = [{"name": "one", "cluster": {"server": "https://one.example.test", "certificate-authority": "ca.crt"}}]
    users = [{"name": "admin", "user": {"client-certificate": "/keys/admin.crt", "client-key": "admin.key"}}]
    file = tmp_path / "config"
    file.write_text(text(clusters=clusters, users=users))
    found = access(str(file))
    assert found.cluster.certificate_authority == str(tmp_path / "ca.crt")
    assert (found.user.client_certificate, found.user.client_key) == ("/keys/admin.crt", str(tmp_path / "admin.key"))


def test_impersonation_is_read() -> None:
    users = [{"name": "admin", "user": {"token": "t", "as": "viewer", "as-groups": ["auditors"]}}]
    user = access(text(users=users)).user
    assert (user.impersonate, user.impersonate_groups) == ("viewer", ("auditors",))


MISTAKES: dict[str, tuple[str, str]] = {
    "no current context": (text(**{"current-context": ""}), "has no current-context"),
    "unknown context": (text(**{"current-context": "frist"}), "has no context 'frist'; it has 'first', 'second'"),
    "unknown user": (text(users=[]), "has no user 'admin'; it has none"),
    "no server": (text(clusters=[{"name": "one", "cluster": {}}]), "cluster 'one' of the kubeconfig: `server`"),
    "server without scheme": (
        text(clusters=[{"name": "one", "cluster": {"server": "one.example.test:6443"}}]),
        "is not an http or https URL",
    ),
    "port which is none": (
        text(clusters=[{"name": "one", "cluster": {"server": "https://one.example.test:none"}}]),
        "`server`: .*is not an http or https URL",
    ),
    "proxy of another kind": (
        text(
            clusters=[
                {
                    "name": "one",
                    "cluster": {"server": "https://one.example.test", "proxy-url": "socks5://10.0.0.1:1080"},
                }
            ]
        ),
        "cluster 'one' of the kubeconfig: `proxy-url`: .*is not an http or https URL",
    ),
    "token of another type": (
        text(users=[{"name": "admin", "user": {"token": ["s3cret-token"]}}]),
        "user 'admin' of the kubeconfig: `token`",
    ),
    "exec": (text(users=[{"name": "admin", "user": {"exec": {"command": "aws"}}}]), "has `exec`, which .* refuses"),
    "auth provider": (text(users=[{"name": "admin", "user": {"auth-provider": {}}}]), "has `auth-provider`"),
    "not YAML": ("clusters: [\n  - {", r"is not valid YAML \(line 2\)"),
    "not a mapping": ("- one\n- two\n", "is not a mapping"),
    "missing file": ("/nowhere/config", "The kubeconfig /nowhere/config cannot be read: No such file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(mistake: str) -> None:
    content, message = MISTAKES[mistake]
    with pytest.raises(ProviderError, match=message) as error:
        access(content)
    assert "s3cret" not in str(error.value)


def test_data_which_is_no_base64_is_named_but_not_repeated() -> None:
    assert decode(base64.b64encode(b"PEM").decode(), "client-key-data") == "PEM"
    with pytest.raises(ProviderError, match="`client-key-data` of the kubeconfig is not base64") as error:
        decode("s3cret!", "client-key-data")
    assert "s3cret" not in str(error.value)
