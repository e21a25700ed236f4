"""The foundations which exist once per site and which every application shares (PLAT-07)."""
