"""The uvicorn adapter: requests with Upgrade that are answered as HTTP."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support.serving import TIMEOUT, RawClient, serve
from tests.support.upgrade_app import CHUNKED, LARGE, PLAIN, UPGRADE, App, expect_plain, upgrade_request

# Answered as HTTP: nothing is lost, and no body is taken for a request


BODIES = [
    pytest.param((), b"", b"0 ", id="none"),
    pytest.param((b"Content-Length: 0\r\n",), b"", b"0 ", id="content-length-0"),
    pytest.param((b"Content-Length: 3\r\n",), b"abc", b"3 abc", id="content-length"),
    pytest.param((CHUNKED,), b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n", b"5 abcde", id="chunked-with-trailer"),
    pytest.param((CHUNKED,), b"0\r\n\r\n", b"0 ", id="chunked-empty"),
    pytest.param(
        (b"Content-Length: %d\r\n" % len(PLAIN),),
        PLAIN,
        b"%d GET /plain" % len(PLAIN),
        id="body-that-looks-like-a-request",
    ),
    pytest.param((b"Content-Length: 100000\r\n",), b"x" * 100_000, b"100000 xxxxxxxxxx", id="100-kB"),
    pytest.param((CHUNKED,), b"4\r\nabcd\r\n" * 2_000 + b"0\r\n\r\n", b"8000 abcdabcdab", id="8-kB-in-4-octets"),
]


@pytest.mark.parametrize(("fields", "body", "seen"), BODIES)
def test_body_of_an_ignored_upgrade_is_delivered_once(
    client: RawClient, fields: tuple[bytes, ...], body: bytes, seen: bytes
) -> None:
    for _ in range(10):
        client.send(upgrade_request("/a", *fields, body=body), PLAIN)
        assert client.read_response().body == b"/a " + seen
        assert client.read_response().body == b"/plain 0 "


@pytest.mark.parametrize(("fields", "body", "seen"), BODIES[:6])
def test_body_of_an_ignored_upgrade_in_single_octets(
    client: RawClient, fields: tuple[bytes, ...], body: bytes, seen: bytes
) -> None:
    client.send_bytewise(upgrade_request("/a", *fields, body=body) + PLAIN)
    assert client.read_response().body == b"/a " + seen
    assert client.read_response().body == b"/plain 0 "


def test_ten_pipelined_requests_with_and_without_upgrade(client: RawClient) -> None:
    requests = [
        upgrade_request(f"/{i}", b"Content-Length: 1\r\n", body=b"%d" % i)
        if i % 3
        else b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i
        for i in range(10)
    ]
    client.send(*requests)
    for i in range(10):
        assert client.read_response().body == (b"/%d 1 %d" % (i, i) if i % 3 else b"/%d 0 " % i)
    expect_plain(client)


def test_pipelined_request_waits_for_the_answer_before_it(app: App, client: RawClient) -> None:
    client.send(b"GET /wait_then_answer/1 HTTP/1.1\r\nHost: a\r\n\r\n", upgrade_request("/2"), PLAIN)
    assert app.next() == "waiting"
    app.gate.set()
    assert [client.read_response().body for _ in range(3)] == [b"/wait_then_answer/1 0 ", b"/2 0 ", b"/plain 0 "]


def test_requests_behind_an_undecided_upgrade_wait(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/wait_then_answer"))
    assert app.next() == "waiting"
    client.send(PLAIN * 2000)
    app.gate.set()
    assert client.read_response().body == b"/wait_then_answer 0 "
    for _ in range(2000):
        assert client.read_response().body == b"/plain 0 "


def test_100_continue_for_an_ignored_upgrade(client: RawClient) -> None:
    client.send(upgrade_request("/a", CHUNKED, b"Expect: 100-continue\r\n"))
    assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    client.send(b"3\r\nabc\r\n0\r\n\r\n", PLAIN)
    assert client.read_response().body == b"/a 3 abc"
    assert client.read_response().body == b"/plain 0 "


def test_content_that_comes_after_its_answer_keeps_the_connection(app: App) -> None:
    with serve(app, http="httptools") as running, running.connect() as client:
        client.send(upgrade_request("/reject_open", b"Content-Length: 3\r\n"))
        assert client.read_response().status == 400
        protocol: Any = next(iter(running.server.server_state.connections))
        first = running.call(lambda: protocol.timeout_keep_alive_task)
        client.send(b"a")
        running.wait_until(lambda: protocol.timeout_keep_alive_task is not first)
        assert first.cancelled()
        assert protocol.timeout_keep_alive_task.when() >= first.when()
        client.send(b"bc", PLAIN)
        assert client.read_response().body == b"/plain 0 "


def test_100_is_not_sent_to_a_client_of_http10(client: RawClient) -> None:
    client.send(b"POST /a HTTP/1.0\r\n" + UPGRADE + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    client.send(b"abc")
    assert client.read_response().body == b"/a 3 abc"


@pytest.mark.parametrize(
    "fields", [pytest.param(b"Content-Length: 200000\r\n", id="cl"), pytest.param(CHUNKED, id="te")]
)
def test_body_that_the_application_did_not_read_is_skipped(client: RawClient, fields: bytes) -> None:
    body = b"x" * 200_000 if fields != CHUNKED else b"%x\r\n%b\r\n0\r\n\r\n" % (200_000, b"x" * 200_000)
    client.send(upgrade_request("/reject_open", fields))
    assert client.read_response().status == 400
    client.send(body, PLAIN)
    assert client.read_response().body == b"/plain 0 "
    client.send(upgrade_request("/reject_open", fields, body=body), PLAIN)
    assert client.read_response().status == 400
    assert client.read_response().body == b"/plain 0 "


def test_large_rest_behind_a_skipped_body_is_read_on(client: RawClient) -> None:
    client.send(upgrade_request("/reject_open", b"Content-Length: 1\r\n"))
    assert client.read_response().status == 400
    client.send(b"xPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE, b"y" * LARGE)
    assert client.read_response().body == b"/a %d yyyyyyyyyy" % LARGE


def test_upgrade_without_connection_option_with_a_body(client: RawClient) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nContent-Length: 3\r\n\r\nabc"
    client.send(head, PLAIN)
    assert client.read_response().body == b"/a 3 abc"
    assert client.read_response().body == b"/plain 0 "


@pytest.mark.parametrize("version", [b"1.0", b"2.0"])
def test_body_of_an_upgrade_in_another_version(client: RawClient, parser: str, version: bytes) -> None:
    client.send(b"POST /a HTTP/", version, b"\r\n", UPGRADE, b"Content-Length: 3\r\n\r\nabc", PLAIN)
    if (parser, version) == ("zttp", b"2.0"):
        assert client.read_response().status == 400
        return
    assert b"HTTP/1.1 200 OK" in client.recv_until(b"/a 3 abc")


def test_large_body_makes_the_client_wait(app: App, client: RawClient) -> None:
    sender = threading.Thread(
        target=client.send, args=(upgrade_request("/wait_then_answer", b"Content-Length: %d\r\n" % LARGE), b"x" * LARGE)
    )
    sender.start()
    assert app.next() == "waiting"
    app.gate.set()
    assert client.read_response().body == b"/wait_then_answer %d xxxxxxxxxx" % LARGE
    sender.join(TIMEOUT)


# Broken framing


BAD_CHUNKS = b"3\r\nabc\r\nZZ\r\n"


def test_broken_chunks_are_answered_400(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/first_part", CHUNKED, body=BAD_CHUNKS), PLAIN)
    response = client.read_response()
    assert (response.status, response.body) == (400, b"Invalid HTTP request received.")
    assert response.field(b"connection") == [b"close"]
    assert client.read_until_closed() == b""
    assert app.next() == {"type": "http.disconnect"}


def test_broken_chunks_in_a_later_segment_are_answered_400(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/first_part", CHUNKED, body=b"3\r\nabc\r\n"))
    assert app.next() == {"type": "http.request", "body": b"abc", "more_body": True}
    client.send(b"ZZ\r\n" + b"x" * LARGE)
    assert client.read_response().status == 400
    assert client.read_until_closed() == b""
    assert app.next() == "http.disconnect"


def test_broken_chunks_after_the_response_began_close(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/slow_body", CHUNKED))
    assert app.next() == "started"
    client.send(BAD_CHUNKS)
    assert b" 400 " not in client.read_until_closed()
    assert app.next() == "http.disconnect"


def test_broken_chunks_after_the_response_close(client: RawClient) -> None:
    client.send(upgrade_request("/reject_open", CHUNKED))
    assert client.read_response().body == b"rejected"
    client.send(BAD_CHUNKS)
    assert client.read_until_closed() == b""


def test_broken_chunks_behind_an_unanswered_request_close(app: App) -> None:
    # Only httptools starts a request while another is under way.
    with serve(app, http="httptools") as running, running.connect() as client:
        client.send(
            b"GET /wait_then_answer HTTP/1.1\r\nHost: a\r\n\r\n", upgrade_request("/a", CHUNKED, body=BAD_CHUNKS)
        )
        assert client.read_until_closed() == b""
        app.gate.set()


def test_broken_chunks_without_connection_option(client: RawClient) -> None:
    client.send(b"POST /first_part HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n", CHUNKED, b"\r\n", BAD_CHUNKS)
    assert client.read_response().status == 400
    assert client.read_until_closed() == b""


def test_unknown_transfer_coding_is_refused(client: RawClient) -> None:
    client.send(upgrade_request("/a", b"Transfer-Encoding: gzip, chunked\r\n"))
    assert client.read_until_closed().startswith(b"HTTP/1.1 400 ")


def test_long_chunk_header_is_bounded(app: App, parser: str) -> None:
    with serve(app, http=parser, h11_max_incomplete_event_size=500) as running, running.connect() as client:
        client.send(upgrade_request("/a", CHUNKED, body=b"1;" + b"x" * 600))
        assert client.read_response().status == 400


def test_malformed_request_after_an_ignored_upgrade_is_answered_400(client: RawClient) -> None:
    client.send(upgrade_request("/a"), b"no request\r\n\r\n")
    assert client.read_response().body == b"/a 0 "
    assert client.read_response().status == 400
    assert client.read_until_closed() == b""


def test_malformed_plain_request_is_answered_400(client: RawClient) -> None:
    client.send(b"no request\r\n\r\n")
    assert client.read_until_closed().startswith(b"HTTP/1.1 400 ")
