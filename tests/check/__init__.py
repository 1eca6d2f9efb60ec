"""The checker against servers that are broken on purpose."""
