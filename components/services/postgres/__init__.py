"""PostgreSQL: the pooler role and the maintenance database (PG-14, PG-31, PG-34)."""
