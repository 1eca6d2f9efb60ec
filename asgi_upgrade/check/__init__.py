"""The checker: probes a live server through raw sockets, and judges what comes back by the rules of the catalogue.

- octets: ``exchange`` and ``http2`` out and in; ``request``, ``response`` and ``frames`` say what they mean
- probes: ``catalogue`` lists those of the ``probes_*`` modules; ``probe`` says what one is, ``wire`` is what it is
  given, and ``judge`` and ``origins`` are what several of them share
- what is probed: ``target``; ``serving``, ``serving_process``, ``routes`` and ``standing`` for an application that has
  to be served
- a run: ``options`` and ``settings`` go in; ``runner`` goes from target to target, ``session`` through one
- what it comes to: ``result``, on which ``ignores``, ``own_rules`` and ``location`` have their say
- who is told: ``report`` names the ``report_*`` renderers, which share ``view`` and ``wording``; ``outlet`` writes
  files, ``assertion`` is for tests
- apart from all that: ``doctor``, on what an installation can enforce
"""
