"""The fixtures of the tests over real sockets."""

from tests.support.fixtures import app, client, parser, serving

__all__ = ["app", "client", "parser", "serving"]
