"""The embedded sandbox: real backends on loopback, run by one supervisor, and nothing of production in reach.

`Sandbox(state_dir).start(report)` returns the `Endpoints` of PostgreSQL, pgbouncer, Vault and Kubernetes.
"""
