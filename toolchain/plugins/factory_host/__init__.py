"""The plugin of this project's own resources: the package ``factory-host``. Here is how it meets the engine.

What it does lies in :mod:`components.host`. ``Pulumi.yaml`` names this folder, so that any ``pulumi`` finds the
executable ``pulumi-resource-factory-host`` in it; nothing is installed.
"""
