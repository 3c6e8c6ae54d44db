"""Cases of tls."""
