"""What single probes make of single answers; that each finds its fault is shown in ``tests/check``."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.probes.accept import accept_of
from asgi_upgrade.check.probes.catalogue import PROBES
from asgi_upgrade.check.probes.probe import Outcome
from asgi_upgrade.check.result import Transcript
from asgi_upgrade.check.run import check
from asgi_upgrade.check.wire.exchange import Address, ExchangeError
from asgi_upgrade.check.wire.request import KEY, ProbeRequest
from asgi_upgrade.check.wire.response import Response, parse_head
from asgi_upgrade.check.wire.wire import Base, Wire
from asgi_upgrade.policy import UpgradePolicy
from tests.support.broken.scripted import Answer, head, holding, saying, scripted, silent

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
FIELDS = b"Sec-WebSocket-Accept: " + accept_of(KEY) + b"\r\n"
ACCEPT = accept_of(KEY).decode()
CLOSING = BAD.replace(b"Content", b"Connection: close\r\nContent")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
SILENCE = 1.0
"""Seconds after which a server counts as silent."""

ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
SHORT = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\nok"
NO_END = "the content of the response does not end here"
SILENT = (
    NO_END,
    "keeps silent",
    "did not answer in time",
    "is silent",
    "stayed open",
    "stays open",
    "neither answered nor closed",
)
BY_NAME = {probe.name: probe for probe in PROBES}
PLAIN = parse_head(b"HTTP/1.1 200 OK\r\n\r\n")


def switched(*fields: bytes, frames: bytes = b"") -> bytes:
    return SWITCHED + FIELDS + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + frames


def run(name: str, *answers: Answer, timeout: float = 10.0, **base: Any) -> Outcome:
    """Carry out a probe against a server whose connections are answered in turn."""

    async def go(address: str) -> Outcome:
        host, _, port = address.partition(":")
        known = Base(address=Address(host=host, port=int(port), authority=address), path="/ws", timeout=timeout, **base)
        return await BY_NAME[name].run(Wire(known, []))

    with scripted(*answers) as address:
        return asyncio.run(go(address))


def twice(first: bytes, second: bytes) -> Answer:
    """Return how to answer two requests on one connection."""

    def answer(sock: socket.socket) -> None:
        head(sock)
        sock.sendall(first)
        if second:
            head(sock)
            sock.sendall(second)
        silent(sock)

    return answer


def recording(heads: list[bytes], answer: bytes) -> Answer:
    """Return how to answer, and keep the head of the request."""

    def record(sock: socket.socket) -> None:
        heads.append(head(sock))
        sock.sendall(answer)

    return record


def at_last(outcome: Outcome) -> tuple[str, str]:
    return outcome.verdict, outcome.message


# The control


@pytest.mark.parametrize(
    ("frames", "verdict", "message"),
    [
        pytest.param(b"\x81\x02hi\x8a\x03abc\x8a\x0casgi-upgrade", "pass", "answered a ping", id="after-other-frames"),
        pytest.param(b"\x88\x02\x03\xe8", "pass", "closed in order", id="closed"),
        pytest.param(b"\x88\x00", "pass", "closed in order", id="closed-without-code"),
        pytest.param(b"\x88\x02\x03\xea", "fail", "closed with 1002", id="complains"),
        pytest.param(b"\x81\x01x" * 40, "fail", "does not answer a ping", id="talks-on"),
        pytest.param(b"", "fail", "is silent", id="silent"),
    ],
)
def test_a_switched_connection_is_to_answer_a_ping(frames: bytes, verdict: str, message: str) -> None:
    outcome = run(
        "ws-101-status", holding(switched(frames=frames)), timeout=SILENCE if message == "is silent" else 10.0
    )
    assert outcome.verdict == verdict
    assert message in outcome.message


def test_a_handshake_without_an_answer_is_told_so() -> None:
    assert at_last(run("ws-101-status", saying())) == ("fail", "closed the connection without an answer")


def test_what_is_answered_short_and_not_long_is_read_slowly() -> None:
    outcome = run("ws-header-cost[quotes]", silent, saying(BAD), timeout=SILENCE)
    assert at_last(outcome) == ("fail", "did not answer in time")


class Asked(Wire):
    """Answers every request with nothing, and keeps it."""

    async def ask(self, request: ProbeRequest) -> Response:
        self.asked = request
        return PLAIN


@pytest.mark.parametrize("tls", [None, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)], ids=["cleartext", "tls"])
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("target-absolute-accept", b"http%b://a/ws"),
        ("host-absolute-form", b"http%b://a:x/ws"),
        ("ws-target", b"ws%b://a/ws"),
    ],
)
def test_an_absolute_target_has_the_scheme_of_the_server(name: str, target: bytes, tls: ssl.SSLContext | None) -> None:
    wire = Asked(Base(address=Address(host="a", port=1, authority="a", tls=tls), path="/ws"), [])
    asyncio.run(BY_NAME[name].run(wire))  # type: ignore[arg-type]
    assert wire.asked.target == target % (b"s" if tls else b"")


# Outcomes by answer


@pytest.mark.parametrize(
    ("name", "answer", "verdict", "message"),
    [
        # Rejections
        ("ws-key-present[missing]", saying(BAD), "pass", "answered 400"),
        ("ws-key-present[missing]", saying(), "pass", "closed the connection without an answer"),
        ("ws-key-present[missing]", silent, "fail", "did not answer in time"),
        ("ws-key-present[missing]", saying(switched()), "fail", "switched protocols"),
        ("host-missing", saying(OK), "fail", "answered 200"),
        ("host-missing", saying(), "fail", "closed the connection without an answer"),
        ("ws-response-as-request", saying(), "pass", "closed the connection without an answer"),
        ("request-grammar[no-version]", silent, "fail", "did not answer in time"),
        ("request-grammar[no-version]", saying(OK), "fail", "answered 200"),
        ("ws-version-mismatch[99]", saying(), "fail", "closed the connection without an answer"),
        ("ws-version-mismatch[99]", saying(BAD), "fail", "answered 400 without Sec-WebSocket-Version: 13"),
        ("ws-version-426", saying(switched()), "pass", "the version is spoken here"),
        ("ws-header-cost[subprotocols]", saying(BAD), "pass", "answered 400"),
        (
            *("ws-header-cost[subprotocols]", silent, "not-exercised"),
            "the server keeps silent on a short value of the same form too",
        ),
        # What is accepted
        ("http-minor-higher", saying(switched()), "pass", "switched protocols"),
        ("http-minor-higher", saying(BAD), "pass", "answered 400"),
        ("http-minor-higher", saying(), "pass", "closed the connection without an answer"),
        ("http-minor-higher", saying(OK), "fail", "answered 200"),
        ("http-minor-higher", silent, "fail", "did not answer in time"),
        ("ws-101-upgrade", saying(BAD), "pass", "answered 400"),
        ("ws-101-upgrade", silent, "fail", "did not answer in time"),
        (
            "ws-accept-value",
            saying(SWITCHED + b"\r\n"),
            "fail",
            f'Sec-WebSocket-Accept is "", not {accept_of(KEY).decode()}',
        ),
        (
            "ws-accept-raw-key[pad-bits]",
            saying(switched()),
            "not-exercised",
            "Sec-WebSocket-Accept answers no key at all",
        ),
        (
            "upgrade-any-request",
            saying(BAD.replace(b"Content", b"Connection: close\r\nContent")),
            "not-exercised",
            None,
        ),
        ("upgrade-any-request", saying(), "not-exercised", None),
        # Agreements
        ("ws-protocol-multi", saying(OK), "not-exercised", "no subprotocol is known; name one with --subprotocol"),
        ("pmd-bad-value[7]", saying(OK), "not-exercised", "the server does not accept permessage-deflate"),
        ("ws-subprotocol-offered", saying(switched()), "pass", "none was chosen"),
        ("ws-extension-offered[unknown]", saying(switched()), "pass", "there is none"),
        # Content and expectations
        ("ws-wait", saying(switched()), "pass", "closed"),
        ("ws-wait", saying(BAD), "pass", "answered 400"),
        ("ws-wait", holding(switched()), "fail", "the switched connection is silent"),
        ("expect-100-then-101", saying(BAD), "pass", "answered 400"),
        ("expect-100-then-101", saying(b"HTTP/1.1 103 Early Hints\r\n\r\n" + BAD), "pass", "answered 400"),
        ("expect-100-then-101", saying(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4 + BAD), "pass", "answered 103"),
        ("expect-100-then-101", saying(CONTINUE + BAD), "pass", "sent 100, then answered 400"),
        (
            "expect-100-then-101",
            holding(b"HTTP/1.1 100 Continue\r\n\r\n"),
            "fail",
            "sent 100, then did not answer in time",
        ),
        ("expect-100-then-101", silent, "fail", "did not answer in time"),
        ("expect-final-instead", saying(OK), "pass", "answered 200"),
        ("expect-http10", saying(), "pass", "closed the connection without an answer"),
        ("expect-desync", saying(), "pass", "closed the connection without an answer"),
        ("expect-desync", silent, "fail", "the first request: did not answer in time"),
        ("expect-desync", saying(OK), "pass", "answered 200, then closed the connection without an answer"),
        ("expect-desync", saying(OK, OK), "pass", "answered 200, then answered 200"),
        ("expect-desync", saying(OK, BAD), "fail", "answered 200, then read the next request wrongly and answered 400"),
        ("expect-desync", saying(BAD, BAD), "pass", "answered 400, then answered 400"),
        ("switch-after-reject", saying(switched()), "not-exercised", None),
        ("switch-after-reject", saying(), "not-exercised", None),
        ("switch-after-reject", twice(BAD, switched()), "fail", "rejected, then switched protocols for a plain GET"),
        ("switch-after-reject", twice(BAD, b""), "fail", "answered 400, then neither answered nor closed"),
        # Plain requests
        ("connection-close-request", saying(), "pass", "closed the connection without an answer"),
        ("connection-close-request", twice(OK, b""), "fail", "answered 200, then stayed open"),
        ("connection-close-request", twice(OK, OK), "fail", "answered 200, then answered 200"),
        ("conn-close-option", saying(), "pass", "closed the connection without an answer"),
        ("conn-close-option", saying(OK.replace(b"1.1", b"1.0")), "pass", "it is there"),
        ("connect-method", saying(BAD), "pass", "answered 400"),
        ("connect-method", saying(b"HTTP/1.1 200 OK\r\n\r\n"), "pass", "answered 200"),
        ("connect-method", saying(OK), "fail", "answered 200 with content-length"),
        ("opt-connect-proxy-close", saying(), "pass", "closed the connection without an answer"),
        ("opt-connect-proxy-close", saying(OK), "not-exercised", "the server makes a tunnel"),
        ("opt-connect-proxy-close", saying(BAD), "pass", "closed"),
        ("opt-connect-proxy-close", twice(BAD, BAD), "fail", "answered 400, and the connection stays open"),
        ("conn-pipeline", saying(), "fail", "the first request: closed the connection without an answer"),
        ("conn-pipeline", saying(OK), "pass", "closed the connection without an answer"),
        ("conn-pipeline", holding(OK), "fail", "the second request: did not answer in time"),
        ("pri-preface", saying(BAD), "pass", "answered 400"),
        ("pri-preface", saying(OK), "fail", "answered 200 in HTTP/1"),
        ("pri-preface", saying(), "pass", "closed"),
        ("pri-preface", silent, "fail", "did not answer in time"),
        ("pri-preface", saying(SETTINGS), "pass", "speaks HTTP/2"),
        ("pri-preface", saying(b"\x15\x03\x01\0\x02\x02\x0a"), "fail", "answered neither in HTTP/1 nor in HTTP/2"),
        (
            "upgrade-ignored-serves-http",
            saying(OK),
            "not-exercised",
            "a plain GET of this path has no answer to compare with",
        ),
        # Pages without end
        ("expect-desync", holding(ENDLESS), "not-exercised", NO_END),
        ("switch-after-reject", holding(ENDLESS), "not-exercised", NO_END),
        ("connection-close-request", holding(ENDLESS), "not-exercised", NO_END),
        ("opt-connect-proxy-close", holding(ENDLESS.replace(b"200", b"400")), "not-exercised", NO_END),
        ("conn-pipeline", holding(ENDLESS), "not-exercised", NO_END),
        ("http10-no-host", holding(ENDLESS), "pass", "answered 200"),
        ("expect-desync", saying(SHORT), "not-exercised", NO_END),
        ("switch-after-reject", saying(SHORT), "not-exercised", NO_END),
        ("connection-close-request", saying(SHORT), "not-exercised", NO_END),
        ("opt-connect-proxy-close", saying(SHORT), "not-exercised", NO_END),
        ("conn-pipeline", saying(SHORT), "not-exercised", NO_END),
        # HTTP/2
        ("h2-malformed", saying(BAD), "not-exercised", "the server does not speak HTTP/2 here"),
        ("h2-malformed", saying(), "not-exercised", "the server does not speak HTTP/2 here"),
        ("h2-malformed", silent, "not-exercised", "a plain GET over HTTP/2 did not answer in time"),
        ("101-not-h2-h3", holding(SETTINGS), "fail", "did not answer in time"),
        ("101-not-h2-h3", saying(SETTINGS), "pass", "reset the stream"),
        (
            "101-not-h2-h3",
            saying(SETTINGS, b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x01"),
            "pass",
            "reset the stream",
        ),
        ("101-not-h2-h3", saying(SETTINGS, b"\0\0\x01\x04\0\0\0\0\0x"), "pass", "reset the stream"),
        # What needs a policy
        ("misdirected[foreign]", saying(OK), "not-exercised", "there is no policy to compare with"),
    ],
)
def test_an_answer_is_judged(name: str, answer: Answer, verdict: str, message: str | None) -> None:
    silent_at_last = message is not None and any(words in message for words in SILENT)
    outcome = run(name, answer, timeout=SILENCE if silent_at_last else 10.0)
    assert outcome.verdict == verdict
    assert message in (None, outcome.message)


def test_frames_that_are_none_are_an_error() -> None:
    with pytest.raises(ExchangeError, match="no frame begins so"):
        run("ws-wait", saying(switched(frames=BAD)))


def test_without_the_library_http2_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "h2.connection", None)
    assert at_last(run("h2-malformed", saying(OK))) == (
        "not-exercised",
        "HTTP/2 is checked with the h2 library; run pip install h2",
    )


def test_a_server_that_talks_http2_for_ever_is_not_listened_to_for_ever() -> None:
    def answer(sock: socket.socket) -> None:
        head(sock)
        while True:
            sock.sendall(SETTINGS)
            sock.recv(65536)

    assert at_last(run("101-not-h2-h3", answer)) == ("fail", "did not answer in time")


def speaking_h2(status: Callable[[dict[bytes, bytes]], bytes]) -> Answer:
    """Return how to answer over HTTP/2 with a status that the fields of the request decide; empty resets."""

    def answer(sock: socket.socket) -> None:
        speaker = H2Connection(H2Configuration(client_side=False, validate_inbound_headers=False))
        speaker.initiate_connection()
        while data := sock.recv(65536):
            for event in speaker.receive_data(data):
                if isinstance(event, RequestReceived):
                    due = status(dict(event.headers))
                    if due:
                        echoed = [(name, value) for name, value in event.headers if name.startswith(b"x-")]
                        speaker.send_headers(1, [(b":status", due), *echoed], end_stream=True)
                    else:
                        speaker.reset_stream(1)
            sock.sendall(speaker.data_to_send())

    return answer


@pytest.mark.parametrize(
    ("plain", "offered", "verdict", "message"),
    [
        (b"200", b"400", "pass", "answered 400"),
        (b"200", b"", "pass", "reset the stream"),
        (b"200", b"200", "fail", "answered 200"),
        (b"403", b"403", "not-exercised", "a plain GET over HTTP/2 answered 403"),
        (b"", b"", "not-exercised", "a plain GET over HTTP/2 reset the stream"),
    ],
)
def test_upgrade_over_http2_is_refused_where_a_plain_get_is_not(
    plain: bytes, offered: bytes, verdict: str, message: str
) -> None:
    server = speaking_h2(lambda fields: offered if b"upgrade" in fields else plain)
    assert at_last(run("h2-malformed", server)) == (verdict, message)


def test_a_lenient_policy_passes_over_upgrade_in_http2() -> None:
    server = speaking_h2(lambda _: b"200")
    assert at_last(run("h2-malformed", server, policy=UpgradePolicy.lenient())) == ("pass", "answered 200")


KEYED = ((b"X-Api-Key", b"letmein12"),)


@pytest.mark.parametrize("name", ["request-grammar[no-version]", "request-grammar[lower-case]"])
def test_fields_of_the_users_own_go_with_what_is_no_request_line(name: str) -> None:
    def answer(sock: socket.socket) -> None:
        sock.sendall(OK if b"\r\nX-Api-Key: letmein12\r\n" in head(sock) else BAD)

    assert at_last(run(name, answer)) == ("pass", "answered 400")
    assert at_last(run(name, answer, secret=KEYED)) == ("fail", "answered 200")


def test_a_response_sent_as_request_has_the_fields_of_the_users_own() -> None:
    heads: list[bytes] = []
    run("ws-response-as-request", recording(heads, BAD), secret=KEYED)
    assert heads[0].startswith(b"HTTP/1.1 101 Switching Protocols\r\nHost: ")
    assert b"\r\nX-Api-Key: letmein12\r\n" in heads[0]


def test_fields_of_the_users_own_go_over_http2_and_are_in_no_report() -> None:
    server = speaking_h2(lambda fields: b"400" if fields.get(b"x-api-key") != b"letmein12" else b"200")
    assert run("h2-malformed", server, secret=KEYED).verdict == "fail"

    async def go(address: str) -> list[Transcript]:
        host, _, port = address.partition(":")
        base = Base(address=Address(host=host, port=int(port), authority=address), path="/", timeout=10, secret=KEYED)
        wire = Wire(base, [])
        await BY_NAME["h2-malformed"].run(wire)
        return list(wire.exchanges)

    with scripted(server) as address:
        exchanges = asyncio.run(go(address))
    for exchange in exchanges:
        assert b"\r\nx-api-key: [redacted]\r\n" in exchange.sent
        assert b"\r\nx-api-key: [redacted]\r\n" in exchange.received


# Extensions and subprotocols


@pytest.mark.parametrize(
    ("name", "extensions", "verdict"),
    [
        ("pmd-smwb-accept", b"permessage-deflate; server_max_window_bits=9", "pass"),
        ("pmd-smwb-accept", b"permessage-deflate; server_max_window_bits=11", "fail"),
        ("pmd-smwb-accept", b"permessage-deflate; server_max_window_bits", "fail"),
        ("pmd-smwb-accept", b"x", "pass"),
        ("pmd-cmwb-response", b"; a b", "pass"),
        ("pmd-cmwb-response", b"permessage-deflate; client_max_window_bits=9", "fail"),
        ("pmd-dup-param", b"permessage-deflate", "fail"),
    ],
)
def test_the_answer_to_a_deflate_offer_is_judged(name: str, extensions: bytes, verdict: str) -> None:
    answer = saying(switched(b"Sec-WebSocket-Extensions: " + extensions))
    assert run(name, answer, compresses=True).verdict == verdict


def test_a_rejection_chooses_no_subprotocol() -> None:
    outcome = run("ws-protocol-multi", saying(BAD), subprotocols=("chat",))
    assert at_last(outcome) == ("pass", 'chose "" from one line or two')


# Policies

SHOP = UpgradePolicy(allow_origins=["https://shop.example"])
NO_CHECK = UpgradePolicy(check_origin=False)


@pytest.mark.parametrize(
    ("name", "policy", "answer", "verdict", "message"),
    [
        ("ws-origin-check[null]", NO_CHECK, BAD, "not-exercised", "the policy does not check Origin"),
        ("ws-origin-check[listed]", NO_CHECK, BAD, "not-exercised", "the policy does not check Origin"),
        ("ws-origin-check[listed]", UpgradePolicy(), BAD, "not-exercised", "the policy lists no origin"),
        ("ws-origin-check[listed]", SHOP, switched(), "pass", "1 origins"),
        ("ws-origin-check[listed]", SHOP, BAD, "fail", 'Origin "https://shop.example": answered 400'),
        ("ws-origin-check[foreign]", UpgradePolicy(check_origin=lambda *_: True), BAD, "not-exercised", None),
        ("ws-origin-browser", SHOP, switched(), "pass", "switched protocols"),
        ("misdirected[listed]", SHOP, BAD, "not-exercised", "the policy allows any host"),
        ("misdirected[foreign]", SHOP, BAD, "not-exercised", "the policy allows any host"),
        ("misdirected[suffix]", SHOP, BAD, "not-exercised", "the policy allows any host"),
        ("misdirected[listed]", UpgradePolicy(allowed_hosts=["*.a"]), BAD, "fail", 'Host "checked.a": answered 400'),
        ("misdirected[suffix]", UpgradePolicy(allowed_hosts=["[::1]"]), BAD, "pass", "answered 400"),
        ("ws-subprotocol-required[missing]", SHOP, BAD, "not-exercised", "the policy requires no subprotocol"),
        ("ws-subprotocol-required[other]", SHOP, BAD, "not-exercised", None),
        ("ws-subprotocol-required[other]", UpgradePolicy(require_subprotocol=True), BAD, "not-exercised", None),
        ("ws-subprotocol-required[listed]", SHOP, BAD, "not-exercised", "the policy lists no subprotocol"),
        (
            *("ws-subprotocol-required[listed]", UpgradePolicy(subprotocols=["a"]), switched()),
            *("fail", 'offered "a": switched protocols, none chosen'),
        ),
        (
            *("ws-subprotocol-required[listed]", UpgradePolicy(subprotocols=["a"])),
            *(switched(b"Sec-WebSocket-Protocol: b"), "fail", 'offered "a": switched protocols, "b" chosen'),
        ),
        ("h2c-obsolete[policy]", SHOP, OK, "fail", "answered 200, and the policy rejects it"),
        ("h2c-obsolete[policy]", SHOP, BAD, "pass", "answered 400"),
        ("h2c-obsolete[policy]", UpgradePolicy.lenient(), OK, "pass", "answered 200"),
        ("h2c-obsolete[policy]", UpgradePolicy(h2c="ignore"), BAD, "fail", "answered 400, and 200 without Upgrade"),
        ("upgrade-unknown-token[policy]", UpgradePolicy(unknown_protocols="reject"), BAD, "pass", "answered 400"),
        ("upgrade-ignored-serves-http", UpgradePolicy(unknown_protocols="reject"), BAD, "not-exercised", None),
        ("ws-plain-get", SHOP, BAD, "not-exercised", "the policy does not list this path in websocket_only"),
        ("ws-plain-get", UpgradePolicy(websocket_only=["/{a}"]), BAD, "fail", "answered 400"),
    ],
)
def test_an_answer_is_judged_by_the_policy(
    name: str, policy: UpgradePolicy, answer: bytes, verdict: str, message: str | None
) -> None:
    outcome = run(name, saying(answer), policy=policy, plain=PLAIN)
    assert outcome.verdict == verdict
    assert message in (None, outcome.message)


ANY_PAGE = "any page on the web may open this with the cookies of whoever looks at it"


@pytest.mark.parametrize(
    ("policy", "cause"),
    [
        (None, "no policy says who may"),
        (UpgradePolicy(allow_origins=["*"]), 'allow-origins = ["*"]'),
        (NO_CHECK, "check-origin = false"),
        (UpgradePolicy.lenient(), 'mode = "lenient" without an option on origins'),
        (UpgradePolicy(report_only=True), "report-only = true"),
        (UpgradePolicy(allow_origin_regex=r"https://.*"), "the policy admits https://attacker.example"),
        (UpgradePolicy(check_origin=lambda *_: True), "check_origin"),
        (SHOP, "against the policy"),
    ],
)
def test_a_page_of_any_site_is_not_let_in_whatever_the_policy_says(policy: UpgradePolicy | None, cause: str) -> None:
    outcome = run("ws-origin-check[cross-site]", saying(switched()), policy=policy)
    assert at_last(outcome) == ("fail", f"switched protocols ({cause}): {ANY_PAGE}")
    assert run("ws-origin-check[cross-site]", saying(BAD), policy=policy).verdict == "pass"


@pytest.mark.parametrize(
    ("secret", "cookies"), [((), [b"checked=1"]), (((b"COOKIE", b"a=secret"),), [b"a=secret"])], ids=["none", "own"]
)
def test_a_page_of_another_site_sends_a_cookie(secret: tuple[tuple[bytes, bytes], ...], cookies: list[bytes]) -> None:
    heads: list[bytes] = []
    run("ws-origin-check[cross-site]", recording(heads, BAD), secret=secret)
    lines = heads[0].split(b"\r\n")
    assert b"Origin: https://attacker.example" in lines
    assert [line.partition(b": ")[2] for line in lines if line.lower().startswith(b"cookie:")] == cookies


def test_what_is_ignored_is_not_switched_where_nothing_is_known_to_compare_with() -> None:
    assert run("h2c-obsolete[policy]", saying(OK), policy=UpgradePolicy(h2c="ignore")).verdict == "pass"
    assert run("h2c-obsolete[policy]", saying(switched()), policy=UpgradePolicy(h2c="ignore")).verdict == "fail"


# What all have in common


def test_rules_on_every_response_need_one() -> None:
    assert at_last(run("426-upgrade", saying(OK))) == ("not-exercised", "no 426 was seen")


@pytest.mark.parametrize(
    ("rule_id", "fields", "asking", "messages"),
    [
        ("101-unasked", b"Upgrade: x\r\nConnection: Upgrade\r\n", b"", {"a plain GET: switched protocols"}),
        ("101-offered-only", b"Upgrade: x\r\n", b"h2c", {'every 101: the 101 names "x", which was not offered'}),
        ("101-offered-only", b"", b"h2c", {"every 101: the 101 names no protocol"}),
        (
            *("upgrade-needs-connection-option", b"Upgrade: h2c\r\n", b"h2c"),
            {
                "every response with Upgrade, but the 101 of a WebSocket: "
                "the 101 has Upgrade without Connection: Upgrade"
            },
        ),
    ],
)
def test_every_101_is_judged_where_no_websocket_path_is_known(
    rule_id: str, fields: bytes, asking: bytes, messages: set[str]
) -> None:
    def answer(sock: socket.socket) -> None:
        switches = (b"Upgrade: " + asking if asking else b"GET") in head(sock)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n" if switches else OK)

    with scripted(answer) as address:
        select = tuple({rule_id, "h2c-obsolete"})
        report = check([f"http://{address}/"], CheckOptions(select=select, timeout=10))
    found = {result.message for _, result in report.results() if result.verdict == "fail"}
    assert {message for message in found if "h2c" not in message} == messages


def test_a_malformed_member_in_any_response_is_found() -> None:
    answer = saying(b"HTTP/1.1 200 OK\r\nConnection: a b\r\nContent-Length: 0\r\n\r\n")
    with scripted(answer) as address:
        report = check([f"http://{address}/"], CheckOptions(select=("upgrade-list-grammar",), timeout=10))
    ((_, result),) = report.results()
    assert result.message == 'every response: connection has the malformed member "a b"'
    assert result.exchanges[0].received.startswith(b"HTTP/1.1 200 OK\r\nConnection: a b")
