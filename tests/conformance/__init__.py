"""The Autobahn cases against the adapter.

``python -m tests.conformance`` runs all of them on every engine and parser, and through Envoy over HTTP/2, and prints a
table; the tests run a selection of every category.
"""
