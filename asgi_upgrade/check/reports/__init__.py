"""How a check is told: one renderer a format, one place for the words."""
