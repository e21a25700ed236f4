"""The authority of the local name in Vault instead of on the device: its key is made there and never leaves it."""

from typing import Final

import pulumi
import pulumi_vault as vault

from ..options import child_options
from .args_edge import LocalCaArgs

__all__ = ["VaultAuthority"]

_DAY: Final = 24 * 60 * 60


class VaultAuthority(pulumi.ComponentResource):
    """A PKI mount with an authority that can only certify the local domain, and the gateway's certificate (CM5-183)."""

    certificate: pulumi.Output[str]
    """The authority's certificate in PEM, for the clients."""
    site: pulumi.Output[str]
    """The gateway's key and certificate in PEM; a secret."""

    def __init__(
        self,
        name: str,
        args: LocalCaArgs,
        *,
        product: str,
        host: str,
        protect: bool | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make an authority for the domain of ``host``, and a certificate for ``host`` that `up` renews in time."""
        super().__init__("factory:cm5:VaultAuthority", name, None, opts)
        domain = host.partition(".")[2]
        mount = vault.Mount(
            f"{name}.mount",
            path=f"pki-{product}",
            type="pki",
            description=f"Authority for {domain}",
            max_lease_ttl_seconds=args.authority_days * _DAY,
            opts=child_options(self, opts, protect=protect),
        )
        root = vault.pkisecret.SecretBackendRootCert(
            f"{name}.root",
            backend=mount.path,
            type="internal",
            common_name=args.name,
            exclude_cn_from_sans=True,
            key_type="ec",
            key_bits=256,
            max_path_length=0,
            permitted_dns_domains=[domain],
            ttl=str(args.authority_days * _DAY),
            opts=child_options(self, opts, protect=protect),
        )
        role = vault.pkisecret.SecretBackendRole(
            f"{name}.role",
            backend=mount.path,
            name=product,
            allowed_domains=[host],
            allow_bare_domains=True,
            allow_subdomains=False,
            allow_localhost=False,
            allow_ip_sans=False,
            key_type="ec",
            key_bits=256,
            key_usages=["DigitalSignature"],
            server_flag=True,
            client_flag=False,
            max_ttl=str(args.certificate_days * _DAY),
            opts=child_options(self, opts),
        )
        leaf = vault.pkisecret.SecretBackendCert(
            f"{name}.certificate",
            backend=mount.path,
            name=role.name,
            common_name=host,
            ttl=str(args.certificate_days * _DAY),
            auto_renew=True,
            min_seconds_remaining=args.renew_before_days * _DAY,
            # The role names no issuer: it is the mount's default one, which is the root.
            opts=child_options(self, opts, after=[root]),
        )
        self.certificate = root.certificate.apply(_lines)
        both = pulumi.Output.all(leaf.private_key, leaf.certificate)
        self.site = pulumi.Output.secret(both.apply(lambda pair: "".join(map(_lines, pair))))
        self.register_outputs({"certificate": self.certificate})


def _lines(pem: str) -> str:
    return f"{pem.strip()}\n"
