"""Cases of python."""
