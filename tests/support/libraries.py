"""The libraries that compress, as a parameter of a test."""

from __future__ import annotations

import pytest

from asgi_upgrade.websocket.deflate import libraries

each_library = pytest.mark.parametrize("library", [pytest.param(library, id=library.name) for library in libraries()])
"""Everything that is installed, so that the same is asked of each; on the other side stands zlib."""
