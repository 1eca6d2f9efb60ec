"""What a check is told: options, the tables of a pyproject.toml, and what to ignore."""
