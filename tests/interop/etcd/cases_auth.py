"""Cases of auth."""
