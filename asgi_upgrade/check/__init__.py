"""The checker: probes a live server through raw sockets, and judges what comes back by the rules of the catalogue.

The way of a run, each station once:

1. ``config/``: options of the command line and tables of the project's pyproject.toml, validated.
2. ``run.check``: goes from target to target; ``session.Session`` through one.
3. ``targets/``: a URL, or an application that is served first; its paths, and its place in the source.
4. ``plan.plan``: every probe on every path that it concerns, or why there is nothing to do.
5. ``probes/``: the tables of probes; each changes an accepted handshake in one thing, and judges the answer.
6. ``wire/``: the octets of requests out and of answers in, over HTTP/1.1 and HTTP/2, with secrets taken out.
7. ``result``: plain values; ``config/ignores`` marks those that the project lives with.
8. ``reports/``: every format is a function from the report to text; ``outlet`` writes them.

``assertion`` is for tests, ``doctor`` says what an installation can enforce without probing anything.
"""
