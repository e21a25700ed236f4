"""Start the plugin: `python -m toolchain.plugins.kubernetes`."""

from toolchain.plugins.kit.process import serve

from .provider import KubernetesProvider

serve(KubernetesProvider())
