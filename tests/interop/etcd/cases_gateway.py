"""Cases of gateway."""
