"""The sandbox's authorities: made once, private, and each certificate good for its purpose only."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from sandbox.certificates import Authority, signing_key
from sandbox.errors import SandboxError


def usages(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    first, again = (Authority(tmp_path / "pki", "authority") for _ in range(2))
    assert first.pem == again.pem
    pair = first.issue("server", "vault", hosts=["127.0.0.1"])
    content = pair.certificate.read_bytes()
    assert again.issue("server", "vault", hosts=["127.0.0.1"]).certificate.read_bytes() == content
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "pki").iterdir()} == {"0o600"}


def test_a_server_certificate_names_its_hosts_and_is_signed_by_the_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki", "authority")
    pair = authority.issue("server", "vault", hosts=["127.0.0.1", "localhost"])
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pem.encode()))
    assert ExtendedKeyUsageOID.SERVER_AUTH in usages(certificate)
    assert certificate.not_valid_after_utc - dt.datetime.now(dt.UTC) > dt.timedelta(days=3600)


def test_a_client_certificate_cannot_serve(tmp_path: Path) -> None:
    pair = Authority(tmp_path / "pki", "authority").issue("admin", "factory-admin", organization="system:masters")
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    assert usages(certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert certificate.subject.rfc4514_string() == "CN=factory-admin,O=system:masters"


def test_two_authorities_do_not_trust_each_other(tmp_path: Path) -> None:
    one, other = Authority(tmp_path / "one", "one"), Authority(tmp_path / "other", "other")
    certificate = x509.load_pem_x509_certificate(one.issue("x", "x").certificate.read_bytes())
    with pytest.raises(ValueError, match="Issuer"):
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(other.pem.encode()))


def test_damaged_files_say_what_to_do(tmp_path: Path) -> None:
    Authority(tmp_path / "pki", "authority")
    (tmp_path / "pki" / "ca.key").write_text("")
    with pytest.raises(SandboxError, match="sandbox reset"):
        Authority(tmp_path / "pki", "authority")


def test_the_keys_of_tokens_stay_the_same(tmp_path: Path) -> None:
    content = signing_key(tmp_path, "tokens").key.read_bytes()
    assert signing_key(tmp_path, "tokens").key.read_bytes() == content
    assert b"PUBLIC KEY" in (tmp_path / "tokens.pub").read_bytes()
