"""Storage with Longhorn. Importing this package imports nothing else: `recovery` in it works without Pulumi."""
