"""What probes of WebSocket over HTTP/2 make of what a server does; that each finds its fault is in ``tests/check``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, TypeAlias

import pytest

from asgi_upgrade.check.probes.catalogue import PROBES
from asgi_upgrade.check.probes.probe import Outcome
from asgi_upgrade.check.wire.exchange import Address
from asgi_upgrade.check.wire.wire import Base, Wire
from asgi_upgrade.policy import UpgradePolicy
from tests.support.broken.h2 import Fields, Malformed, Speaker, speaking
from tests.support.broken.head import Rejected
from tests.support.broken.scripted import Answer, holding, saying, scripted

BY_NAME = {probe.name: probe for probe in PROBES}

Reply: TypeAlias = int | str | Fields | None
"""To a request: a status without more, ``reset``, ``silence``, the fields of a 200, or as it is judged."""

VALID = None
PONG = b"\x8a\x0casgi-upgrade"
TEXT = b"\x81\x02hi"
CLOSE = b"\x88\x02\x03\xe8"
END, RESET = b"END", b"RESET"
"""What is sent on a WebSocket: octets, or how it is ended."""

SILENCE = 1.0
"""Seconds after which a server counts as silent, where it is to be."""


def acting(*replies: Reply, frames: Sequence[bytes] | None = None, content: bytes = b"", at_end: bytes = b"") -> Answer:
    """Return a server that does as it is told.

    Args:
        *replies: How each request of a connection is answered; what comes behind, as it is judged.
        frames: What is sent for each DATA frame on a WebSocket; None answers as a WebSocket does.
        content: The content of a 404 that is the answer to everything.
        at_end: What is sent when the client ends its half.
    """

    class Acting(Speaker):
        def __init__(self, sock: socket.socket, fault: str, policed: bool) -> None:
            super().__init__(sock, fault, policed)
            self.replies = list(replies)
            self.frames = None if frames is None else list(frames)

        def judged(self, named: dict[bytes, bytes], fields: Fields, *, ended: bool) -> tuple[int, Fields]:
            match self.replies.pop(0) if self.replies else VALID:
                case "reset":
                    raise Malformed
                case int(status):
                    raise Rejected(status)
                case list(answer):
                    return 200, answer
                case _:
                    return super().judged(named, fields, ended=ended)

        def asked(self, number: int, fields: Fields, *, ended: bool) -> None:
            if self.replies[:1] == ["silence"]:
                return
            if content:
                self.h2.send_headers(number, [(b":status", b"404")])
                self.h2.send_data(number, content, end_stream=True)
                return
            super().asked(number, fields, ended=ended)

        def received(self, number: int, data: bytes) -> None:
            if self.frames is None:
                super().received(number, data)
            elif self.frames:
                self.act(number, self.frames.pop(0))

        def act(self, number: int, what: bytes) -> None:
            for part in what.replace(RESET, b"|" + RESET).replace(END, b"|" + END).split(b"|"):
                if part == RESET:
                    self.h2.reset_stream(number, 8)
                elif part == END:
                    self.h2.end_stream(number)
                elif part:
                    self.h2.send_data(number, part)

        def half_closed(self, number: int) -> None:
            if at_end:
                self.act(number, at_end)
            else:
                super().half_closed(number)

    return speaking(Acting)


def run(name: str, answer: Answer, timeout: float = 10.0, **known: Any) -> tuple[str, str]:
    """Carry out a probe; return verdict and message."""

    async def go(address: str) -> Outcome:
        host, _, port = address.partition(":")
        base = Base(address=Address(host=host, port=int(port), authority=address), path="/ws", timeout=timeout, **known)
        return await BY_NAME[name].run(Wire(base, []))

    with scripted(answer) as address:
        outcome = asyncio.run(go(address))
    return outcome.verdict, outcome.message


NO_BROWSER = "no browser that meets it over HTTP/2 can open this"
LENGTH: Fields = [(b"content-length", b"0")]


@pytest.mark.parametrize(
    ("name", "answer", "verdict", "message"),
    [
        # The control
        ("h2-ws-success", acting(), "pass", "the switched connection answered a ping"),
        ("h2-ws-success", acting(frames=[CLOSE]), "pass", "the switched connection closed in order"),
        ("h2-ws-success", acting(frames=[END]), "fail", "the switched connection was closed"),
        ("h2-ws-success", acting(404), "fail", f"offered, and answered 404: {NO_BROWSER}"),
        ("h2-ws-success", acting(content=b"No"), "fail", f'offered, and answered 404 ("No"): {NO_BROWSER}'),
        ("h2-ws-success", acting("reset"), "fail", f"offered, and reset the stream: {NO_BROWSER}"),
        ("h2-ws-success", acting("silence"), "fail", f"offered, and did not answer in time: {NO_BROWSER}"),
        (
            *("h2-ws-success", acting(LENGTH), "fail"),
            'offered, and answered 200 with Content-Length: "0", which cuts it off',
        ),
        # Whatever is to be refused
        ("h2-protocol-pseudo[twice]", acting("reset"), "pass", "reset the stream"),
        ("h2-protocol-pseudo[twice]", acting(400), "pass", "answered 400"),
        ("h2-protocol-pseudo[twice]", acting(302), "fail", "answered 302"),
        ("h2-protocol-pseudo[twice]", acting("silence"), "fail", "did not answer in time"),
        ("h2-malformed[websocket]", acting(101), "pass", "answered 101"),
        ("h2-malformed[websocket]", acting(302), "fail", "answered 302"),
        # The response
        ("h2-no-key[no-accept]", acting(403), "pass", "answered 403"),
        ("h2-no-key[no-accept]", acting("silence"), "fail", "did not answer in time"),
        ("h2-no-key[translated]", acting(400), "fail", "answered 400"),
        ("h2-no-connection-fields[accepted]", acting("reset"), "pass", "reset the stream"),
        ("h2-no-connection-fields[accepted]", acting([(b"upgrade", b"x")]), "fail", "the response has upgrade"),
        (
            *("ws-subprotocol-null[h2-none-offered]", acting([(b"sec-websocket-protocol", b"a")]), "fail"),
            'the response says Sec-WebSocket-Protocol: "a"',
        ),
        ("ws-subprotocol-null[h2-unknown]", acting(), "pass", "none was chosen"),
        (
            *("ws-subprotocol-offered[h2]", acting([(b"sec-websocket-protocol", b"X-CHECKED.2")]), "pass"),
            '"X-CHECKED.2" was chosen',
        ),
        (
            *("ws-subprotocol-offered[h2]", acting([(b"sec-websocket-protocol", b"x-checked.2")]), "fail"),
            'the response names "x-checked.2", which is none of the offer',
        ),
        (
            *("ws-subprotocol-offered[h2]", acting([(b"sec-websocket-protocol", b"x-checked.1")] * 2), "fail"),
            'the response names "x-checked.1, x-checked.1", which is none of the offer',
        ),
        (
            *("ws-extension-offered[h2-unknown]", acting([(b"sec-websocket-extensions", b"x-checked")]), "fail"),
            'the response says Sec-WebSocket-Extensions: "x-checked"',
        ),
        # Versions
        ("h2-ws-version-fail[99]", acting(400), "fail", "answered 400 without Sec-WebSocket-Version: 13"),
        ("h2-ws-version-fail[99]", acting("reset"), "fail", "reset the stream, which names no version that would do"),
        ("h2-ws-version-fail[99]", acting([]), "fail", "answered 200"),
        ("ws-426-h2", acting("reset"), "pass", "reset the stream"),
        # The stream
        ("h2-data-split", acting(403), "fail", "answered 403"),
        ("h2-flow-control", acting(frames=[b""]), "fail", "sent 0 octets, and no more, though it was granted 4"),
        ("h2-flow-control", acting(frames=[CLOSE]), "pass", "the switched connection closed in order"),
        ("h2-flow-control", acting(frames=[END]), "fail", "the switched connection was closed"),
        ("fr-client-mask", acting(frames=[TEXT + b"\x88\x02\x03\xea"]), "pass", "closed with 1002"),
        ("fr-client-mask", acting(frames=[RESET]), "pass", "ended the stream"),
        ("fr-client-mask", acting(frames=[TEXT]), "fail", "neither closed nor answered"),
        ("fr-client-mask", acting(frames=[TEXT * 40]), "fail", "neither closed nor answered"),
        ("fr-client-mask", acting(frames=[PONG]), "fail", "answered it"),
        ("h2-close-map[close]", acting(frames=[TEXT + CLOSE + END]), "pass", "closed, and ended the stream"),
        ("h2-close-map[close]", acting(frames=[CLOSE]), "fail", "closed, and the stream stays open"),
        ("h2-close-map[close]", acting(frames=[CLOSE + RESET]), "fail", "closed, and the stream was reset, not ended"),
        ("h2-close-map[close]", acting(frames=[END]), "fail", "no close frame came back: the stream ended"),
        ("h2-close-map[close]", acting(frames=[b""]), "fail", "no close frame came back: the stream is silent"),
        ("h2-close-map[end]", acting(), "pass", "the stream was ended"),
        ("h2-close-map[end]", acting(at_end=RESET), "pass", "the stream was reset"),
        # The connection
        ("h2-connection-usable[end]", acting(VALID, 404), "pass", "a GET was answered 404"),
        ("h2-connection-usable[reset]", acting(VALID, "reset"), "fail", "a GET: reset the stream"),
        ("h2-connection-usable[rejection]", acting([]), "not-exercised", "the server accepts any version"),
        ("h2-connection-usable[rejection]", acting(400, "reset"), "fail", "a GET: reset the stream"),
        ("h2-connection-usable[rejection]", acting(400, 200), "pass", "answered 200"),
        (
            *("h2-connection-usable[rejection]", acting(400, 200, 503), "fail"),
            "the valid handshake behind it: answered 503",
        ),
        (
            *("h2-streams-beside", acting(VALID, 503), "not-exercised"),
            "the service takes no second WebSocket of a client (answered 503)",
        ),
        ("h2-streams-beside", acting(VALID, 404), "fail", "the second handshake: answered 404"),
        ("h2-streams-beside", acting(VALID, "reset"), "fail", "the second handshake: reset the stream"),
        (
            *("h2-streams-beside", acting(frames=[END, END]), "fail"),
            "the first WebSocket: the switched connection was closed",
        ),
        ("h2-streams-beside", acting(VALID, VALID, "reset"), "fail", "a GET: reset the stream"),
        # What needs a policy
        ("misdirected[h2-foreign]", acting(), "not-exercised", "there is no policy to compare with"),
    ],
)
def test_what_a_server_does_is_judged(name: str, answer: Answer, verdict: str, message: str) -> None:
    silent = any(words in message for words in ("in time", "silent", "stays open", "no more", "neither"))
    assert run(name, answer, SILENCE if silent else 10.0) == (verdict, message)


# Policies

SHOP = UpgradePolicy(allow_origins=["https://shop.example"])
HOSTS = UpgradePolicy(allowed_hosts=["shop.example"])
ANY_PAGE = "any page on the web may open this with the cookies of whoever looks at it"


@pytest.mark.parametrize(
    ("name", "policy", "answer", "verdict", "message"),
    [
        ("misdirected[h2-foreign]", SHOP, acting(), "not-exercised", "the policy allows any host"),
        ("misdirected[h2-foreign]", HOSTS, acting([]), "fail", "answered 200"),
        ("misdirected[h2-foreign]", HOSTS, acting(421), "pass", "answered 421"),
        (
            *("misdirected[h2-foreign]", UpgradePolicy(allowed_hosts=["a"], report_only=True), acting()),
            *("not-exercised", "the policy allows any host"),
        ),
        ("ws-origin-check[h2-cross-site]", SHOP, acting(403), "pass", "answered 403"),
        (
            *("ws-origin-check[h2-cross-site]", SHOP, acting([])),
            *("fail", f"answered 200 (against the policy): {ANY_PAGE}"),
        ),
        (
            *("ws-origin-check[h2-cross-site]", None, acting([])),
            *("fail", f"answered 200 (no policy says who may): {ANY_PAGE}"),
        ),
        (
            "h2-streams-beside",
            UpgradePolicy(max_connections=9),
            acting(),
            "not-exercised",
            "the policy limits connections",
        ),
        ("h2-streams-beside", SHOP, acting(), "pass", "a GET was answered 200"),
        (
            *("h2-malformed[websocket]", UpgradePolicy.lenient(), acting()),
            *("not-exercised", "the policy is lenient, and lets it pass"),
        ),
    ],
)
def test_what_a_server_does_is_judged_by_the_policy(
    name: str, policy: UpgradePolicy | None, answer: Answer, verdict: str, message: str
) -> None:
    assert run(name, answer, policy=policy) == (verdict, message)


def asked_by(name: str, **known: Any) -> Fields:
    """Return the fields of the first request that a probe sends."""
    asked: list[Fields] = []

    class Recording(Speaker):
        def asked(self, number: int, fields: Fields, *, ended: bool) -> None:
            asked.append(fields)
            super().asked(number, fields, ended=ended)

    run(name, speaking(Recording), **known)
    return asked[0]


@pytest.mark.parametrize("own", [False, True], ids=["none", "own"])
def test_a_page_of_another_site_sends_a_cookie_over_http2_too(own: bool) -> None:
    fields = asked_by("ws-origin-check[h2-cross-site]", secret=((b"Cookie", b"a=b"),) if own else ())
    assert (b"origin", b"https://attacker.example") in fields
    assert [value for name, value in fields if name == b"cookie"] == [b"a=b" if own else b"checked=1"]


def test_another_host_is_asked_for_from_a_page_of_its_own() -> None:
    def where(origin: str | None) -> list[bytes | None]:
        fields = dict(asked_by("misdirected[h2-foreign]", policy=HOSTS, host="shop.example", origin=origin))
        return [fields[b":authority"], fields.get(b"origin")]

    assert where("http://shop.example") == [b"attacker.example", b"http://attacker.example"]
    assert where("https://friend.example") == [b"attacker.example", b"https://friend.example"]
    assert where(None) == [b"attacker.example", None]


@pytest.mark.parametrize(
    ("name", "missing", "there"),
    [
        ("connect-method[h2]", {b":protocol", b":scheme", b":path", b"sec-websocket-version"}, {b":method"}),
        ("h2-protocol-pseudo[missing]", {b":protocol"}, {b":scheme", b":path"}),
        ("h2-protocol-pseudo[no-scheme]", {b":scheme"}, {b":protocol", b":path"}),
        ("h2-protocol-pseudo[no-path]", {b":path"}, {b":protocol", b":scheme"}),
        ("h2-ws-version-fail[missing]", {b"sec-websocket-version"}, {b":protocol"}),
        ("h2-no-key[no-accept]", {b"sec-websocket-key"}, {b"sec-websocket-version"}),
        ("h2-no-key[translated]", set(), {b"sec-websocket-key"}),
        ("h2-ws-host", set(), {b"host", b":authority"}),
        ("h2-protocol-pseudo[get]", set(), {b":protocol"}),
    ],
)
def test_a_probe_differs_from_the_valid_handshake_in_one_thing(
    name: str, missing: set[bytes], there: set[bytes]
) -> None:
    names = {field for field, _ in asked_by(name)}
    assert not names & missing
    assert names >= there


# The setting, and paths that are HTTP only


SETTINGS, RESET_IT = b"\0\0\0\x04\0\0\0\0\0", b"\0\0\x08\x07" + bytes(13)
"""Settings that say nothing, and GOAWAY."""


class Odd(Speaker):
    """Offers with an odd value."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sock.sendall(b"\0\0\x06\x04\0\0\0\0\0\0\x08\0\0\0\x02")


@pytest.mark.parametrize(
    ("answer", "verdict", "message"),
    [
        (speaking(Speaker), "pass", "it is 1; answered 200"),
        (speaking(Odd), "fail", "it is 2"),
        (speaking(Speaker, "h2-setting"), "fail", "it is 1, then 0"),
        (holding(SETTINGS + RESET_IT), "not-exercised", "the server does not offer WebSocket over HTTP/2 (RFC 8441)"),
        (saying(b"HTTP/1.1 400 No\r\n\r\n"), "not-exercised", "the server does not speak HTTP/2 here"),
    ],
)
def test_the_setting_is_judged(answer: Answer, verdict: str, message: str) -> None:
    assert run("h2-setting", answer) == (verdict, message)


@pytest.mark.parametrize(
    ("answer", "verdict", "message"),
    [
        (acting(404), "pass", "answered 404"),
        (acting("reset"), "pass", "reset the stream"),
        (acting([]), "fail", "answered 200, which opens it"),
        (acting(302), "pass", "answered 302"),
        (holding(SETTINGS + RESET_IT), "not-exercised", "the server does not offer WebSocket over HTTP/2 (RFC 8441)"),
        (saying(b"HTTP/1.1 400 No\r\n\r\n"), "not-exercised", "the server does not speak HTTP/2 here"),
    ],
)
def test_a_path_that_is_http_only_opens_no_websocket_over_http2(answer: Answer, verdict: str, message: str) -> None:
    assert run("h2-unexpected-switch", answer) == (verdict, message)
