"""The libraries that compress, as a parameter of a test."""

from __future__ import annotations

import pytest

from asgi_upgrade.websocket.deflate import libraries

each_library = pytest.mark.parametrize("library", [pytest.param(library, id=library.name) for library in libraries()])
each_inflater = pytest.mark.parametrize(
    "library",
    [pytest.param(library, id=library.name) for library in libraries() if library.inflates is library.compresses],
)
"""As ``each_library``, for a test that inflates only: without those that leave it to another."""
