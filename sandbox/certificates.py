"""The sandbox's own authorities and keys: made once, kept with the data, so that a plan never sees them change."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.errors import SandboxError
from sandbox.files import make_directory, write_private

VALIDITY = dt.timedelta(days=3650)
# Tolerates a clock that was wrong when the keys were made.
BACKDATED = dt.timedelta(days=1)


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its key, as PEM files of mode 0600."""

    certificate: Path
    key: Path

    def exists(self) -> bool:
        """Tell whether both files are there."""
        return self.certificate.exists() and self.key.exists()

    def save(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """Write both files; the certificate last, because it is what is looked for."""
        write_private(self.key, private_pem(key))
        write_private(self.certificate, certificate.public_bytes(serialization.Encoding.PEM))


class Authority:
    """A certificate authority in a directory of its own; each backend that needs one has its own."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = make_directory(directory)
        self.files = KeyPair(directory / "ca.crt", directory / "ca.key")
        if not self.files.exists():
            self.files.save(*_self_signed(name))
        try:
            self._certificate = x509.load_pem_x509_certificate(self.files.certificate.read_bytes())
            key = serialization.load_pem_private_key(self.files.key.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise SandboxError(f"{directory}: the authority's files are damaged; ./factory sandbox reset") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SandboxError(f"{self.files.key} is not an elliptic-curve key; ./factory sandbox reset")
        self._key = key

    @property
    def pem(self) -> str:
        """The authority's certificate."""
        return self.files.certificate.read_text()

    def issue(self, file_name: str, common_name: str, *, organization: str = "", hosts: Sequence[str] = ()) -> KeyPair:
        """Return the key pair of that file name, making it the first time.

        With `hosts` (names and addresses) it is for a server, which may also act as a client; without, for a client.
        """
        pair = KeyPair(self.directory / f"{file_name}.crt", self.directory / f"{file_name}.key")
        if pair.exists():
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        builder = (
            _builder(x509.Name(subject), self._certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        pair.save(builder.sign(self._key, hashes.SHA256()), key)
        return pair


def signing_key(directory: Path, name: str) -> KeyPair:
    """Return a bare key (`.key`, and its public half in place of a certificate, `.pub`), made the first time."""
    pair = KeyPair(directory / f"{name}.pub", directory / f"{name}.key")
    if not pair.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(pair.key, private_pem(key))
        write_private(
            pair.certificate,
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        )
    return pair


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Encode a key in the form that every backend reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _self_signed(name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _builder(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
