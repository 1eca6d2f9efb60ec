"""Looking for what nobody thought of: streams of frames, and whole connections, from a seeded generator.

``python -m tests.fuzz --seconds N --seed S`` runs against a real server; the tests run some seconds of it.
"""
