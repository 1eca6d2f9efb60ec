"""The negotiation of permessage-deflate, as the little server of these tests does it; nothing is ever compressed."""

from __future__ import annotations

from tests.support.broken.head import Head

BITS = {b"%d" % bits for bits in range(8, 16)}


def negotiate(head: Head) -> bytes | None:
    """Return the answer to the first acceptable offer."""
    for offer in head.members(b"sec-websocket-extensions"):
        name, *parameters = (part.strip() for part in offer.split(b";"))
        answer = _accept(parameters, head.fault) if name == b"permessage-deflate" else None
        if answer is not None:
            return b"; ".join([name, *answer])
    return None


def _accept(parameters: list[bytes], fault: str) -> list[bytes] | None:
    answer = [b"client_max_window_bits=15"] if fault == "pmd-cmwb-response" else []
    seen = set()
    for name, equals, value in (parameter.partition(b"=") for parameter in parameters):
        known = name in (b"server_max_window_bits", b"client_max_window_bits", b"server_no_context_takeover")
        if not known and fault != "pmd-unknown-param":
            return None
        if name in seen and fault != "pmd-dup-param":
            return None
        seen.add(name)
        if name != b"server_max_window_bits":
            continue
        if value not in BITS and fault != "pmd-bad-value":
            return None
        if fault != "pmd-smwb-accept":
            answer.append(name + equals + value)
    return answer
