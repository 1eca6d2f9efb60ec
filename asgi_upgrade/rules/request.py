"""The rules on the framing of a request with Upgrade, and on what Upgrade and Connection say."""

from asgi_upgrade.rules.rule import ON_REQUEST, WIRE_ONLY, rule

# fmt: off
# A row is: id, reaction (or strict and lenient reaction), level, who can enforce it, reference; title; why; fix.
FRAMING = (
    rule(
        "upgrade-head-size", 431, "policy", ON_REQUEST, "RFC 6585 section 5",
        "Head of an upgrade request too large",
        "A head without bounds costs memory before anyone has been authenticated.",
        "Send fewer or shorter fields, or raise max_head_size.",
        closes=True,
    ),
    rule(
        "field-crlf-nul", 400, "must", ON_REQUEST, "RFC 9110 section 5.5",
        "Control octet in a field value",
        "CR, LF and NUL in a value end up as extra fields or cut-off text wherever the value is copied.",
        "Send visible characters, SP and HTAB only.",
        closes=True,
    ),
    rule(
        "content-length-invalid", 400, "must", ON_REQUEST, "RFC 9112 section 6.3",
        "Content-Length is not a length",
        "Two readers that disagree on the length disagree on where the next request begins.",
        "Send one Content-Length of decimal digits.",
        closes=True,
    ),
    rule(
        "cl-and-te", 400, "must", ON_REQUEST, "RFC 9112 section 6.1",
        "Content-Length and Transfer-Encoding together",
        "Whoever believes the other field finds another request in the content; such a connection must not go on.",
        "Send one of the two.",
        closes=True,
    ),
    rule(
        "te-not-final-chunked", 400, "must", ON_REQUEST, "RFC 9112 section 6.3",
        "Transfer-Encoding does not end with chunked",
        "The end of such a request cannot be found.",
        "Send chunked as the last, or only, transfer coding.",
        closes=True,
    ),
    rule(
        "list-dos-cap", 400, "info", ON_REQUEST, "RFC 9110 section 5.6.1.2",
        "More than 32 empty list members",
        "Empty members cost time and mean nothing.",
        "Do not send empty list members.",
    ),
)

UPGRADE = (
    rule(
        "h2-malformed", (400, "ignore"), "must", ON_REQUEST, "RFC 9113 section 8.2.2",
        "Upgrade field in an HTTP/2 or HTTP/3 request",
        "These versions have no such field; it came through a hop that translates carelessly.",
        "Use extended CONNECT (RFC 8441, RFC 9220) for WebSocket.",
    ),
    rule(
        "http-major-unknown", 505, "should", WIRE_ONLY, "RFC 9110 section 15.6.6",
        "Upgrade in a message of an unknown HTTP version",
        "What the fields of another major version mean is not known.",
        "Send HTTP/1.1.",
        closes=True,
    ),
    rule(
        "http-minor-higher", "accept", "info", WIRE_ONLY, "RFC 9110 section 6.2",
        "HTTP/1.2 and above are handled as HTTP/1.1",
        "A higher minor version is compatible by definition.",
        "Nothing.",
    ),
    rule(
        "upgrade-http10-ignore", "ignore", "must", WIRE_ONLY, "RFC 9110 section 7.8",
        "Upgrade in an HTTP/1.0 request",
        "An HTTP/1.0 hop in between forwards Upgrade blindly, so the switch would meet a peer that never asked.",
        "Send HTTP/1.1.",
    ),
    rule(
        "upgrade-stripped", "accept", "info", ON_REQUEST, "RFC 9110 section 7.6.1",
        "WebSocket handshake whose Upgrade did not arrive",
        "A proxy removes Upgrade, or speaks HTTP/1.0, unless it is told otherwise; the client gets a plain response.",
        "Have the proxy pass Upgrade on (nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        'proxy_set_header Connection "upgrade";).',
    ),
    rule(
        "upgrade-empty", "ignore", "must", ON_REQUEST, "RFC 9110 section 7.8",
        "Upgrade without a member",
        "It asks for nothing.",
        "Name a protocol or leave the field out.",
    ),
    rule(
        "upgrade-malformed", (400, "accept"), "info", ON_REQUEST, "RFC 9110 section 7.8",
        "Malformed member in Upgrade",
        "Servers guess differently what a broken protocol name means.",
        "Send name or name/version, both tokens, without white space around the slash.",
    ),
    rule(
        "connection-grammar", (400, "accept"), "info", ON_REQUEST, "RFC 9110 section 7.6.1",
        "Malformed member in Connection",
        "Hops that read the field differently remove different fields.",
        "Send a comma-separated list of tokens.",
    ),
    rule(
        "connection-no-e2e", (400, "accept"), "info", ON_REQUEST, "RFC 9110 section 7.6.1",
        "Connection names an end-to-end field",
        "A conforming hop deletes the named fields, so that the two ends see different handshakes.",
        "Name only hop-by-hop fields in Connection.",
    ),
    rule(
        "upgrade-without-connection", (400, "ignore"), "must", ON_REQUEST, "RFC 9110 section 7.8",
        "Upgrade without the upgrade connection option",
        "The field was probably forwarded by mistake; the client on this connection may not have asked.",
        "Send Connection: Upgrade. Behind a proxy, make the proxy send it.",
    ),
    rule(
        "connect-with-upgrade", 501, "must", WIRE_ONLY, "RFC 9110 section 9.3.6",
        "CONNECT with Upgrade",
        "CONNECT is a transition of its own; together they mean nothing.",
        "Send one of the two.",
        closes=True,
    ),
    rule(
        "h2-unknown-protocol", 501, "should", WIRE_ONLY, "RFC 9220 section 3",
        "Extended CONNECT for a protocol that is not spoken here",
        "A 2xx would say that the protocol was switched to; to a browser it is an open WebSocket.",
        "Ask for a protocol that is served here.",
    ),
    rule(
        "h2-end-stream", 400, "should", WIRE_ONLY, "RFC 8441 section 5",
        "Extended CONNECT whose stream its client has ended",
        "The stream is the connection, so it would be half-closed before it is open.",
        "Leave the stream open behind the request.",
    ),
    rule(
        "h2c-obsolete", (400, "ignore"), "policy", ON_REQUEST, "RFC 9113 section 3.1",
        "Upgrade to HTTP/2 over cleartext (h2c)",
        "The mechanism is retired, and forwarding it is a known way around a proxy's rules.",
        "Send the request without Upgrade: h2c. A policy with h2c set to ignore serves such clients over HTTP/1.1.",
        reported=True,
    ),
    rule(
        "upgrade-unknown-token", "ignore", "must", ON_REQUEST, "RFC 9110 section 7.8",
        "Upgrade to a protocol that is not spoken here",
        "A server may ignore what it does not support, and must not switch to it.",
        "Offer websocket.",
        reported=True,
    ),
    rule(
        "upgrade-not-here", "ignore", "policy", ON_REQUEST, "RFC 9110 section 7.8",
        "Upgrade on a path whose route is None",
        "A path that needs no upgrade is safer without.",
        "Ask on a path that serves upgrades, or give the path a policy in routes.",
    ),
    rule(
        "upgrade-body", 413, "policy", ON_REQUEST, "RFC 9110 section 15.5.14",
        "Content of a request to another protocol's handler too large",
        "A handler gets the content as a whole, so without bounds it costs memory before the switch.",
        "Send less with the request, or raise max_body_size.",
    ),
    rule(
        "upgrade-content-timeout", 408, "policy", ON_REQUEST, "RFC 9110 section 15.5.9",
        "Content of a request with Upgrade that does not come in time",
        "The switch comes after the request, so a client that holds its content back holds a connection for nothing.",
        "Send the content at once, or raise open_timeout.",
    ),
)
