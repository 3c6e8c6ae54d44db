"""Cases of maintenance."""
