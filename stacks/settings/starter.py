"""The commented stack file that `./factory init NAME` writes: complete, and refused until its blanks are filled in."""

from __future__ import annotations

import re

from .problems import Problem, SettingsError

__all__ = ["BLANK", "starter"]

BLANK = "FILL-IN"
"""Marks a value that only the operator knows. It is valid nowhere: `config validate` lists every one that is left."""

_STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")

_TEMPLATE = """\
# Stack {name}. Replace every {blank}: `./factory config validate Pulumi.{name}.yaml` lists those that are left.
# The same command then says which secrets to set, and how. Keys: docs/configuration.md.
# A section that you remove builds nothing and needs no credential: begin with what you have.

config:
  # Every provider is explicit: none may take an address from the environment (POL-33).
  pulumi:disable-default-providers: ["*"]

  # What this stack is: prod. All behaviour keys on it. (A sandbox is described in Pulumi.sandbox.yaml.)
  factory:environment: prod

  # What marks production. Every sandbox in this directory is kept away from these values.
  factory:fingerprints:
    # Addresses or networks of the machines.
    ips: [{blank}]
    # Host names of the services: forge, Vault, database server.
    hosts: [{blank}]
    # Public DNS zones, with all names below.
    zones: [{blank}]
    # Owners of the repositories on the forge.
    organizations: [{blank}]

  # The cluster: a kubeconfig file and the one context of it to use.
  factory:kubernetes:
    kubeconfig: ~/.kube/config
    context: {blank}

  # Vault, as this program reaches it. Its token is the secret `credentials.vault_token`.
  factory:vault:
    address: {blank}
    # ca_cert_file: path of the PEM file of your own authority

  # PostgreSQL, as this program reaches it. Its password is the secret `credentials.postgres_password`.
  factory:postgres:
    host: {blank}
    # A superuser: the pooler's look-up of password verifiers runs as the role that makes it.
    username: {blank}
    # sslrootcert: path of the PEM file of your own authority

  # What all applications share.
  factory:platform:
    # Owner of the repositories on the forge.
    organization: {blank}
    forge_url: {blank}
    registry: {blank}
    storage_class: {blank}
    # Vault, as pods reach it.
    vault:
      address: {blank}
    # PostgreSQL as Vault reaches it, and the pooler, the only way from an application to its database.
    postgres:
      host: {blank}
      pooler:
        host: {blank}
        # The namespace of the pooler's pods, or `cidr` for a pooler outside the cluster.
        namespace: {blank}
    # Ways to serve an application. This one is for people inside the network.
    exposure:
      internal:
        domain: {blank}
        entry_point: websecure
        # Traefik middlewares as name@provider: what guards these hosts.
        middlewares: [{blank}]
        tls: true
        # Traefik's certificate resolver; or `issuer`, a cert-manager StepClusterIssuer.
        certificate_resolver: {blank}

  # Vault's mounts and logins. Remove it if they exist already.
  factory:vault_foundation:
    # Pods log in with their ServiceAccount: the API server as Vault reaches it.
    kubernetes:
      host: {blank}

  # The applications, each under its one name (lower-case, digits, single hyphens).
  factory:apps:
    webapp:
      # argocd: the repository's chart is deployed by ArgoCD. pulumi: this program writes the workload itself.
      delivery: argocd
      exposure: [internal]
      vault:
        # Keys of the secret `webapp/config`; each then needs a value below `factory:secrets`.
        config_keys: []
      workload:
        port: 8080
"""


def starter(name: str) -> str:
    """Write the stack file of a new production stack. Raises SettingsError for a name the engine would not take."""
    if not _STACK_NAME.fullmatch(name):
        rule = "a stack's name is letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 100"
        raise SettingsError([Problem("", "NAME", rule, "Choose another name", value=repr(name))])
    return _TEMPLATE.format(name=name, blank=BLANK)
