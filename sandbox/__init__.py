"""The embedded sandbox: real backends on loopback, run by one supervisor, and nothing of production in reach.

`supervisor.Sandbox(state_dir).start(report)` returns the `Endpoints` of PostgreSQL, pgbouncer, Vault, Kubernetes and a
host.
"""
