"""Applications to try and to learn from."""
