"""Local plugin for the package ``pulumi_postgresql``: roles, databases, schemas, functions and privileges."""
