"""The uvicorn adapter on zttp: what of zttp and of uvicorn's class for it must not be relied on."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
import zttp
from hypothesis import given
from hypothesis import strategies as st

import asgi_upgrade.uvicorn as adapter
from asgi_upgrade.uvicorn.zttp import OneMessage
from tests.support.serving import TIMEOUT, RawClient, serve
from tests.support.upgrade_app import CHUNKED, HEAD_101, PLAIN, SWITCH, UPGRADE, App, expect_plain, upgrade_request

LIMIT = 16384
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n"

# One message and nothing behind it


def parsed(segments: list[bytes], *, limit: int = LIMIT) -> tuple[bytes, bool, bytes]:
    """Return content, whether the message has ended, and what lies behind it."""
    message = OneMessage(limit)
    content, ended = b"", False
    for segment in segments:
        event = message.receive_event(segment)
        while event is not zttp.NEED_DATA:
            if isinstance(event, zttp.Data):
                content += event.data
            ended |= isinstance(event, zttp.EndOfMessage) or (isinstance(event, zttp.Request) and event.end_stream)
            event = message.next_event()
    return content, ended, message.take()


def cut(octets: bytes, size: int) -> list[bytes]:
    return [octets[start : start + size] for start in range(0, len(octets), size)]


MESSAGES = [
    pytest.param(b"\r\n", b"", id="no-content"),
    pytest.param(b"Content-Length: 0\r\n\r\n", b"", id="length-0"),
    pytest.param(b"Content-Length: 5\r\n\r\nhello", b"hello", id="length"),
    pytest.param(CHUNKED + b"\r\n0\r\n\r\n", b"", id="chunked-empty"),
]


@pytest.mark.parametrize(("rest", "content"), MESSAGES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_message_ends_where_it_ends_however_it_is_cut(rest: bytes, content: bytes, size: int) -> None:
    behind = b"\x81\x00GET / HTTP/1.1\r\n\r\n\r\n"
    assert parsed(cut(HEAD + rest + behind, size)) == (content, True, behind)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.binary(max_size=60), st.integers(1, 50))
def test_chunks_are_undone_and_the_rest_is_left(chunks: list[bytes], behind: bytes, size: int) -> None:
    coded = b"".join(b"%X;name=value\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"00\r\nT: u\r\n\r\n"
    assert parsed(cut(HEAD + CHUNKED + b"\r\n" + coded + behind, size)) == (b"".join(chunks), True, behind)


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"ZZ\r\n", id="no-size"),
        pytest.param(b"\r\n", id="empty-size"),
        pytest.param(b"-1\r\n", id="negative"),
        pytest.param(b"1\n", id="bare-lf"),
        pytest.param(b"f" * 17 + b"\r\n", id="beyond-64-bits"),
        pytest.param(b"1\r\nabc", id="chunk-too-long"),
        pytest.param(b"1;" + b"x" * 100, id="long-line"),
        pytest.param(b"0\r\nno trailer\r\n\r\n", id="trailer"),
    ],
)
def test_broken_chunks_are_an_error(octets: bytes) -> None:
    with pytest.raises(zttp.RemoteProtocolError):
        parsed([HEAD + CHUNKED + b"\r\n" + octets], limit=64)
    with pytest.raises(zttp.RemoteProtocolError):
        parsed(cut(HEAD + CHUNKED + b"\r\n" + octets, 1), limit=64)


def test_a_head_without_end_is_bounded() -> None:
    with pytest.raises(zttp.RemoteProtocolError):
        parsed(cut(HEAD + b"X: " + b"a" * 20_000, 1000))


def test_many_small_chunks_cost_no_more_each_than_few() -> None:
    """Cutting off what has been fed, each time, would move 250 KB some 40,000 times."""
    content, ended, behind = parsed([HEAD + CHUNKED + b"\r\n" + b"1\r\nx\r\n" * 40_000 + b"0\r\n\r\n", b"behind"])
    assert (len(content), ended, behind) == (40_000, True, b"behind")


def test_the_next_message_follows_from_what_was_kept() -> None:
    message = OneMessage(LIMIT)
    assert isinstance(message.receive_event(PLAIN + PLAIN), zttp.Request)
    assert message.next_event() is zttp.NEED_DATA
    assert message.receive_event(PLAIN[:5]) is zttp.NEED_DATA
    assert message.receive_event(PLAIN[5:]) is zttp.NEED_DATA
    assert message.kept == 2 * len(PLAIN)
    assert begins_next(message) is zttp.Request
    assert message.kept == len(PLAIN)
    assert begins_next(message) is zttp.Request
    assert message.kept == 0


def begins_next(message: OneMessage) -> type:
    """Answer a request, and return what the next event is then."""
    message.send_response(200, [(b"content-length", b"0")])
    assert message.responding
    message.end_message()
    message.start_next_cycle()
    return type(message.next_event())


# Over a wire


@pytest.fixture
def parser() -> str:
    """zttp alone; what holds on every parser is tested beside this file."""
    return "zttp"


def test_upgrade_is_not_taken_from_zttp(app: App, client: RawClient) -> None:
    """zttp names the last of several lines, and an Upgrade over HTTP/1.0."""
    client.send(b"GET /show HTTP/1.1\r\nHost: a\r\nUpgrade: a\r\nUpgrade: b\r\nConnection: upgrade\r\n\r\n")
    assert client.read_response().body == b"shown"
    scope = app.next()
    assert [value for name, value in scope["headers"] if name == b"upgrade"] == [b"a", b"b"]
    assert "http.upgrade" in scope["extensions"]


@pytest.mark.parametrize("fields", [b"Host: a\r\n", UPGRADE], ids=["plain", "upgrade"])
def test_a_target_that_is_not_ascii_is_answered_400(
    client: RawClient, fields: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client.send(b"GET /caf\xc3\xa9 HTTP/1.1\r\n", fields, b"\r\n")
    assert client.read_response().status == 400
    assert client.read_until_closed() == b""
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("fields", [b"Host: a\r\n", UPGRADE], ids=["plain", "upgrade"])
def test_a_broken_chunk_while_a_response_is_under_way_ends_it(
    app: App, client: RawClient, fields: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client.send(b"POST /slow_body HTTP/1.1\r\n", fields, CHUNKED, b"\r\n")
    assert app.next() == "started"
    client.send(b"ZZ\r\n")
    assert b" 400 " not in client.read_until_closed()
    assert app.next() == "http.disconnect"
    assert "Traceback" not in caplog.text


def test_a_broken_chunk_before_the_response_is_answered_400_once(
    app: App, client: RawClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.send(b"POST /first_part HTTP/1.1\r\nHost: a\r\n", CHUNKED, b"\r\nZZ\r\n")
    assert client.read_response().status == 400
    assert client.read_until_closed() == b""
    assert app.next()["type"] == "http.disconnect"
    assert "Traceback" not in caplog.text


def test_reading_pauses_for_what_lies_behind_an_unanswered_request(app: App) -> None:
    """zttp itself takes 8 MiB and then answers 400 into the wrong place."""
    count = 1_000_000  # more than the kernel takes
    with serve(app, http="zttp") as running, running.connect() as client:
        client.send(b"GET /wait_then_answer HTTP/1.1\r\nHost: a\r\n\r\n")
        assert app.next() == "waiting"
        protocol: Any = next(iter(running.server.server_state.connections))
        sender = threading.Thread(target=client.send, args=(PLAIN * count,))
        sender.start()
        running.wait_until(lambda: protocol.flow.read_paused)
        assert protocol.conn.kept < 1_000_000
        assert sender.is_alive()
        app.gate.set()
        assert client.read_response().body == b"/wait_then_answer 0 "
        for _ in range(1000):
            expect = client.read_response()
            assert expect.body == b"/plain 0 "
        client.reset()
        sender.join(TIMEOUT)


def test_content_that_comes_after_its_answer_begins_the_idle_time_anew(app: App) -> None:
    with serve(app, http="zttp", timeout_keep_alive=0.2) as running, running.connect() as client:
        client.send(upgrade_request("/reject_open", b"Content-Length: 3\r\n"))
        assert client.read_response().status == 400
        client.send(b"a")
        assert client.read_until_closed() == b""


def test_the_idle_time_has_one_timer_where_tasks_begin_at_once(app: App) -> None:
    """An answer within the very segment has set one already: left behind, it would close the connection too early."""
    with serve(app, http="zttp") as running, running.connect() as client:
        client.send(upgrade_request("/reject_open", b"Content-Length: 3\r\n"))
        assert client.read_response().status == 400
        protocol: Any = next(iter(running.server.server_state.connections))
        before = running.call(lambda: protocol.timeout_keep_alive_task)
        running.call(protocol._await_content)
        assert before.cancelled()
        assert not protocol.timeout_keep_alive_task.cancelled()


def test_content_that_comes_after_its_answer_keeps_the_connection(client: RawClient) -> None:
    for request in (
        upgrade_request("/reject_open", CHUNKED),
        b"POST /reject_open HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"\r\n",
    ):
        client.send(request)
        assert client.read_response().status == 400
        client.send(b"3\r\nabc\r\n")
        client.send(b"0\r\n\r\n", PLAIN[:10])
        client.send(PLAIN[10:])
        assert client.read_response().body == b"/plain 0 "
    expect_plain(client)


def test_a_switch_behind_content_that_nobody_read(client: RawClient) -> None:
    client.send(b"POST /reject_open HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
    assert client.read_response().status == 400
    client.send(b"ab", SWITCH, b"early")
    assert client.recv_exactly(len(HEAD_101) + 5) == HEAD_101 + b"early"


def test_both_versions_of_http_on_one_port(app: App) -> None:
    config: dict[str, Any] = {"http": "asgi_upgrade.uvicorn:ZttpProtocol", "adapter": False}
    with serve(app, **config) as running:
        with running.connect() as client:
            client.send_bytewise(SWITCH + b"x")
            assert client.recv_exactly(len(HEAD_101) + 1) == HEAD_101 + b"x"
        with running.connect() as client:
            client.send_bytewise(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert client.recv_exactly(9)[3:4] == b"\x04"  # SETTINGS


def test_there_is_no_other_name_in_the_module() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Zttp'"):
        _ = adapter.Zttp


def test_the_extra_is_named_where_its_parser_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "zttp" or name.startswith("asgi_upgrade.uvicorn.zttp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "zttp", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"ZttpProtocol needs zttp; install asgi-upgrade with its extra \[http2\]"
    ):
        _ = adapter.ZttpProtocol
