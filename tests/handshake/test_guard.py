from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.errors import HandshakeViolation
from asgi_upgrade.grammar.fields import has_control, is_token
from asgi_upgrade.handshake.guard import (
    FRAMING,
    OWNED,
    Breach,
    accept_breaches,
    check_denial,
    handler_breaches,
    listed,
    repaired_response,
    resolve,
    response_breach,
)
from asgi_upgrade.types import Field

COOKIE = (b"set-cookie", b"a=b; Path=/")


def accept(**keys: Any) -> dict[str, Any]:
    return {"type": "websocket.accept", **keys}


# websocket.accept


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(accept(), id="bare"),
        pytest.param(accept(subprotocol=None, headers=[]), id="empty"),
        pytest.param(accept(subprotocol="chat"), id="offered-subprotocol"),
        pytest.param(accept(headers=[COOKIE, COOKIE, (b"x-y", b"a\tb\xff")]), id="fields-of-its-own"),
    ],
)
def test_sound_accept_is_left_as_it_is(message: dict[str, Any]) -> None:
    assert accept_breaches(message, ("chat", "superchat")) == ([], message)


@pytest.mark.parametrize(
    ("subprotocol", "offered", "what"),
    [
        pytest.param("x", ("a", "b"), 'subprotocol "x" was not offered (offered: "a, b")', id="another"),
        pytest.param("A", ("a",), 'subprotocol "A" was not offered (offered: "a")', id="case-counts"),
        pytest.param("x", (), 'subprotocol "x" was not offered (offered: none)', id="none-offered"),
        pytest.param("", ("a",), 'subprotocol "" was not offered (offered: "a")', id="empty"),
        pytest.param("x\r\n", ("a",), 'subprotocol "x\\x0d\\x0a" was not offered (offered: "a")', id="injection"),
        pytest.param(
            "y" * 40,
            ("chat", "v1.json.channel.shop.example", "x" * 30),
            'subprotocol "yyyy...(40 characters)" was not offered '
            '(offered: "chat, v1.json.channel.shop.example, xxxx...(30 characters)")',
            id="credentials",
        ),
    ],
)
def test_subprotocol_that_was_not_offered_is_a_breach(subprotocol: str, offered: tuple[str, ...], what: str) -> None:
    message = accept(subprotocol=subprotocol)
    breaches, cleaned = accept_breaches(message, offered, ("v1.json.channel.shop.example",))
    assert breaches == [Breach("ws-subprotocol-offered", what)]
    assert cleaned == accept(subprotocol=None)
    assert message["subprotocol"] == subprotocol


def test_breach_quotes_no_more_than_a_bounded_part_of_the_offer() -> None:
    (breach,), _ = accept_breaches(accept(subprotocol="x"), ["y" * 60_000])
    assert len(breach.what) < 300


FORBIDDEN = (
    b"connection",
    b"upgrade",
    b"sec-websocket-accept",
    b"sec-websocket-extensions",
    b"sec-websocket-protocol",
    b"sec-websocket-version",
    b"content-length",
    b"transfer-encoding",
)


def test_table_of_owned_fields_is_complete() -> None:
    assert frozenset(FORBIDDEN) == OWNED


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        *(pytest.param(name, b"x", "asgi-accept-owned", id=name.decode()) for name in FORBIDDEN),
        pytest.param(b"Sec-WebSocket-Accept", b"x", "asgi-accept-owned", id="owned-in-any-case"),
        pytest.param(b" Upgrade\t", b"x", "asgi-accept-owned", id="owned-with-white-space"),
        *(
            pytest.param(name, b"x", "asgi-accept-headers", id=repr(name))
            for name in (b":status", b":path", b"", b"a b", b"x-a:", b"x\r\ny", b"x\ny", b"x\x00", b"x\xe9", b"x-a ")
        ),
        *(
            pytest.param(b"x-a", value, "asgi-accept-headers", id=repr(value))
            for value in (b"a\r\nb", b"a\nb", b"a\rb", b"a\x00", b"\x1f", b"\x7f")
        ),
    ],
)
def test_field_that_an_accept_must_not_have_is_a_breach(name: bytes, value: bytes, rule: str) -> None:
    message = accept(headers=[COOKIE, (name, value)])
    breaches, cleaned = accept_breaches(message, ())
    assert [breach.rule for breach in breaches] == [rule]
    assert cleaned == accept(headers=[COOKIE])
    assert message["headers"] == [COOKIE, (name, value)]


def test_breach_does_not_show_a_cookie() -> None:
    (breach,), _ = accept_breaches(accept(headers=[(b"Set-Cookie", b"sid=s3cret\n")]), ())
    assert breach.what == 'websocket.accept has a control octet in "Set-Cookie": "..."'


def test_every_breach_is_named_in_order() -> None:
    message = accept(subprotocol="x", headers=[(b":a", b""), COOKIE, (b"upgrade", b"a")])
    breaches, cleaned = accept_breaches(message, ())
    assert [breach.rule for breach in breaches] == [
        "ws-subprotocol-offered",
        "asgi-accept-headers",
        "asgi-accept-owned",
    ]
    assert cleaned == accept(subprotocol=None, headers=[COOKIE])


@given(st.lists(st.tuples(st.binary(max_size=10) | st.sampled_from(FORBIDDEN), st.binary(max_size=10))))
def test_what_is_left_of_any_fields_is_sound(fields: list[Field]) -> None:
    breaches, cleaned = accept_breaches(accept(headers=fields), ())
    assert len(breaches) + len(cleaned["headers"]) == len(fields)
    for name, value in cleaned["headers"]:
        assert is_token(name)
        assert name.lower() not in FORBIDDEN
        assert not has_control(value)
    assert all(breach.what.isprintable() and breach.what.isascii() for breach in breaches)


# http.response.start


@pytest.mark.parametrize(
    ("status", "h2", "rule"),
    [
        (101, False, "asgi-no-101"),
        (101, True, "101-not-h2-h3"),
        (100, False, None),
        (200, True, None),
        (426, False, None),
    ],
)
def test_101_of_an_application_that_cannot_switch_is_a_breach(status: int, h2: bool, rule: str | None) -> None:
    breach = response_breach({"type": "http.response.start", "status": status}, h2=h2)
    assert (breach.rule if breach else None) == rule


UPGRADE = (b"upgrade", b"websocket")
OPTION = (b"connection", b"Upgrade")
TYPE = (b"content-type", b"text/plain")


@pytest.mark.parametrize(
    ("status", "fields", "repaired"),
    [
        # 426 says what to upgrade to (RFC 9110 section 15.5.22)
        pytest.param(426, [TYPE], [TYPE, UPGRADE, OPTION], id="426-without-upgrade"),
        pytest.param(426, [OPTION], [OPTION, UPGRADE], id="426-with-the-option-only"),
        pytest.param(426, [(b"Upgrade", b"h2c")], [(b"Upgrade", b"h2c"), OPTION], id="426-without-the-option"),
        pytest.param(426, [UPGRADE, (b"Connection", b"close, UPGRADE")], None, id="426-complete"),
        # Upgrade needs its option (RFC 9110 section 7.8)
        pytest.param(200, [UPGRADE], [UPGRADE, OPTION], id="upgrade-without-the-option"),
        pytest.param(
            200, [UPGRADE, (b"connection", b"close")], [UPGRADE, (b"connection", b"close"), OPTION], id="another-option"
        ),
        pytest.param(
            200, [UPGRADE, (b"connection", b"close"), (b"connection", b"upgrade")], None, id="option-on-a-line"
        ),
        pytest.param(200, [TYPE, OPTION], None, id="option-without-upgrade"),
        pytest.param(200, [TYPE], None, id="neither"),
        pytest.param(200, [], None, id="no-fields"),
    ],
)
def test_upgrade_of_a_response_is_repaired(status: int, fields: list[Field], repaired: list[Field] | None) -> None:
    before = list(fields)
    assert repaired_response(status, fields, h2=False) == repaired
    assert fields == before


@pytest.mark.parametrize(
    ("status", "fields", "repaired"),
    [
        pytest.param(200, [(b"Upgrade", b"h2c"), TYPE, (b"Connection", b"close")], [TYPE], id="both"),
        pytest.param(426, [UPGRADE], [], id="426"),
        pytest.param(426, [TYPE], None, id="426-gets-none"),
        pytest.param(200, [TYPE], None, id="neither"),
    ],
)
def test_http2_response_loses_both_fields(status: int, fields: list[Field], repaired: list[Field] | None) -> None:
    assert repaired_response(status, fields, h2=True) == repaired


@given(
    st.integers(200, 599),
    st.lists(st.sampled_from([UPGRADE, OPTION, TYPE, (b"Connection", b"close"), (b"UPGRADE", b"a")])),
    st.booleans(),
)
def test_repaired_response_needs_no_repair(status: int, fields: list[Field], h2: bool) -> None:
    repaired = repaired_response(status, fields, h2=h2)
    if repaired is not None:
        assert repaired != fields
        assert repaired_response(status, repaired, h2=h2) is None


# The mode

BREACHES = [Breach("asgi-accept-owned", "first"), Breach("asgi-accept-headers", "second")]


def test_strict_raises_on_the_first_breach() -> None:
    with pytest.raises(HandshakeViolation) as caught:
        list(resolve(BREACHES, strict=True))
    assert (caught.value.rule, caught.value.what) == ("asgi-accept-owned", "first")


def test_lenient_warns_of_each_breach() -> None:
    assert list(resolve(BREACHES, strict=False)) == [
        "dropped: first [asgi-accept-owned]",
        "dropped: second [asgi-accept-headers]",
    ]


@pytest.mark.parametrize("strict", [True, False])
def test_nothing_is_said_where_there_is_no_breach(strict: bool) -> None:
    assert list(resolve([], strict=strict)) == []


# What the handler of another protocol sends


@pytest.mark.parametrize("name", sorted(OWNED))
def test_handler_may_not_write_what_the_server_writes(name: bytes) -> None:
    field = (name.title(), b"x")
    breach = Breach("handler-fields", f'a 101 must not carry "{name.title().decode()}": the server writes it')
    assert handler_breaches([COOKIE, field], switching=True) == ([breach], [COOKIE])
    breaches, kept = handler_breaches([COOKIE, field], switching=False)
    assert kept == ([COOKIE] if name in FRAMING else [COOKIE, field])
    assert len(breaches) == 2 - len(kept)


@pytest.mark.parametrize(
    ("field", "what"),
    [
        pytest.param((b"a b", b"x"), 'a rejection has the field name "a b", which is not a token', id="name"),
        pytest.param((b":status", b"200"), 'a rejection has the field name ":status", which is not a token', id="h2"),
        pytest.param((b"a", b"x\r\nb: c"), 'a rejection has a control octet in "a": "x\\x0d\\x0ab: c"', id="crlf"),
    ],
)
def test_handler_may_not_send_invalid_fields(field: Field, what: str) -> None:
    assert handler_breaches([field], switching=False) == ([Breach("handler-fields", what)], [])


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20))), st.booleans())
def test_fields_of_a_handler_that_are_kept_break_nothing(fields: list[Field], switching: bool) -> None:
    breaches, kept = handler_breaches(fields, switching=switching)
    assert len(breaches) + len(kept) == len(fields)
    owned = OWNED if switching else FRAMING
    for name, value in kept:
        assert is_token(name)
        assert name.lower() not in owned
        assert not has_control(value)
    assert handler_breaches(kept, switching=switching) == ([], kept)


# Fields that can be read once


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([COOKIE], id="list"),
        pytest.param((COOKIE,), id="tuple"),
        pytest.param(None, id="none"),
    ],
)
def test_message_whose_fields_can_be_read_again_is_left_as_it_is(headers: Any) -> None:
    message = accept(headers=headers)
    assert listed(message) is message
    bare = accept()
    assert listed(bare) is bare


def test_fields_that_can_be_read_once_become_a_list() -> None:
    message = accept(headers=iter([COOKIE, COOKIE]), subprotocol="chat")
    once = listed(message)
    assert once == accept(headers=[COOKIE, COOKIE], subprotocol="chat")
    assert listed(once) is once


# The denial of a websocket scope


def denial(status: int, *headers: Field) -> dict[str, Any]:
    return {"type": "websocket.http.response.start", "status": status, "headers": headers}


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(denial(300), id="least-status"),
        pytest.param(denial(599, COOKIE, (b"Connection", b"close"), (b"content-length", b"0")), id="any-name"),
        pytest.param({"type": "websocket.http.response.start", "status": 403}, id="no-headers"),
        pytest.param({"type": "websocket.http.response.start", "status": 403, "headers": None}, id="none"),
    ],
)
def test_sound_denial_passes(message: dict[str, Any]) -> None:
    check_denial(message)


@pytest.mark.parametrize(
    ("message", "what"),
    [
        pytest.param(denial(299), 'a denial response has a status from 300 to 599, not "299"', id="status"),
        pytest.param(denial(600), 'a denial response has a status from 300 to 599, not "600"', id="above"),
        pytest.param(
            denial(403, COOKIE, (b"a b", b"x")),
            'a denial response has the field name "a b", which is not a token',
            id="name",
        ),
        pytest.param(
            denial(403, (b"a", b"x\r\nb: c")),
            'a denial response has a control octet in "a": "x\\x0d\\x0ab: c"',
            id="crlf",
        ),
    ],
)
def test_denial_that_a_server_could_not_send_raises(message: dict[str, Any], what: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        check_denial(message)
    assert str(caught.value) == what
