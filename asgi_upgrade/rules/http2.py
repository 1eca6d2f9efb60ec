"""The rules on WebSocket over HTTP/2 (RFC 8441) that only a connection can show; the checker observes them.

Those that a middleware or the adapter decides stand where a request meets them: ``h2-malformed``,
``h2-unknown-protocol``, ``h2-end-stream``, and in ``response`` what an answer may not hold.
"""

from asgi_upgrade.rules.rule import ANSWERER, ANYONE, SERVER, WIRE_ONLY, rule

# fmt: off
# A row is: id, reaction, level, who can enforce it, reference; title; why; fix.
HTTP2 = (
    rule(
        "h2-setting", "observe", "must", SERVER, "RFC 8441 section 3",
        "SETTINGS_ENABLE_CONNECT_PROTOCOL is 0 or 1, and never 0 behind 1",
        "Any other value is an error that ends the connection, and pages with it.",
        "Send 1 to offer WebSocket over HTTP/2, or leave the setting out.",
    ),
    rule(
        "h2-ws-success", "observe", "must", WIRE_ONLY, "RFC 8441 section 5.1",
        "Extended CONNECT that is offered is served",
        "Browsers open a WebSocket over the HTTP/2 connection of its page once a server offers that; where it is not "
        "served none of them can, although the same handshake is accepted over HTTP/1.1.",
        "Serve the handshake over HTTP/2 too, or do not send SETTINGS_ENABLE_CONNECT_PROTOCOL.",
    ),
    rule(
        "h2-unexpected-switch", "observe", "policy", ANSWERER, "RFC 8441 section 5.1",
        "A WebSocket over HTTP/2 on a path that is HTTP only",
        "To a browser any 2xx to an extended CONNECT is an open WebSocket, whatever the application meant by it.",
        "Answer CONNECT with 501 or another error there, or name the path with --ws-path.",
    ),
    rule(
        "h2-no-key", "observe", "should", ANYONE, "RFC 8441 section 5",
        "Sec-WebSocket-Key is not asked for over HTTP/2, and Accept not sent unasked",
        "The pseudo-fields do what the key did; whoever demands one accepts no WebSocket over HTTP/2.",
        "Ask for no key, and answer with Sec-WebSocket-Accept only where one came.",
    ),
    rule(
        "h2-ws-version-fail", "observe", "must", ANYONE, "RFC 8441 section 5",
        "Sec-WebSocket-Version is compared over HTTP/2 too",
        "Both sides would go on in different protocols.",
        "Reject any version but 13 with an error status and Sec-WebSocket-Version: 13.",
    ),
    rule(
        "ws-426-h2", "observe", "should", ANYONE, "RFC 9110 section 15.5.22",
        "No 426 over HTTP/2",
        "A 426 must carry Upgrade, which HTTP/2 has not.",
        "Answer 400.",
    ),
    rule(
        "h2-protocol-pseudo", "observe", "must", WIRE_ONLY, "RFC 8441 section 4",
        "The pseudo-fields of an extended CONNECT are complete, and nowhere else",
        "Hops that read such a request differently see a tunnel, a WebSocket or a page.",
        "Reset the stream with PROTOCOL_ERROR, or answer 400.",
    ),
    rule(
        "h2-ws-host", "observe", "should", WIRE_ONLY, "RFC 9113 section 8.3.1",
        "A Host field that is not :authority",
        "Whoever routes by one of the two, and checks the other, can be led past the check.",
        "Reset the stream with PROTOCOL_ERROR, or answer 400.",
    ),
    rule(
        "h2-data-split", "observe", "must", WIRE_ONLY, "RFC 8441 section 5",
        "WebSocket frames in however many DATA frames",
        "DATA carries a stream of octets; proxies cut it anywhere.",
        "Feed the octets to the WebSocket as they come, whatever the borders of DATA.",
    ),
    rule(
        "h2-flow-control", "observe", "must", WIRE_ONLY, "RFC 9113 section 5.2",
        "A stream with a window of a few octets",
        "What exceeds the window ends the connection; what is not sent on when there is credit again is lost.",
        "Send what the window allows, and the rest when WINDOW_UPDATE comes.",
    ),
    rule(
        "fr-client-mask", "observe", "must", ANYONE, "RFC 6455 section 5.1",
        "An unmasked frame closes the WebSocket",
        "Masking keeps what a page sends from being read as something else on the way, over HTTP/2 too.",
        "Close with 1002.",
    ),
    rule(
        "h2-close-map", "observe", "must", WIRE_ONLY, "RFC 8441 section 5",
        "The close of the WebSocket ends the stream",
        "A stream that stays open counts against those the client may have, and holds what the application holds.",
        "Send END_STREAM behind the close frame, and when the client has ended its half.",
    ),
    rule(
        "h2-streams-beside", "observe", "must", WIRE_ONLY, "RFC 9113 section 5",
        "Two WebSockets and a request on one connection",
        "A browser has the pages and the WebSockets of a service on one connection.",
        "Keep what belongs to a stream with that stream, and let none wait for another.",
    ),
    rule(
        "h2-connection-usable", "observe", "must", WIRE_ONLY, "RFC 9113 section 5.4.2",
        "What ends one stream leaves the connection usable",
        "Everything else that the browser has open on it would break.",
        "Answer, end or reset the stream, and go on serving the connection.",
    ),
)
