"""The plugin of this project's own resources: the package ``factory``. Here is how it meets the engine.

What it does lies in :mod:`components.host`. ``Pulumi.yaml`` names this folder, so that any ``pulumi`` finds the
executable ``pulumi-resource-factory`` in it; nothing is installed.
"""
