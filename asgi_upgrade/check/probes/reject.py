"""Probes of what a server is not to accept: each is the accepted handshake with one thing wrong."""

from __future__ import annotations

from dataclasses import replace

from asgi_upgrade.check.probes.judge import (
    NOT_101,
    Change,
    Judge,
    aiming,
    answered,
    failed,
    handshake,
    passed,
    plain,
    said,
    skipped,
    unless_lenient,
    with_status,
)
from asgi_upgrade.check.probes.probe import Outcome, Probe, Run, probe
from asgi_upgrade.check.wire.exchange import SILENT, Answer
from asgi_upgrade.check.wire.request import KEY, ProbeRequest
from asgi_upgrade.check.wire.response import Response
from asgi_upgrade.check.wire.wire import Wire
from asgi_upgrade.rules import RULES
from asgi_upgrade.text import quote

VERSION, KEY_FIELD = b"Sec-WebSocket-Version", b"Sec-WebSocket-Key"
UNSUPPORTED = ("0", "14", "99")
"""WebSocket versions that are well-formed, and that nobody speaks."""

OBSOLETE = ("7", "8")
"""Those of drafts that some servers still speak."""

MALFORMED_VERSIONS = {
    "empty": "",
    "semicolon": "13;",
    "list": "13,14,15",
    "dash": "13-",
    "backslash": "13\\",
    "slash": "13/",
    "leading-zero": "013",
    "plus": "+13",
    "point": "13.0",
    "1337": "1337",
}
BAD_LINES = {
    "no-version": b"GET %b",
    "HTTP/1": b"GET %b HTTP/1",
    "HTTP/1.10": b"GET %b HTTP/1.10",
    "HTTP/11": b"GET %b HTTP/11",
    "lower-case": b"GET %b http/1.1",
    "HTTPS/1.1": b"GET %b HTTPS/1.1",
}


def having(name: bytes, *values: bytes) -> Change:
    """Return the change to these lines of a field."""
    return lambda request: request.having(name, *values)


def line(*, method: bytes | None = None, target: bytes | None = None, version: bytes | None = None) -> Change:
    """Return the change to another method, target or version; ``%b`` in the target stands for the path."""

    def change(request: ProbeRequest) -> ProbeRequest:
        put = target.replace(b"%b", request.target) if target is not None else None
        return request.having_line(method=method, target=put, version=version)

    return change


def reject(rule_id: str, variant: str, title: str, change: Change) -> Probe:
    """Make a probe that is passed by any status but 101, unless the mode of a policy lets the rule's breach pass."""
    run = handshake(change)
    return probe(rule_id, variant, title, NOT_101, unless_lenient(run) if RULES[rule_id].lenient == "accept" else run)


def _says_version(answer: Answer) -> Outcome:
    if isinstance(answer, Response) and answer.status != 101:
        known = answer.value(b"sec-websocket-version")
        if b"13" in [each.strip() for each in known.split(b",")]:
            return passed(f"{said(answer)} with Sec-WebSocket-Version: {quote(known)[1:-1]}")
        return failed(f"{said(answer)} without Sec-WebSocket-Version: 13")
    return failed(said(answer))


def _is_426(answer: Answer) -> Outcome:
    if isinstance(answer, Response) and answer.status == 101:
        return passed("the version is spoken here")
    return with_status(426)(answer)


def _bad_request(*, close: bool = False, also: tuple[int, ...] = ()) -> Judge:
    return with_status(400, *also, close=close)


def _hixie(request: ProbeRequest) -> ProbeRequest:
    bare = request.having(KEY_FIELD).having(VERSION)
    keys = (
        (b"Sec-WebSocket-Key1", b"18x 6]8vM;54 *(5:  {   U1]8  z [  8"),
        (b"Sec-WebSocket-Key2", b"1_ tx7X d  <  nw  334J702) 7]o}` 0"),
    )
    return bare.having_body(b"Tm[K T2u", *keys)


async def _response_as_request(wire: Wire) -> Outcome:
    request = replace(wire.handshake(), line=b"HTTP/1.1 101 Switching Protocols")
    return with_status(400, close=True)(await wire.ask(request))


def _bad_line(first: bytes) -> Run:
    return handshake(lambda request: replace(request, line=first.replace(b"%b", request.target)), _refused)


def _refused(answer: Answer) -> Outcome:
    wrong = answer is SILENT or (isinstance(answer, Response) and answer.status < 400)
    return failed(said(answer)) if wrong else passed(said(answer))


def _in_time(change: Change, short: Change) -> Run:
    """Return how to send what is slow to read; silence on little of the same is no slowness."""

    async def run(wire: Wire) -> Outcome:
        answer = await wire.ask(change(wire.handshake()))
        return _beside(answer, await wire.ask(short(wire.handshake())) if answer is SILENT else answer)

    return run


def _beside(answer: Answer, twin: Answer) -> Outcome:
    if twin is SILENT:
        return skipped("the server keeps silent on a short value of the same form too")
    return answered(answer)


REJECT: tuple[Probe, ...] = (
    # Upgrade and Connection
    reject("upgrade-without-connection", "missing", "no Connection", having(b"Connection")),
    reject("upgrade-without-connection", "keep-alive", "Connection: keep-alive", having(b"Connection", b"keep-alive")),
    reject("upgrade-without-connection", "near-miss", "Connection: not-upgrade", having(b"Connection", b"not-upgrade")),
    reject("101-unasked", "", "no Upgrade", having(b"Upgrade")),
    probe("101-unasked", "plain", "a plain GET", NOT_101, plain(lambda request: request), where="every"),
    reject("upgrade-empty", "", "an empty Upgrade", having(b"Upgrade", b"")),
    reject("ws-upgrade-token", "longer", "Upgrade: websocketa", having(b"Upgrade", b"websocketa")),
    reject("ws-upgrade-token", "shorter", "Upgrade: websocke", having(b"Upgrade", b"websocke")),
    reject("ws-upgrade-token", "other", "Upgrade: foo", having(b"Upgrade", b"foo")),
    reject("upgrade-malformed", "", "Upgrade: websocket, a b", having(b"Upgrade", b"websocket, a b")),
    reject("connection-grammar", "", "Connection: Upgrade, a b", having(b"Connection", b"Upgrade, a b")),
    reject(
        "connection-no-e2e",
        "",
        "Connection: Upgrade, Sec-WebSocket-Key",
        having(b"Connection", b"Upgrade, Sec-WebSocket-Key"),
    ),
    reject("list-dos-cap", "", "Connection with 2000 empty members", having(b"Connection", b"Upgrade" + b"," * 2000)),
    # The request line
    reject("upgrade-http10-ignore", "", "the handshake in HTTP/1.0", line(version=b"HTTP/1.0")),
    reject("http-major-unknown", "", "the handshake in HTTP/2.0", line(version=b"HTTP/2.0")),
    reject(
        "ws-method-get",
        "POST",
        "POST",
        lambda request: request.having_line(method=b"POST").having(b"Content-Length", b"0"),
    ),
    reject("ws-method-get", "HEAD", "HEAD", line(method=b"HEAD")),
    reject(
        "ws-method-get",
        "PUT",
        "PUT",
        lambda request: request.having_line(method=b"PUT").having(b"Content-Length", b"0"),
    ),
    reject("method-case", "", "get", line(method=b"get")),
    reject(
        "connect-with-upgrade",
        "",
        "CONNECT",
        lambda request: request.having_line(method=b"CONNECT", target=request.values(b"Host")[0]),
    ),
    reject("target-invalid", "", "a target without slash", line(target=b"checked")),
    probe(
        "ws-target",
        "",
        "the target as ws or wss URI",
        NOT_101,
        unless_lenient(aiming(b"%(ws)b://%(host)b%(path)b")),
    ),
    reject("ws-no-fragment", "", "a target with a fragment", line(target=b"%b#checked")),
    probe(
        "host-absolute-form",
        "",
        "the target as http or https URI with a bad port",
        NOT_101,
        aiming(b"%(http)b://%(host)b:x%(path)b"),
    ),
    *(
        probe("request-grammar", variant, f"{variant} in the request line", "an error, or closed", _bad_line(first))
        for variant, first in BAD_LINES.items()
    ),
    probe("ws-response-as-request", "", "a 101 as request", "400, or closed", _response_as_request),
    # Host
    probe("host-missing", "", "no Host", "400", handshake(having(b"Host"), _bad_request())),
    probe(
        "host-multiple",
        "",
        "two Host lines",
        "400",
        handshake(lambda request: request.having(b"Host", *request.values(b"Host") * 2), _bad_request()),
    ),
    probe(
        "host-invalid",
        "space",
        "white space in Host",
        "400",
        handshake(having(b"Host", b"checked example"), _bad_request()),
    ),
    probe(
        "host-invalid",
        "list",
        "two hosts in Host",
        "400",
        handshake(
            lambda request: request.having(b"Host", request.values(b"Host")[0] + b", checked.example"), _bad_request()
        ),
    ),
    # The version
    *(
        probe(
            "ws-version-mismatch",
            version,
            f"Sec-WebSocket-Version: {version}",
            "any status but 101, with Sec-WebSocket-Version: 13",
            handshake(having(VERSION, version.encode()), _says_version),
        )
        for version in UNSUPPORTED
    ),
    *(
        reject("ws-version-obsolete", version, f"Sec-WebSocket-Version: {version}", having(VERSION, version.encode()))
        for version in OBSOLETE
    ),
    probe("ws-version-426", "", "Sec-WebSocket-Version: 99", "426", handshake(having(VERSION, b"99"), _is_426)),
    reject("ws-version-present", "", "no Sec-WebSocket-Version", having(VERSION)),
    reject("ws-version-single", "", "two lines of Sec-WebSocket-Version: 13", having(VERSION, b"13", b"13")),
    *(
        reject(
            "ws-version-grammar",
            variant,
            f"Sec-WebSocket-Version: {version or variant}",
            having(VERSION, version.encode()),
        )
        for variant, version in MALFORMED_VERSIONS.items()
    ),
    # The key
    reject("ws-key-present", "missing", "no Sec-WebSocket-Key", having(KEY_FIELD)),
    reject("ws-key-present", "empty", "an empty Sec-WebSocket-Key", having(KEY_FIELD, b"")),
    reject("ws-key-single", "lines", "two lines of Sec-WebSocket-Key", having(KEY_FIELD, KEY, KEY)),
    reject("ws-key-single", "list", "two keys in one line", having(KEY_FIELD, KEY + b", " + KEY)),
    reject("ws-key-16-bytes", "15", "a key of 15 octets", having(KEY_FIELD, b"YXNnaS11cGdyYWRlLzEu")),
    reject("ws-key-16-bytes", "17", "a key of 17 octets", having(KEY_FIELD, b"YXNnaS11cGdyYWRlLzEuMDA=")),
    reject("ws-key-alphabet", "text", "a key that is not base64", having(KEY_FIELD, b"not a key, is it? ...==")),
    reject(
        "ws-key-alphabet", "url-safe", "a key in the URL-safe alphabet", having(KEY_FIELD, b"YXNnaS1_cGdyYWRlLzEuMA==")
    ),
    reject("ws-hixie", "", "Sec-WebSocket-Key1 and -Key2, no version", _hixie),
    reject("ws-hixie", "no-host", "the same without Host", lambda request: _hixie(request).having(b"Host")),
    # Octets that no field may have
    reject("field-crlf-nul", "nul", "NUL in Upgrade", having(b"Upgrade", b"web\0socket")),
    reject("field-crlf-nul", "cr", "CR in Upgrade", having(b"Upgrade", b"web\rsocket")),
    reject(
        "field-name-space", "", "white space before a colon", lambda request: request.renamed(b"Upgrade", b"Upgrade ")
    ),
    # What is slow to read
    *(
        probe(
            "ws-header-cost",
            variant,
            f"{name.decode()} made to be slow to read",
            "an answer in time",
            _in_time(having(name, value), having(name, short)),
        )
        for variant, name, value, short in (
            ("spaces", b"Sec-WebSocket-Extensions", b"a" + b" " * 6000 + b"b", b"a  b"),
            ("quotes", b"Sec-WebSocket-Extensions", b'a; b="' + b"\\" * 6000, b'a; b="\\'),
            (
                "parameters",
                b"Sec-WebSocket-Extensions",
                b"permessage-deflate" + b"; a" * 2000,
                b"permessage-deflate; a",
            ),
            ("subprotocols", b"Sec-WebSocket-Protocol", b"a," * 3000 + b"\x01", b"a,\x01"),
        )
    ),
)
