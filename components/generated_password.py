"""A random password which stays the same until it is asked to change.

The class of the provider is a public name: it stands in people's state as ``<package>.generated_password``.
"""

import secrets
import string
from typing import Any, Final

import pulumi
from pulumi import dynamic

from .scram import SALT_BYTES, scram_verifier

__all__ = [
    "SPECIAL_CHARACTERS",
    "GeneratedPassword",
    "GeneratedPasswordProvider",
    "generate",
]

SPECIAL_CHARACTERS: Final = "-:!+<>"
"""The special characters a password may hold (PG-10)."""


def generate(length: int, special: str = SPECIAL_CHARACTERS) -> str:
    """Draw ``length`` characters: letters, digits and ``special``, at least one of each kind (PG-10)."""
    kinds = [kind for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits, special) if kind]
    if length < len(kinds):
        message = f"a password of {length} characters cannot hold one of each of {len(kinds)} kinds: make it longer"
        raise ValueError(message)
    alphabet = "".join(kinds)
    drawn = [secrets.choice(kind) for kind in kinds] + [secrets.choice(alphabet) for _ in range(length - len(kinds))]
    secrets.SystemRandom().shuffle(drawn)
    return "".join(drawn)


class GeneratedPasswordProvider(dynamic.ResourceProvider):
    """Draws once, then keeps; a change of an input draws again."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Draw a password."""
        value = generate(int(props["length"]), props["special"])
        outputs = {
            **props,
            "value": value,
            "verifier": scram_verifier(value, secrets.token_bytes(SALT_BYTES)),
        }
        return dynamic.CreateResult(id_=secrets.token_hex(8), outs=outputs)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Replace the password when its length, alphabet or generation changes."""
        replaces = [key for key in ("length", "special", "generation") if olds.get(key) != news.get(key)]
        return dynamic.DiffResult(changes=bool(replaces), replaces=replaces, delete_before_replace=False)


class GeneratedPassword(dynamic.Resource, module="factory", name="GeneratedPassword"):
    """A password in the state, encrypted, and nowhere else."""

    value: pulumi.Output[str]
    """The password."""
    verifier: pulumi.Output[str]
    """Its SCRAM-SHA-256 verifier, for statements of PostgreSQL."""

    def __init__(
        self,
        name: str,
        *,
        length: int = 24,
        special: str = SPECIAL_CHARACTERS,
        generation: int = 1,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a password of ``length`` characters; raise ``generation`` to rotate it."""
        generate(length, special)  # refuses what could not be drawn, before anything is registered
        super().__init__(
            GeneratedPasswordProvider(),
            name,
            {"length": length, "special": special, "generation": generation, "value": None, "verifier": None},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["value", "verifier"])),
        )
