"""The rules on what an application sends."""

from asgi_upgrade.rules.rule import ON_RESPONSE, rule

# fmt: off
# A row is: id, reaction (or strict and lenient reaction), level, who can enforce it, reference; title; why; fix.
RESPONSE = (
    rule(
        "ws-subprotocol-offered", ("raise", "repair"), "must", ON_RESPONSE, "RFC 6455 section 4.2.2",
        "Accepted a subprotocol that was not offered",
        "The client must fail the connection.",
        "Accept one of scope['subprotocols'], or none.",
    ),
    rule(
        "asgi-accept-owned", ("raise", "repair"), "must", ON_RESPONSE, "RFC 6455 section 11.3.3",
        "Handshake field in websocket.accept",
        "The server writes these fields itself; a second copy breaks the 101.",
        "Remove the field; choose a subprotocol with the subprotocol key.",
    ),
    rule(
        "asgi-accept-headers", ("raise", "repair"), "must", ON_RESPONSE, "RFC 9110 section 5.5",
        "Invalid field in websocket.accept",
        "CR or LF in a field starts a field, or a frame, of someone else's making.",
        "Send token names and values without control octets; no pseudo-header.",
    ),
    rule(
        "handler-fields", ("raise", "repair"), "must", ON_RESPONSE, "RFC 9110 section 7.8",
        "Field that the handler of another protocol may not send",
        "The 101 names exactly one protocol and has no content; CR or LF in a field starts a field of its own.",
        "Leave out what the server writes (Upgrade, Connection, framing); send tokens, no control octets in values.",
    ),
    rule(
        "asgi-no-101", "raise", "must", ON_RESPONSE, "RFC 9110 section 15.2.2",
        "101 from an application that cannot switch",
        "The client would speak the new protocol to an HTTP parser.",
        "Switch through the http.upgrade extension only.",
    ),
    rule(
        "101-not-h2-h3", "raise", "must", ON_RESPONSE, "RFC 9113 section 8.6",
        "101 in HTTP/2 or HTTP/3",
        "These versions removed the status.",
        "Accept extended CONNECT with 200.",
    ),
    rule(
        "426-upgrade", "repair", "must", ON_RESPONSE, "RFC 9110 section 15.5.22",
        "426 without Upgrade",
        "The client must learn what to upgrade to.",
        "Send Upgrade: websocket and Connection: Upgrade with a 426.",
    ),
    rule(
        "upgrade-needs-connection-option", "repair", "must", ON_RESPONSE, "RFC 9110 section 7.8",
        "Upgrade in a response without its connection option",
        "The next hop would forward the field as if it were meant for everyone.",
        "Send Connection: Upgrade beside Upgrade.",
    ),
    rule(
        "h2-no-connection-fields", "repair", "must", ON_RESPONSE, "RFC 9113 section 8.2.2",
        "Upgrade or Connection in an HTTP/2 or HTTP/3 response",
        "The message is malformed and the client resets the stream.",
        "Leave both fields out.",
    ),
)
