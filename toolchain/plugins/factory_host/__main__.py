"""The plugin's process."""

from toolchain.plugins.kit import serve

from .provider import FactoryProvider

serve(FactoryProvider())
