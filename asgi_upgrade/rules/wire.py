"""The rules that only a look at the wire can judge: what a server accepts, what it agrees to, and its grammar.

No middleware decides them, so there is nothing to react with: the checker observes.
"""

from asgi_upgrade.rules.connection import CONNECTION, SEEN
from asgi_upgrade.rules.http2 import HTTP2
from asgi_upgrade.rules.rule import ANYONE, SERVER, WIRE_ONLY, rule

# fmt: off
# A row is: id, reaction, level, who can enforce it, reference; title; why; fix.
ACCEPTANCE = (
    rule(
        "ws-101-status", "observe", "must", ANYONE, "RFC 6455 section 4.2.2",
        "A valid handshake is answered with 101",
        "Without it there is no WebSocket, and nothing else about one can be judged.",
        "Accept the handshake of a client that conforms; check origin, subprotocol and credentials that it must send.",
    ),
    rule(
        "ws-101-upgrade", "observe", "must", WIRE_ONLY, "RFC 6455 section 4.2.2",
        "The 101 says Upgrade: websocket",
        "A client fails the connection unless the value is websocket, alone.",
        "Send Upgrade: websocket in the 101.",
    ),
    rule(
        "ws-101-connection", "observe", "must", WIRE_ONLY, "RFC 6455 section 4.2.2",
        "The 101 says Connection: Upgrade",
        "A client fails the connection without it.",
        "Send Connection: Upgrade in the 101.",
    ),
    rule(
        "ws-accept-value", "observe", "must", WIRE_ONLY, "RFC 6455 section 4.2.2",
        "Sec-WebSocket-Accept answers the key",
        "It proves that the server read this handshake and not a cached one.",
        "Send the base64 of the SHA-1 of the key, as received, followed by the GUID.",
    ),
    rule(
        "ws-accept-raw-key", "observe", "must", WIRE_ONLY, "RFC 6455 section 4.2.2",
        "Sec-WebSocket-Accept is made from the key as received",
        "A key that is decoded and encoded again, or keeps white space around it, gives another answer.",
        "Remove white space around the value; change nothing else.",
    ),
    rule(
        "ws-accept-single", "observe", "must", ANYONE, "RFC 6455 section 11.3.3",
        "One Sec-WebSocket-Accept in a 101",
        "With two the client cannot tell which is the server's.",
        "Leave the field to the server.",
    ),
    rule(
        "101-no-framing", "observe", "must", ANYONE, "RFC 9110 section 8.6",
        "No Content-Length or Transfer-Encoding in a 101",
        "Whoever believes them takes frames for content.",
        "Leave both out of the 101 (for Transfer-Encoding: RFC 9112 section 6.1).",
    ),
    rule(
        "connection-option-case", "observe", "must", WIRE_ONLY, "RFC 9110 section 7.6.1",
        "The upgrade option in any case",
        "Clients write it in several ways.",
        "Compare connection options without regard to case.",
    ),
    rule(
        "protocol-name-case", "observe", "must", WIRE_ONLY, "RFC 6455 section 4.2.1",
        "The token websocket in any case",
        "Clients write it in several ways.",
        "Compare protocol names without regard to case.",
    ),
    rule(
        "field-name-case", "observe", "must", SERVER, "RFC 9110 section 5.1",
        "Field names in any case",
        "Clients write them in several ways.",
        "Compare field names without regard to case.",
    ),
    rule(
        "field-ows", "observe", "must", WIRE_ONLY, "RFC 9110 section 5.5",
        "White space around a field value",
        "It is not part of the value.",
        "Remove SP and HTAB around every value before looking at it.",
    ),
    rule(
        "ws-connection-token", "observe", "should", WIRE_ONLY, "RFC 6455 section 4.2.1",
        "Connection lists upgrade among other options",
        "Firefox sends keep-alive, Upgrade.",
        "Read Connection as a list.",
    ),
    rule(
        "field-combine", "observe", "should", WIRE_ONLY, "RFC 9110 section 5.3",
        "Connection over several lines",
        "Proxies add a line of their own; several lines are one list.",
        "Join all lines of the field before reading it.",
    ),
    rule(
        "list-recipient-empty", "observe", "must", WIRE_ONLY, "RFC 9110 section 5.6.1.2",
        "Empty list members are passed over",
        "Proxies that remove an option leave them behind.",
        "Ignore empty members of a list.",
    ),
    rule(
        "upgrade-preference-free", "observe", "info", WIRE_ONLY, "RFC 9110 section 7.8",
        "Several protocols offered, websocket among them",
        "A client may offer several; one that is supported can be chosen.",
        "Read Upgrade as a list, and take the first member that is supported.",
    ),
    rule(
        "upgrade-any-request", "observe", "should", WIRE_ONLY, "RFC 9110 section 3.3",
        "Upgrade on a later request of a connection",
        "Clients and proxies reuse connections.",
        "Do not treat the first request of a connection differently.",
    ),
    rule(
        "target-absolute-accept", "observe", "should", WIRE_ONLY, "RFC 9112 section 3.2.2",
        "A handshake with an absolute target",
        "Clients that take the server for a proxy send it, and servers must accept it.",
        "Take path and authority out of the absolute target.",
    ),
    rule(
        "protocol-version-match", "observe", "info", WIRE_ONLY, "RFC 9110 section 7.8",
        "A version behind websocket",
        "No version of it is registered; websocket/13 is another protocol.",
        "Compare the whole member with websocket.",
    ),
)

AGREEMENT = (
    rule(
        "ws-subprotocol-null", "observe", "must", ANYONE, "RFC 6455 section 4.2.2",
        "No subprotocol where none was agreed",
        "A client that offered none, or another, fails the connection.",
        "Leave Sec-WebSocket-Protocol out unless the client offered the value.",
    ),
    rule(
        "ws-subprotocol-single", "observe", "must", ANYONE, "RFC 6455 section 11.3.4",
        "One subprotocol in a 101",
        "The field is there once, with one name.",
        "Send the one that was chosen.",
    ),
    rule(
        "ws-protocol-multi", "observe", "must", WIRE_ONLY, "RFC 6455 section 11.3.4",
        "Subprotocols offered over two lines",
        "Several lines are one list; a server that reads one of them chooses from half the offer.",
        "Join all lines of the field before reading it.",
    ),
    rule(
        "ws-extension-offered", "observe", "must", ANYONE, "RFC 6455 section 4.2.2",
        "No extension that was not offered",
        "The client must fail the connection.",
        "Answer with extensions that were offered, or none.",
    ),
    rule(
        "pmd-bad-value", "observe", "must", WIRE_ONLY, "RFC 7692 section 7",
        "A permessage-deflate offer with a bad value is declined",
        "Both sides would inflate with different windows.",
        "Decline offers whose window bits are not 8 to 15 without leading zero.",
    ),
    rule(
        "pmd-unknown-param", "observe", "must", WIRE_ONLY, "RFC 7692 section 7",
        "A permessage-deflate offer with an unknown parameter is declined",
        "What the client asked for is not known.",
        "Decline offers with a parameter that is not defined.",
    ),
    rule(
        "pmd-dup-param", "observe", "must", WIRE_ONLY, "RFC 7692 section 7",
        "A permessage-deflate offer with a parameter twice is declined",
        "Which of them counts is not known.",
        "Decline offers that name a parameter twice.",
    ),
    rule(
        "pmd-cmwb-response", "observe", "must", WIRE_ONLY, "RFC 7692 section 7.1.2.2",
        "No client_max_window_bits where it was not offered",
        "A client that did not offer it must fail the connection.",
        "Leave the parameter out unless the accepted offer had it.",
    ),
    rule(
        "pmd-smwb-accept", "observe", "must", WIRE_ONLY, "RFC 7692 section 7.1.2.1",
        "An accepted server_max_window_bits is answered",
        "The client would inflate with a window of the wrong size.",
        "Answer with the same or a smaller value, or decline the offer.",
    ),
)

GRAMMAR = (
    rule(
        "request-grammar", "observe", "must", WIRE_ONLY, "RFC 9112 section 3",
        "A malformed request line",
        "Servers guess differently what it means.",
        "Answer 400 (505 for a version), and close.",
    ),
    rule(
        "field-name-space", "observe", "must", SERVER, "RFC 9112 section 5.1",
        "White space between field name and colon",
        "Hops that read the name differently see different fields.",
        "Answer 400.",
    ),
    rule(
        "te-unknown", "observe", "must", WIRE_ONLY, "RFC 9112 section 6.1",
        "A handshake with an unknown transfer coding",
        "The end of its content cannot be found.",
        "Answer 501.",
    ),
    rule(
        "method-case", "observe", "must", WIRE_ONLY, "RFC 9110 section 9.1",
        "The method get",
        "Methods are case-sensitive; get is not GET.",
        "Answer 501 or 400.",
    ),
    rule(
        "ws-hixie", "observe", "must", WIRE_ONLY, "RFC 6455 section 4.2.1",
        "A handshake of the drafts before version 4",
        "It proves nothing about its sender.",
        "Reject it.",
    ),
    rule(
        "ws-response-as-request", "observe", "must", SERVER, "RFC 9112 section 3",
        "A 101 sent as a request",
        "Who answers it can be made to talk to itself.",
        "Answer 400, or close.",
    ),
    rule(
        "ws-version-obsolete", "observe", "policy", ANYONE, "RFC 6455 section 4.2.1",
        "A WebSocket version of a draft",
        "The drafts had faults that RFC 6455 mends, and no client of today speaks one.",
        "Speak version 13 only.",
    ),
    rule(
        "ws-version-426", "observe", "should", ANYONE, "RFC 6455 section 4.2.2",
        "Another WebSocket version is answered with 426",
        "The status says that another version would do.",
        "Answer 426 with Upgrade, Connection and Sec-WebSocket-Version.",
    ),
    rule(
        "ws-header-cost", "observe", "should", WIRE_ONLY, "RFC 9110 section 17.5",
        "Fields made to be slow to read",
        "One request would hold up all others.",
        "Read fields in time linear in their length.",
    ),
)

WIRE_RULES = (*ACCEPTANCE, *AGREEMENT, *GRAMMAR, *CONNECTION, *SEEN, *HTTP2)
