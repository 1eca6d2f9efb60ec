from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.check.wire.response import (
    UNTIL_CLOSE,
    NotHTTP,
    Response,
    content_length,
    dechunk,
    parse_head,
    split_head,
)

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUPGRADE: websocket, Irc/2\r\nConnection: keep-alive,\t UpGrade\r\n\r\n"


def response(head: bytes) -> Response:
    return parse_head(head)


@pytest.mark.parametrize(
    ("kind", "body", "detail"),
    [
        (b"application/problem+json", b'{"title": "t", "detail": "none is spoken"}', "none is spoken"),
        (b"Application/Problem+JSON; charset=utf-8", b'{"detail": "d"}', "d"),
        (b"application/json", b'{"detail": "d"}', ""),
        (b"application/problem+json", b'{"detail": 1}', ""),
        (b"application/problem+json", b'["detail"]', ""),
        (b"application/problem+json", b'{"detail": "cut', ""),
        (b"application/problem+json", b"[" * 100000, ""),
        (b"application/problem+json", b"\xff", ""),
    ],
)
def test_the_detail_is_that_of_a_problem_document(kind: bytes, body: bytes, detail: str) -> None:
    head = b"HTTP/1.1 400 No\r\nContent-Type: " + kind + b"\r\n\r\n"
    assert replace(response(head), body=body).detail == detail


def test_a_head_is_split_from_what_follows() -> None:
    assert split_head(SWITCHED + b"\x81\x00") == (SWITCHED, b"\x81\x00")
    assert split_head(b"HTTP/1.0 200\n\nbody") == (b"HTTP/1.0 200\n\n", b"body")


@given(st.integers(min_value=0, max_value=len(SWITCHED) - 1))
def test_a_head_that_has_not_arrived_is_awaited(length: int) -> None:
    assert split_head(SWITCHED[:length]) is None


@pytest.mark.parametrize("data", [b"S", b"HTTQ", b"\x81\x02no", b"http/1.1 200 OK\r\n\r\n"])
def test_what_cannot_become_a_head_is_seen_at_once(data: bytes) -> None:
    with pytest.raises(NotHTTP):
        split_head(data)


def test_status_version_and_fields_are_read() -> None:
    parsed = response(SWITCHED)
    assert (parsed.status, parsed.version, parsed.head) == (101, "1.1", SWITCHED)
    assert parsed.fields == ((b"upgrade", b"websocket, Irc/2"), (b"connection", b"keep-alive,\t UpGrade"))
    assert parsed.options == {"keep-alive", "upgrade"}
    assert parsed.protocols == ["websocket", "irc"]


def test_the_lines_of_a_field_are_one_list() -> None:
    parsed = response(b"HTTP/1.1 200 OK\r\nA: 1\r\nb: 2\r\na:\t3 \r\nno colon\r\n\r\n")
    assert (parsed.values(b"a"), parsed.value(b"a"), parsed.value(b"c")) == ([b"1", b"3"], b"1, 3", b"")


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 20 OK", b"HTTP/1 200 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1 200OK", b"HTTP/"]
)
def test_what_is_no_status_line_is_not_http(line: bytes) -> None:
    with pytest.raises(NotHTTP):
        parse_head(line + b"\r\n\r\n")


@given(st.binary())
def test_any_octets_are_a_head_or_not_http(data: bytes) -> None:
    try:
        split = split_head(b"HTTP/" + data + b"\r\n\r\n")
        assert split is not None
        assert parse_head(split[0]).head == split[0]
    except NotHTTP:
        pass


@pytest.mark.parametrize(
    ("head", "method", "length"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"GET", 5, id="length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HEAD", 0, id="head"),
        pytest.param(b"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n", b"GET", 0, id="no-content"),
        pytest.param(b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", b"GET", 0, id="not-modified"),
        pytest.param(b"HTTP/1.1 101 Go\r\nContent-Length: 5\r\n\r\n", b"GET", 0, id="interim"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET", None, id="chunked"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n", b"GET", UNTIL_CLOSE, id="until-close"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"GET", UNTIL_CLOSE, id="bad-length"),
    ],
)
def test_the_length_of_the_content_is_told(head: bytes, method: bytes, length: int | None) -> None:
    assert content_length(response(head), method) == length


def chunked(parts: list[bytes]) -> bytes:
    return b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nTrailer: x\r\n\r\n"


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=4), st.binary(max_size=9))
def test_chunks_are_joined_and_their_end_is_found(parts: list[bytes], behind: bytes) -> None:
    coded = chunked(parts)
    assert dechunk(coded + behind) == (b"".join(parts), len(coded), True)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=4), st.data())
def test_chunks_may_arrive_in_two_parts(parts: list[bytes], data: st.DataObject) -> None:
    coded = chunked(parts)
    first, taken, ended = dechunk(coded[: data.draw(st.integers(min_value=0, max_value=len(coded) - 1))])
    assert not ended
    second, _, ended = dechunk(coded[taken:])
    assert (first + second, ended) == (b"".join(parts), True)


def test_a_last_chunk_without_trailers_ends_the_content() -> None:
    assert dechunk(b"0\r\n\r\n") == (b"", 5, True)


@pytest.mark.parametrize("data", [b"hello\n", b"5\r\nhello\r\nx\r\n", b"-1\r\n", b"2\r\nhello"])
def test_what_is_no_chunk_is_not_http(data: bytes) -> None:
    with pytest.raises(NotHTTP):
        dechunk(data)
