"""The rules on how a connection goes on around a handshake, and on whatever responses were seen on it.

As in ``wire``, the checker observes, and nothing reacts.
"""

from asgi_upgrade.rules.rule import ANSWERER, ANYONE, SERVER, WIRE_ONLY, rule

# fmt: off
# A row is: id, reaction, level, who can enforce it, reference; title; why; fix.
CONNECTION = (
    rule(
        "101-unasked", "observe", "must", WIRE_ONLY, "RFC 9110 section 7.8",
        "101 without a counting Upgrade",
        "The client goes on in HTTP.",
        "Switch only when Upgrade and its connection option are there.",
    ),
    rule(
        "upgrade-ignored-serves-http", "observe", "should", ANYONE, "RFC 9110 section 7.8",
        "An Upgrade that is ignored changes nothing",
        "Clients offer protocols with ordinary requests, and expect the ordinary answer.",
        "Serve the request as if Upgrade were not there.",
    ),
    rule(
        "policy-unexpected-switch", "observe", "policy", ANSWERER, "RFC 9110 section 7.8",
        "A WebSocket on a path that is HTTP only",
        "An entrance that nobody listed is one that nobody guards.",
        "Reject handshakes there, or name the path with --ws-path.",
    ),
    rule(
        "switch-after-reject", "observe", "must", WIRE_ONLY, "RFC 9931 section 3",
        "After a rejected handshake the connection is HTTP, or closed",
        "A proxy that believes in the switch would pass on bytes that the server reads as requests.",
        "Go on as HTTP, or close.",
    ),
    rule(
        "request-body-consume", "observe", "must", WIRE_ONLY, "RFC 9112 section 9.3",
        "The content of a request with an ignored Upgrade is read, or the connection closed",
        "What is left behind is read as the next request, or keeps it from being read.",
        "Read the content to its end before the next request, or close.",
    ),
    rule(
        "expect-without-content", "observe", "info", WIRE_ONLY, "RFC 9110 section 10.1.1",
        "Expect: 100-continue on a handshake without content",
        "RFC 9110 asks for 100 before 101, and lets it be left out where there is no content.",
        "Send 100, or reject; do not wait.",
    ),
    rule(
        "expect-final-instead", "observe", "must", SERVER, "RFC 9110 section 10.1.1",
        "Expect: 100-continue gets 100 or a final status at once",
        "The client holds its content back until it hears.",
        "Send 100, or the final status, before the content has come.",
    ),
    rule(
        "expect-http10", "observe", "must", SERVER, "RFC 9110 section 10.1.1",
        "No interim response to HTTP/1.0",
        "An HTTP/1.0 client takes it for the final one.",
        "Ignore Expect: 100-continue in HTTP/1.0.",
    ),
    rule(
        "expect-unknown", "observe", "info", SERVER, "RFC 9110 section 10.1.1",
        "An unknown expectation",
        "It may be answered with 417, or passed over.",
        "Answer 417, or as if Expect were not there.",
    ),
    rule(
        "expect-desync", "observe", "should", SERVER, "RFC 9110 section 10.1.1",
        "Content that does not wait for 100",
        "A client may send it at once; it is not the next request.",
        "Read the content, then the next request, or close.",
    ),
    rule(
        "connection-close-request", "observe", "must", SERVER, "RFC 9112 section 9.6",
        "Connection: close closes",
        "What follows must not be processed.",
        "Close after the response.",
    ),
    rule(
        "conn-close-option", "observe", "should", SERVER, "RFC 9112 section 9.6",
        "The last response says Connection: close",
        "The client learns that it needs another connection.",
        "Send the close option with the last response.",
    ),
    rule(
        "conn-close-with-upgrade", "observe", "info", WIRE_ONLY, "RFC 9112 section 9.6",
        "Connection: close, Upgrade",
        "The texts leave open whether the switch or the close comes first.",
        "Nothing.",
    ),
    rule(
        "http10-default-close", "observe", "should", SERVER, "RFC 9112 section 9.3",
        "HTTP/1.0 without keep-alive closes",
        "The client reads to the end of the connection.",
        "Close after the response.",
    ),
    rule(
        "http10-te", "observe", "must", SERVER, "RFC 9112 section 6.1",
        "Transfer-Encoding in HTTP/1.0",
        "Its framing is faulty; hops read it differently.",
        "Reject, or close after the response.",
    ),
    rule(
        "http10-no-host", "observe", "info", SERVER, "RFC 9112 section 3.2",
        "HTTP/1.0 without Host",
        "Host came with HTTP/1.1.",
        "Nothing.",
    ),
    rule(
        "connect-method", "observe", "should", SERVER, "RFC 9110 section 9.3.6",
        "CONNECT to an origin server",
        "A 2xx would make a tunnel.",
        "Answer 501 or 405, and close.",
    ),
    rule(
        "opt-connect-proxy-close", "observe", "info", WIRE_ONLY, "RFC 9931 section 8",
        "A rejected CONNECT closes the connection",
        "What the client sent ahead is not HTTP.",
        "Close after the response.",
    ),
    rule(
        "pri-preface", "observe", "must", SERVER, "RFC 9113 section 3.4",
        "The HTTP/2 preface",
        "It is made so that no HTTP/1 server takes it for a request.",
        "Reject it, close, or speak HTTP/2.",
    ),
    rule(
        "conn-pipeline", "observe", "should", SERVER, "RFC 9112 section 9.3.2",
        "Two requests sent at once",
        "Whatever judges what follows a request depends on it.",
        "Answer both, in order, or close after the first.",
    ),
)

SEEN = (
    rule(
        "101-offered-only", "observe", "must", ANYONE, "RFC 9110 section 7.8",
        "A 101 names only protocols that were offered",
        "The client does not speak another.",
        "Name in Upgrade what the request offered.",
    ),
    rule(
        "upgrade-list-grammar", "observe", "must", ANYONE, "RFC 9110 section 7.8",
        "Upgrade and Connection of a response are well-formed lists",
        "A recipient may take a malformed member for anything.",
        "Send comma-separated tokens, and no empty members.",
    ),
    rule(
        "405-allow", "observe", "must", ANSWERER, "RFC 9110 section 15.5.6",
        "A 405 has Allow",
        "The client must learn which methods would do.",
        "Send Allow with a 405.",
    ),
    rule(
        "ws-accept-only-101", "observe", "should", ANYONE, "RFC 6455 section 1.3",
        "Sec-WebSocket-Accept in a 101 only",
        "It says that the server is willing.",
        "Leave it out of a rejection.",
    ),
    rule(
        "http10-response-te", "observe", "must", SERVER, "RFC 9112 section 6.1",
        "No Transfer-Encoding in a response to HTTP/1.0",
        "An HTTP/1.0 client reads the chunk sizes as content.",
        "Send Content-Length, or close at the end of the content.",
    ),
    rule(
        "expect-unsolicited-100", "observe", "should", SERVER, "RFC 9110 section 15.2.1",
        "No 100 that nobody expects",
        "Clients that do not expect it stumble.",
        "Send 100 only when Expect asks for it.",
    ),
    rule(
        "expect-417", "observe", "info", ANSWERER, "RFC 9110 section 15.5.18",
        "417 only for an unknown expectation",
        "The expectation 100-continue can always be met.",
        "Answer 417 only to an expectation that is not 100-continue.",
    ),
)
