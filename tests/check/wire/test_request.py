from __future__ import annotations

import base64
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.check.wire.request import KEY, Masked, ProbeRequest

BASE = ProbeRequest(((b"Host", b"a"), (b"Upgrade", b"websocket"), (b"X", b"1")), b"/ws")
NAMES = st.sampled_from([b"Host", b"upgrade", b"X", b"New"])


def test_a_request_is_written_to_the_octet() -> None:
    assert bytes(BASE) == b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nX: 1\r\n\r\n"


def test_lines_of_a_field_stay_where_its_first_was() -> None:
    assert BASE.having(b"upgrade", b"a", b"b").fields == (
        (b"Host", b"a"),
        (b"upgrade", b"a"),
        (b"upgrade", b"b"),
        (b"X", b"1"),
    )


def test_a_field_can_be_removed_added_and_renamed() -> None:
    assert BASE.having(b"HOST").fields == BASE.fields[1:]
    assert BASE.having(b"New", b"x").fields == (*BASE.fields, (b"New", b"x"))
    assert BASE.renamed(b"X", b"x ").fields[2] == (b"x ", b"1")


@given(NAMES, st.lists(st.binary(max_size=3), max_size=3))
def test_a_change_touches_one_field_only(name: bytes, values: list[bytes]) -> None:
    changed = BASE.having(name, *values)
    assert changed.values(name) == values
    others = [field for field in BASE.fields if field[0].lower() != name.lower()]
    assert [field for field in changed.fields if field[0].lower() != name.lower()] == others


def test_method_target_and_version_change_alone() -> None:
    assert bytes(BASE.having_line(method=b"get")).startswith(b"get /ws HTTP/1.1\r\n")
    assert bytes(BASE.having_line(target=b"*")).startswith(b"GET * HTTP/1.1\r\n")
    assert bytes(BASE.having_line(version=b"HTTP/1.0")).startswith(b"GET /ws HTTP/1.0\r\n")


def test_content_is_announced_and_sent() -> None:
    assert bytes(BASE.having_content(b"hello")).endswith(b"X: 1\r\nContent-Length: 5\r\n\r\nhello")


def test_a_secret_is_sent_and_not_shown() -> None:
    request = ProbeRequest(BASE.fields, b"/", secret=((b"Authorization", b"1"),))
    assert bytes(request).endswith(b"Authorization: 1\r\n\r\n")
    assert request.shown.endswith(b"X: 1\r\nAuthorization: [redacted]\r\n\r\n")


def test_a_line_that_is_no_request_line_is_sent_as_it_is() -> None:
    odd = replace(BASE, line=b"GET /ws", secret=((b"Cookie", b"1"),))
    assert bytes(odd).startswith(b"GET /ws\r\nHost: a\r\n")
    assert odd.shown.startswith(b"GET /ws\r\nHost: a\r\n")


def test_masked_octets_are_sent_and_others_shown() -> None:
    masked = Masked(b"hunter2", b"[redacted]")
    assert (bytes(masked), masked.shown) == (b"hunter2", b"[redacted]")


def test_the_key_is_sixteen_octets() -> None:
    assert base64.b64decode(KEY, validate=True) == b"asgi-upgrade/1.0"
