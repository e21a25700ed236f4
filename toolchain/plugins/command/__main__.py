"""Entry: ``python -m toolchain.plugins.command ENGINE_ADDRESS``."""

from toolchain.plugins.kit import serve

from .provider import CommandProvider

serve(CommandProvider())
