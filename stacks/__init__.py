"""Which components an environment has: its typed settings, its providers and the one composition."""
