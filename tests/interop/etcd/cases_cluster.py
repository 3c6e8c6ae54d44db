"""Cases of cluster."""
