"""One probe's side of the wire."""


class Wire:
    """What a probe speaks through."""
