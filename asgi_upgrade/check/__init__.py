"""The checker: probes a live server through raw sockets, and judges what comes back by the rules of the catalogue.

``exchange`` is octets out and in, ``probes`` what is sent and what passes, ``target`` what is probed, ``runner`` runs
one against the other; what they come to are the values in ``result``, which the reports read.
"""
