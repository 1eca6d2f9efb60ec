"""Clients, servers, frameworks, proxies and deployments that nobody here wrote.

``python -m tests.world`` runs them all and prints what was done with each; with ``--write`` the tables of its page
are made anew. They need ``pip install -e '.[dev,world]'``; a program that is not there is skipped with a reason.
"""
