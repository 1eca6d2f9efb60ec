"""The rules on the WebSocket opening handshake, in the order in which it is judged."""

from asgi_upgrade.rule import ON_REQUEST, WIRE_ONLY, rule

# fmt: off
# A row is: id, reaction (or strict and lenient reaction), level, who can enforce it, reference; title; why; fix.
WEBSOCKET = (
    rule(
        "ws-upgrade-token", 400, "must", ON_REQUEST, "RFC 6455 section 4.2.1",
        "WebSocket handshake without websocket in Upgrade",
        "The server took a request for a WebSocket handshake that asked for something else.",
        "Send Upgrade: websocket.",
    ),
    rule(
        "ws-method-get", (405, "ignore"), "must", WIRE_ONLY, "RFC 6455 section 4.2.1",
        "WebSocket handshake that is not a GET",
        "WebSocket cannot honour what another method asks for.",
        "Send GET.",
    ),
    rule(
        "ws-body", (400, "accept"), "should", ON_REQUEST, "RFC 9931 section 7.1",
        "WebSocket handshake with content",
        "Content that one side takes for frames is a way to smuggle; a handshake has none.",
        "Send no content with the handshake.",
    ),
    rule(
        "target-invalid", 400, "should", ON_REQUEST, "RFC 9112 section 3.2",
        "Request target neither a path nor an absolute URI",
        "It names no resource here.",
        "Send the path and query of the WebSocket URI as the target.",
    ),
    rule(
        "ws-target", (400, "accept"), "must", WIRE_ONLY, "RFC 6455 section 4.1",
        "Request target with a scheme other than http or https",
        "In absolute form the target is an http or https URI; hops route others differently.",
        "Send the path and query, or the http or https form of the URI.",
    ),
    rule(
        "ws-no-fragment", 400, "must", WIRE_ONLY, "RFC 6455 section 3",
        "Request target with a fragment",
        "A fragment never goes over the wire.",
        "Remove it, or write # as %23.",
    ),
    rule(
        "host-absolute-form", 400, "must", WIRE_ONLY, "RFC 9112 section 3.2.2",
        "Absolute target with an invalid authority",
        "With an absolute target its authority counts, not Host.",
        "Send a valid host and port in the target.",
    ),
    rule(
        "host-missing", 400, "must", ON_REQUEST, "RFC 9112 section 3.2",
        "No Host field",
        "Without Host the origin cannot be compared with anything.",
        "Send Host.",
    ),
    rule(
        "host-multiple", 400, "must", ON_REQUEST, "RFC 9112 section 3.2",
        "More than one Host field line",
        "Two hops may each believe another line.",
        "Send Host once.",
    ),
    rule(
        "host-invalid", 400, "must", ON_REQUEST, "RFC 9112 section 3.2",
        "Host is not a host with an optional port",
        "A value that is read differently by two hops defeats every check built on it.",
        "Send host or host:port.",
    ),
    rule(
        "ws-version-present", 400, "must", ON_REQUEST, "RFC 6455 section 4.2.1",
        "No Sec-WebSocket-Version",
        "Without it the client may speak an abandoned draft.",
        "Send Sec-WebSocket-Version: 13.",
    ),
    rule(
        "ws-version-single", 400, "must", ON_REQUEST, "RFC 6455 section 11.3.5",
        "More than one Sec-WebSocket-Version",
        "A request names exactly one version.",
        "Send Sec-WebSocket-Version: 13 once.",
    ),
    rule(
        "ws-version-grammar", 400, "must", ON_REQUEST, "RFC 6455 section 4.3",
        "Sec-WebSocket-Version is not a number from 0 to 255",
        "Coercing 013 or +13 to 13 is how parsers come to disagree.",
        "Send Sec-WebSocket-Version: 13.",
    ),
    rule(
        "ws-version-mismatch", 426, "must", ON_REQUEST, "RFC 6455 section 4.4",
        "A WebSocket version other than 13",
        "Only version 13 is spoken; the answer tells which.",
        "Send Sec-WebSocket-Version: 13.",
    ),
    rule(
        "ws-key-present", 400, "must", ON_REQUEST, "RFC 6455 section 4.2.1",
        "No Sec-WebSocket-Key",
        "The key proves that the peer knows it is opening a WebSocket.",
        "Send Sec-WebSocket-Key: 16 random octets in base64.",
    ),
    rule(
        "ws-key-single", 400, "must", ON_REQUEST, "RFC 6455 section 11.3.1",
        "More than one Sec-WebSocket-Key",
        "The answer can only belong to one key.",
        "Send Sec-WebSocket-Key once.",
    ),
    rule(
        "ws-key-alphabet", 400, "must", ON_REQUEST, "RFC 4648 section 3.3",
        "Sec-WebSocket-Key with characters outside base64",
        "A decoder that skips them accepts what another rejects.",
        "Send 16 random octets in standard base64 with its padding.",
    ),
    rule(
        "ws-key-16-bytes", 400, "must", ON_REQUEST, "RFC 6455 section 4.2.1",
        "Sec-WebSocket-Key is not 16 octets",
        "A constant or short key lets a cache or a script stand in for a WebSocket client.",
        "Send 16 random octets in base64: 22 characters and ==.",
    ),
    rule(
        "ws-ext-grammar", 400, "must", ON_REQUEST, "RFC 6455 section 9.1",
        "Malformed Sec-WebSocket-Extensions",
        "Both sides must agree what was offered before frames change their meaning.",
        "Send name; parameter=value, all tokens.",
    ),
    rule(
        "ws-ext-nonempty", 400, "must", ON_REQUEST, "RFC 6455 section 9.1",
        "Sec-WebSocket-Extensions without a member",
        "The grammar asks for one at least.",
        "Leave the field out.",
    ),
    rule(
        "ws-protocol-grammar", (400, "accept"), "must", ON_REQUEST, "RFC 6455 section 4.1",
        "Malformed name in Sec-WebSocket-Protocol",
        "A name that is not a token cannot be answered.",
        "Send a comma-separated list of tokens.",
    ),
    rule(
        "ws-protocol-nonempty", (400, "accept"), "must", ON_REQUEST, "RFC 6455 section 4.1",
        "Sec-WebSocket-Protocol without a member",
        "The grammar asks for one at least.",
        "Leave the field out.",
    ),
    rule(
        "ws-protocol-unique", (400, "accept"), "must", ON_REQUEST, "RFC 6455 section 4.1",
        "Subprotocol offered twice",
        "The values of one offer are all different.",
        "Send each name once.",
    ),
    rule(
        "ws-subprotocol-required", 400, "policy", ON_REQUEST, "RFC 6455 section 4.2.2",
        "No acceptable subprotocol offered",
        "Without one the two sides would not know how to read each other's messages.",
        "Offer one of the subprotocols that this service lists.",
    ),
    rule(
        "misdirected", 421, "policy", ON_REQUEST, "RFC 9110 section 7.4",
        "Host that is not served here",
        "A page on another name that resolves to this address (DNS rebinding) would count as same-origin.",
        "Use a name that the service lists in allowed_hosts.",
    ),
    rule(
        "ws-origin-single", (400, "accept"), "must", ON_REQUEST, "RFC 6454 section 7.3",
        "More than one Origin field line",
        "Two lines let a checker see one and a reader the other.",
        "Send Origin once.",
    ),
    rule(
        "ws-origin-value", 403, "policy", ON_REQUEST, "RFC 6454 section 7.1",
        "Origin is not one serialised origin",
        "What cannot be read cannot be compared.",
        "Send scheme://host, with :port if it is not the default.",
    ),
    rule(
        "ws-origin-browser", 403, "policy", ON_REQUEST, "RFC 6455 section 4.2.1",
        "No Origin field",
        "Browsers always send it; with allow_missing_origin=False everybody else must too.",
        "Send Origin.",
    ),
    rule(
        "ws-origin-check", 403, "policy", ON_REQUEST, "RFC 6455 section 10.2",
        "Origin that is not allowed",
        "A page of another site would speak with the user's cookies (cross-site WebSocket hijacking).",
        "List the origin in allow_origins if it may connect.",
    ),
    rule(
        "expect-100-then-101", "accept", "must", WIRE_ONLY, "RFC 9110 section 7.8",
        "100 before 101",
        "A client that expects 100 waits for it before it sends on.",
        "Nothing.",
    ),
    rule(
        "ws-wait", "accept", "must", WIRE_ONLY, "RFC 6455 section 4.1",
        "Octets behind the handshake before the 101",
        "They are frames; losing them would tear the stream.",
        "Wait for the 101.",
    ),
    rule(
        "ws-cannot-switch", (501, "ignore"), "info", ON_REQUEST, "RFC 9110 section 15.6.2",
        "Valid handshake, but the server cannot switch",
        "The server in front offers neither a WebSocket scope nor the http.upgrade extension.",
        "Run uvicorn with --http asgi_upgrade.uvicorn:AutoProtocol, or install a WebSocket library for the server.",
    ),
    rule(
        "ws-plain-get", 426, "policy", ON_REQUEST, "RFC 9110 section 15.5.22",
        "Plain request to a WebSocket-only path",
        "The resource is only there in the other protocol.",
        "Open it as a WebSocket.",
    ),
    rule(
        "ws-503", 503, "info", ON_REQUEST, "RFC 9110 section 15.6.4",
        "The application did not answer the handshake in time",
        "A handshake without an answer holds a connection for nothing.",
        "Try again later.",
    ),
    rule(
        "ws-5xx-app", 500, "info", ON_REQUEST, "RFC 9110 section 15.6.1",
        "The service failed while it judged the handshake",
        "A check that cannot be made is not passed.",
        "Try again later; the operator finds the cause in the log.",
    ),
)
