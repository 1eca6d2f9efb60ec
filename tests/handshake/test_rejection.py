from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.handshake.rejection import ErrorResponse, describe, render, render_own
from asgi_upgrade.handshake.verdict import Facts, Reject
from asgi_upgrade.rules import RULES
from asgi_upgrade.types import Field
from tests.support.facts import ADVERTISED, VERSION, connect, handshake, reject

EVIL = b'https://evil.example\r\nSet-Cookie: a=b"\x00\xff'


def made(rule: str = "host-invalid", status: int = 400, **values: Any) -> Reject:
    return Reject(rule=RULES[rule], status=status, detail="not a host", **values)


def values_of(answer: ErrorResponse, name: bytes) -> list[bytes]:
    return [value for key, value in answer.headers if key == name]


def problem_of(answer: ErrorResponse) -> dict[str, Any]:
    problem = json.loads(answer.body)
    assert isinstance(problem, dict)
    return problem


def test_body_is_a_problem_document() -> None:
    answer = render(made(received=("host", b"a b")))
    assert values_of(answer, b"content-type") == [b"application/problem+json"]
    rule = RULES["host-invalid"]
    assert problem_of(answer) == {
        "type": "urn:asgi-upgrade:rule:host-invalid",
        "title": rule.title,
        "status": 400,
        "detail": 'not a host; received host: "a b"',
        "rule": "host-invalid",
        "reference": "RFC 9112 section 3.2",
        "remedy": rule.fix,
    }


def test_field_that_is_absent_is_said_to_be_absent() -> None:
    assert describe(made(received=("host", None))) == "not a host; there is no host field"


def test_detail_without_a_field_is_the_detail_alone() -> None:
    assert describe(made()) == "not a host"


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        pytest.param(b"\r\n\x00\x7f", '"\\x0d\\x0a\\x00\\x7f"', id="control-octets"),
        pytest.param(b'a"b', '"a\\x22b"', id="quotes"),
        pytest.param(b"\xe4", '"\\xe4"', id="not-ascii"),
        pytest.param(b"<script>", '"<script>"', id="markup"),
        pytest.param(b"", '""', id="empty"),
    ],
)
def test_received_value_is_quoted_and_escaped(value: bytes, quoted: str) -> None:
    assert describe(made(received=("host", value))) == f"not a host; received host: {quoted}"


def test_received_value_is_quoted_up_to_200_characters() -> None:
    quoted = describe(made(received=("host", b"x" * 60_000))).partition(": ")[2]
    assert quoted == f'"{"x" * 197}..."'


@pytest.mark.parametrize(
    ("facts", "options", "seen"),
    [
        pytest.param(
            handshake({b"sec-websocket-protocol": b"chat, chat, " + b"s3cret" * 9}),
            {},
            'sec-websocket-protocol: "chat, chat, s3cr...(54 characters)"',
            id="bearer-token",
        ),
        pytest.param(
            handshake({b"sec-websocket-protocol": [b"v1.json.channel.shop.example"] * 2}),
            {"subprotocols": ["v1.json.channel.shop.example"]},
            'sec-websocket-protocol: "v1.json.channel.shop.example, v1.json.channel.shop.example"',
            id="subprotocol-of-the-policy",
        ),
        pytest.param(
            handshake({b"host": b"me:s3cret@shop.example"}), {}, 'host: "...@shop.example"', id="userinfo-of-host"
        ),
        pytest.param(
            handshake({b"origin": b"https://me:s3cret@shop.example"}),
            {},
            'origin: "https://...@shop.example"',
            id="userinfo-of-origin",
        ),
        pytest.param(
            handshake({b"origin": b"https://shop.example/?s3cret"}), {}, 'origin: "https://shop.example/?..."', id="url"
        ),
        pytest.param(
            handshake(target=b"ws://me:s3cret@shop.example/?s3cret"),
            {},
            'target: "ws://...@shop.example/?..."',
            id="target",
        ),
        pytest.param(
            connect(target=b"http://me:s3cret@shop.example/?s3cret"),
            {},
            'path: "http://...@shop.example/?..."',
            id="path-of-an-extended-connect",
        ),
        pytest.param(connect(target=b"*?token=s3cret"), {}, 'path: "*?..."', id="query-of-an-extended-connect"),
        pytest.param(handshake({b"cookie": b"sid=s3cret\x00"}), {}, 'cookie: "..."', id="cookie"),
    ],
)
def test_no_secret_stands_in_a_rejection(facts: Facts, options: dict[str, Any], seen: str) -> None:
    rejection = reject(facts, **options)
    assert describe(rejection).endswith(f"; received {seen}")
    assert "s3cret" not in repr(rejection)
    assert b"s3cret" not in render(rejection).body


@given(st.binary(), st.sampled_from(["GET", "HEAD", "POST"]), st.booleans())
def test_any_received_value_leaves_a_sound_answer(value: bytes, method: str, hop_fields: bool) -> None:
    answer = render(made(received=("origin", value)), method=method, hop_fields=hop_fields)
    without = render(made(), method=method, hop_fields=hop_fields)
    body = render(made(received=("origin", value))).body
    # No value of the request in any field; only the length may differ.
    assert [field for field in answer.headers if field[0] != b"content-length"] == [
        field for field in without.headers if field[0] != b"content-length"
    ]
    assert values_of(answer, b"content-length") == [str(len(body)).encode()]
    assert answer.body == (b"" if method == "HEAD" else body)
    assert all(32 <= octet < 127 or octet == 10 for octet in body)


def test_no_value_of_the_request_is_reflected_in_a_field() -> None:
    for facts in (
        handshake({b"origin": b"https://evil.example"}),
        handshake({b"sec-websocket-version": b"77"}),
        handshake({b"upgrade": b"evil token"}),
        handshake(method="EVIL"),
        handshake(target=b"evil:"),
    ):
        answer = render(reject(facts))
        assert not any(b"evil" in value.lower() or b"77" in value for _, value in answer.headers)
        assert b"evil" in answer.body.lower() or b"77" in answer.body


def test_answer_to_head_has_the_fields_of_the_answer_to_get() -> None:
    head, get = render(made(), method="HEAD"), render(made(), method="GET")
    assert head.body == b""
    assert head.headers == get.headers
    assert values_of(head, b"content-length") == [str(len(get.body)).encode()]


# Which fields go with which status

ONLY = {"websocket_only": ["/chat"]}
PLAIN = [(b"host", b"shop.example")]


@pytest.mark.parametrize(
    ("facts", "options", "fields"),
    [
        pytest.param(handshake({b"host": b"a b"}), {}, [(b"connection", b"close")], id="400-strict"),
        pytest.param(handshake({b"host": b"a b"}), {"mode": "lenient"}, [], id="400-lenient"),
        pytest.param(handshake(method="PUT"), {}, [(b"allow", b"GET"), (b"connection", b"close")], id="405"),
        pytest.param(
            handshake({b"sec-websocket-version": None}), {}, [VERSION, (b"connection", b"close")], id="version-missing"
        ),
        pytest.param(
            handshake({b"sec-websocket-version": b"x"}), {"mode": "lenient"}, [VERSION], id="version-malformed"
        ),
        pytest.param(
            handshake({b"sec-websocket-version": b"8"}),
            {},
            [VERSION, (b"upgrade", b"websocket"), (b"connection", b"Upgrade, close")],
            id="426-strict",
        ),
        pytest.param(
            handshake({b"sec-websocket-version": b"8"}),
            {"mode": "lenient"},
            [VERSION, (b"upgrade", b"websocket"), (b"connection", b"Upgrade")],
            id="426-lenient",
        ),
        pytest.param(
            handshake(headers=PLAIN),
            {**ONLY, "mode": "lenient"},
            [VERSION, (b"upgrade", b"websocket"), (b"connection", b"Upgrade")],
            id="426-to-a-plain-get",
        ),
        pytest.param(
            handshake({b"x": b"y" * 70_000}), {"mode": "lenient"}, [(b"connection", b"close")], id="431-closes-always"
        ),
    ],
)
def test_fields_of_an_answer(facts: Facts, options: dict[str, Any], fields: list[Field]) -> None:
    answer = render(reject(facts, **options))
    own = {b"content-type", b"content-length", b"cache-control"}
    assert [field for field in answer.headers if field[0] not in own] == fields


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("hop_fields", [True, False])
def test_client_is_told_when_to_come_back(status: int, hop_fields: bool) -> None:
    assert values_of(render(made("ws-503", status), hop_fields=hop_fields), b"retry-after") == [b"5"]


@pytest.mark.parametrize("status", [400, 403, 426, 500, 501])
def test_no_other_status_says_when_to_come_back(status: int) -> None:
    assert values_of(render(made(status=status)), b"retry-after") == []


statuses = st.sampled_from(sorted({400, 403, 405, 413, 421, 426, 429, 431, 501, 503, 505}))


@given(statuses, st.sampled_from([(), ADVERTISED, (VERSION,)]), st.booleans(), st.booleans())
def test_every_answer_is_complete(status: int, fields: tuple[Field, ...], close: bool, hop_fields: bool) -> None:
    answer = render(made(status=status, fields=fields, close=close), hop_fields=hop_fields)
    assert answer.status == status
    assert values_of(answer, b"cache-control") == [b"no-store"]
    assert len(values_of(answer, b"content-length")) == 1
    assert len(values_of(answer, b"connection")) <= 1
    assert all(name == name.lower() for name, _ in answer.headers)
    if not hop_fields:
        assert not values_of(answer, b"connection") + values_of(answer, b"upgrade")
    elif close:
        assert values_of(answer, b"connection")[0].endswith(b"close")
    if values_of(answer, b"upgrade"):
        assert values_of(answer, b"connection")[0].startswith(b"Upgrade")


@pytest.mark.parametrize("kind", ["http.response", "websocket.http.response"])
def test_answer_is_two_asgi_messages(kind: str) -> None:
    answer = render(made())
    start, body = answer.messages(kind)
    assert start == {"type": f"{kind}.start", "status": 400, "headers": answer.headers}
    assert body == {"type": f"{kind}.body", "body": answer.body, "more_body": False}


# What a handler decided


def own(status: int = 404, detail: str = "no such room", **changes: Any) -> ErrorResponse:
    options: dict[str, Any] = {"body": None, "fields": [], "method": "GET", "close": True, **changes}
    return render_own(status, detail, **options)


def test_rejection_of_a_handler_is_a_problem_document_without_a_rule() -> None:
    answer = own(fields=[(b"Content-Type", b"text/plain"), (b"x-room", b"7")])
    assert problem_of(answer) == {"title": "Not Found", "status": 404, "detail": "no such room"}
    assert answer.headers == [
        (b"x-room", b"7"),
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(answer.body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]


def test_rejection_of_a_handler_may_have_content_of_its_own() -> None:
    fields = [(b"content-type", b"application/json"), (b"Cache-Control", b"private"), (b"upgrade", b"irc/2")]
    answer = own(426, body=b"{}", fields=fields, close=False)
    assert answer.body == b"{}"
    assert answer.headers == [*fields, (b"content-length", b"2"), (b"connection", b"Upgrade")]


def test_rejection_of_a_handler_with_an_unknown_status_and_nothing_to_say() -> None:
    answer = own(499, "", close=False)
    assert problem_of(answer) == {"title": "Error", "status": 499}
    assert values_of(answer, b"connection") == []


def test_rejection_of_a_handler_in_answer_to_head_has_no_content() -> None:
    answer = own(method="HEAD")
    assert answer.body == b""
    assert int(values_of(answer, b"content-length")[0]) > 0
