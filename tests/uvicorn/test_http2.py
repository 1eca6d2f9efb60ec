"""The uvicorn adapter over HTTP/2: extended CONNECT, and what a stream does to its connection."""

from __future__ import annotations

import contextlib
import resource
import time
from typing import Any

import h2.events
import pytest

from asgi_upgrade.uvicorn import http2
from tests.support.h2_client import H2Client
from tests.support.serving import TIMEOUT, Serving, serve
from tests.support.upgrade_app import App

ACK, END_STREAM, END_HEADERS = 1, 1, 4
DATA, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 3, 4, 6, 8
MIB = 1 << 20


@pytest.fixture
def parser() -> str:
    """zttp is the only one that speaks HTTP/2."""
    return "zttp"


def connection(serving: Serving) -> Any:
    """The one connection of the server."""
    serving.wait_until(lambda: len(serving.server.server_state.connections) == 1)
    return next(iter(serving.server.server_state.connections))


def memory() -> int:
    """The most memory that this process has had, in octets; the server is a thread of it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def expect_echo(client: H2Client, stream: int, data: bytes = b"hello") -> None:
    client.send(stream, data)
    assert client.read(stream, len(data)) == data


# The switch


def test_a_stream_is_switched_and_echoes(serving: Serving) -> None:
    with H2Client.to(serving) as client:
        stream = client.connect(b"/connect")
        client.send(stream, b"early")
        assert client.head(stream) == {b":status": b"200", b"x-mixed": b"a b"}
        assert client.read(stream, 5) == b"early"
        expect_echo(client, stream)
        client.frame(DATA, stream)
        serving.call(connection_of(serving, stream).feed, b"")  # it is not the end
        expect_echo(client, stream)
        client.end(stream)
        client.ended(stream)


def test_the_scope_of_an_extended_connect(serving: Serving, app: App) -> None:
    with H2Client.to(serving) as client:
        stream = client.connect(b"/show?a=b", protocol=b"WebSocket")
        assert client.status(stream) == 501
        scope = app.next()
        extension = scope["extensions"]["http.upgrade"]
        assert (scope["method"], scope["http_version"], scope["path"]) == ("CONNECT", "2", "/show")
        assert (extension["protocol"], extension["target"]) == ("WebSocket", b"/show?a=b")
        assert extension["peer"] == client.sock.getsockname()
        assert "switching" not in extension


def test_a_success_that_is_no_switch_becomes_501(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    with H2Client.to(serving) as client:
        stream = client.connect(b"/a")
        assert client.status(stream) == 501
        client.ended(stream)
    assert "status 200 to an extended CONNECT" in caplog.text


@pytest.mark.parametrize("path", [None, b"/plain"], ids=["to-a-proxy", "of-a-resource"])
def test_a_connect_without_protocol_reaches_nobody(serving: Serving, path: bytes | None) -> None:
    with H2Client.to(serving) as client:
        stream = client.request(method=b"CONNECT", scheme=path and b"http", path=path)
        assert client.was_reset(stream) == 1
        assert client.status(client.request()) == 200


@pytest.mark.parametrize("which", ["connect", "request"])
def test_a_path_that_is_not_ascii_is_answered_400(
    serving: Serving, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    with H2Client.to(serving) as client:
        stream = getattr(client, which)(path=b"/caf\xc3\xa9")
        assert client.status(stream) == 400
        client.ended(stream)
        assert client.status(client.request()) == 200
    assert "Traceback" not in caplog.text


def test_an_application_that_fails_ends_its_stream_only(serving: Serving) -> None:
    with H2Client.to(serving) as client:
        sibling = client.connect(b"/connect")
        stream = client.connect(b"/raise_after_connect")
        assert client.status(stream) == 200
        client.ended(stream)
        client.end(stream)
        assert client.status(sibling) == 200
        expect_echo(client, sibling)
        client.ping()
        assert [event for event in client.events if isinstance(event, h2.events.StreamReset)] == []


def test_a_request_that_ends_with_its_head_has_no_content(serving: Serving) -> None:
    with H2Client.to(serving) as client:
        assert client.read(client.request(path=b"/a"), 5) == b"/a 0 "
        stream = client.request(method=b"POST", path=b"/a", end=False)
        client.send(stream, b"abc", end=True)
        assert client.read(stream, 8) == b"/a 3 abc"


def test_an_early_answer_frees_its_stream(serving: Serving) -> None:
    """Otherwise 128 of them, whose clients never end, would be all that a connection may have."""
    with H2Client.to(serving) as client:
        for _ in range(150):
            stream = client.request(method=b"POST", path=b"/reject_open", end=False)
            assert client.status(stream) == 400
            assert client.was_reset(stream) == 0
        assert connection(serving)._streams == {}


# Out: no more than the windows allow


def test_a_tunnel_waits_for_the_windows_of_its_peer(serving: Serving) -> None:
    with H2Client.to(serving, window=10) as client:
        stream = client.connect(b"/connect")
        assert client.status(stream) == 200
        client.send(stream, b"x" * 25)
        assert client.wait(h2.events.DataReceived, stream).data == b"x" * 10
        client.ping()
        handle = connection(serving).conn.stream(stream)
        assert serving.call(lambda: (handle.send_window, handle.pending_bytes)) == (0, 0)
        client.grant(5, stream)
        assert client.wait(h2.events.DataReceived, stream).data == b"x" * 5
        # A larger initial window is credit for every stream, too.
        client.conn.update_settings({4: 20})
        client.flush()
        assert client.wait(h2.events.DataReceived, stream).data == b"x" * 10


def test_a_response_to_a_window_of_0_is_not_kept_in_the_memory(app: App, serving: Serving) -> None:
    with H2Client.to(serving, window=0) as client:
        before = memory()
        stream = client.request(path=b"/stream_much")
        assert client.status(stream) == 200
        client.ping()
        assert serving.call(lambda: connection_of(serving, stream)._size) <= http2.HIGH + MIB
        assert memory() - before < 30 * MIB
        client.reset(stream)
        assert app.next() in ("disconnected", "sent")


def connection_of(serving: Serving, stream: int) -> Any:
    protocol: Any = next(iter(serving.server.server_state.connections))
    return protocol._streams[stream]


def test_a_small_credit_on_a_large_response_costs_little(serving: Serving) -> None:
    with H2Client.to(serving, window=0) as client:
        stream = client.request(path=b"/large")
        assert client.status(stream) == 200
        for _ in range(2000):
            client.grant(1, stream)
        client.ping()
        got = sum(len(event.data or b"") for event in client.events if isinstance(event, h2.events.DataReceived))
        assert 0 < got <= 2000
        client.conn.update_settings({4: 20 * MIB})
        client.grant(20 * MIB)
        assert len(client.read(stream, 10 * MIB)) == 10 * MIB
        client.ended(stream)


def test_nothing_is_sent_for_nothing(serving: Serving) -> None:
    with H2Client.to(serving) as client:
        stream = client.connect(b"/send_nothing_between")
        assert client.read(stream, 2) == b"ab"
        client.ended(stream)


def test_an_end_waits_behind_what_was_sent(serving: Serving) -> None:
    with H2Client.to(serving, window=3) as client:
        stream = client.request(path=b"/a")
        assert client.status(stream) == 200
        assert client.wait(h2.events.DataReceived, stream).data == b"/a "
        client.grant(10, stream)
        assert client.read(stream, 2) == b"0 "
        client.ended(stream)


def test_a_peer_that_reads_nothing_is_not_read_either(app: App, serving: Serving) -> None:
    with H2Client.to(serving) as client:
        assert client.status(client.request()) == 200
        protocol = connection(serving)
        before = memory()
        pings = b"\0\0\x08\x06\0\0\0\0\0abcdefgh" * 10_000
        at, deadline = 0, time.monotonic() + TIMEOUT
        client.sock.setblocking(False)
        while not serving.call(lambda: protocol.flow.read_paused):
            assert time.monotonic() < deadline
            with contextlib.suppress(BlockingIOError):
                while True:
                    at = (at + client.sock.send(pings[at:])) % len(pings)
        assert memory() - before < 50 * MIB


# In: credit is withheld


def test_only_the_stream_whose_application_is_behind_stops(app: App, serving: Serving) -> None:
    with H2Client.to(serving) as client:
        slow, other = client.connect(b"/wait_connect"), client.connect(b"/connect")
        assert app.next() == "waiting"
        assert client.status(other) == 200
        for _ in range(6):
            client.send(slow, b"x" * 10_000)
        for _ in range(40):
            expect_echo(client, other, b"y" * 10_000)
        client.ping()
        assert client.conn.local_flow_control_window(slow) == 65_535 - 60_000
        assert connection_of(serving, slow).withheld > 30_000
        app.gate.set()
        assert client.status(slow) == 200
        assert len(client.read(slow, 60_000)) == 60_000
        client.ping()
        assert client.conn.local_flow_control_window(slow) > 30_000
        expect_echo(client, slow)


def test_content_that_nobody_reads_stops_its_stream_only(app: App, serving: Serving) -> None:
    with H2Client.to(serving) as client:
        slow = client.request(method=b"POST", path=b"/wait_then_answer", end=False)
        assert client.status(client.request()) == 200
        for _ in range(6):
            client.send(slow, b"x" * 10_000)
        client.ping()
        assert client.status(client.request()) == 200
        assert client.conn.local_flow_control_window(slow) == 5_535
        app.gate.set()
        client.send(slow, b"x" * 140_000, end=True)
        assert b"200000" in client.read(slow, 24)


# The end of a stream


@pytest.mark.parametrize("path", [b"/connect", b"/wait_connect"], ids=["open", "pending"])
def test_a_reset_ends_its_stream_only(app: App, serving: Serving, path: bytes) -> None:
    with H2Client.to(serving) as client:
        stream, sibling = client.connect(path), client.connect(b"/connect")
        assert client.status(sibling) == 200
        client.reset(stream)
        expect_echo(client, sibling)
        assert list(connection(serving)._streams) == [sibling]
        app.gate.set()
        serving.wait_until(lambda: len(serving.server.server_state.tasks) == 1)


def test_a_tunnel_that_was_closed_waits_for_its_peer_a_little(
    app: App, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2, "LINGER", 0.01)
    with H2Client.to(serving) as client:
        stream = client.connect(b"/raise_after_connect")
        assert client.status(stream) == 200
        client.ended(stream)
        assert client.was_reset(stream) == 0
        assert client.status(client.request()) == 200


def test_a_tunnel_whose_peer_ended_first_ends_at_once(serving: Serving) -> None:
    with H2Client.to(serving) as client:
        stream = client.connect(b"/connect")
        assert client.status(stream) == 200
        client.end(stream)
        client.ended(stream)
        protocol = connection(serving)
        serving.wait_until(lambda: protocol._streams == {})


def test_a_peer_that_grants_nothing_is_not_waited_for_for_ever(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2, "ABORT_AFTER", 0.05)
    with H2Client.to(serving, window=0) as client:
        stream = client.connect(b"/send_and_return")
        assert client.status(stream) == 200
        assert client.was_reset(stream) == 8


def test_the_application_may_end_its_half_and_cancel(serving: Serving) -> None:
    with H2Client.to(serving) as client:
        stream = client.connect(b"/end_half")
        assert client.status(stream) == 200
        client.ended(stream)
        client.send(stream, b"after", end=True)
        stream = client.connect(b"/abort_connect")
        assert client.status(stream) == 200
        assert client.was_reset(stream) == 8
        assert client.status(client.request()) == 200


def test_a_lost_connection_ends_every_stream(app: App, serving: Serving) -> None:
    with H2Client.to(serving, window=0) as client:
        for path in (b"/connect", b"/wait_connect"):
            client.connect(path)
        client.request(path=b"/stream_much")
        client.ping()
    serving.wait_until(lambda: not serving.server.server_state.connections)
    app.gate.set()
    serving.wait_until(lambda: not serving.server.server_state.tasks)


def test_nothing_is_raised_where_the_connection_has_failed(
    app: App, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    with H2Client.to(serving) as client:
        stream = client.connect(b"/wait_connect")
        assert app.next() == "waiting"
        client.frame(WINDOW_UPDATE, stream, b"\0\0\0\0")
        client.frame(PING, 0, b"short")
        while client.sock.recv(65536):
            pass
    app.gate.set()
    serving.wait_until(lambda: not serving.server.server_state.tasks)
    assert "Traceback" not in caplog.text


# The life of a connection


def test_a_connection_is_drained_before_zttp_cuts_it_off(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "MAX_STREAMS", 3)
    with H2Client.to(serving) as client:
        tunnel = client.connect(b"/connect")
        assert client.status(tunnel) == 200
        assert client.status(client.request()) == 200
        late = client.request()
        assert client.goes_away() == 0
        assert client.was_reset(late) == 7
        expect_echo(client, tunnel)
        client.end(tunnel)
        client.ended(tunnel)
        while client.receive():
            pass


def test_so_is_one_with_many_resets(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "MAX_RESETS", 2)
    with H2Client.to(serving) as client:
        tunnel = client.connect(b"/connect")
        for _ in range(2):
            client.reset(client.connect(b"/connect"))
        assert client.goes_away() == 0
        assert client.status(tunnel) == 200
        expect_echo(client, tunnel)


@pytest.mark.slow
def test_zttp_would_cut_off_a_tunnel_behind_many_streams(serving: Serving) -> None:
    """With the limits as they are: the tunnel outlives every stream that its connection may have."""
    with H2Client.to(serving) as client:
        tunnel = client.connect(b"/connect")
        assert client.status(tunnel) == 200
        for _ in range(http2.MAX_STREAMS - 2):
            client.ended(client.request(path=b"/reject_open"))
            client.events.clear()
        late = client.request()
        assert client.goes_away() == 0
        assert client.was_reset(late) == 7
        expect_echo(client, tunnel)


def test_a_shutdown_reaches_open_and_pending_tunnels(app: App, serving: Serving) -> None:
    with H2Client.to(serving) as client:
        pending = client.connect(b"/wait_connect")
        assert app.next() == "waiting"
        tunnel = client.connect(b"/until_shutdown")
        assert client.status(tunnel) == 200
        serving.begin_stop()
        assert client.goes_away() == 0
        client.ended(tunnel)
        client.end(tunnel)
        app.gate.set()
        assert client.status(pending) == 200
        client.end(pending)
        client.ended(pending)
        while client.receive():
            pass
        serving.stop()


def test_a_tunnel_that_does_not_end_is_closed_when_its_time_is_over(app: App) -> None:
    with (
        serve(app, http="zttp", timeout_graceful_shutdown=1) as running,
        H2Client.to(running) as client,
    ):
        tunnel = client.connect(b"/connect")
        assert client.status(tunnel) == 200
        running.begin_stop()
        client.ended(tunnel)
        client.end(tunnel)
        while client.receive():
            pass
        running.stop()


def test_a_tunnel_that_lingers_has_less_time_in_a_shutdown(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(app, http="zttp") as running, H2Client.to(running, window=0) as client:
        stream = client.connect(b"/send_and_return")
        assert client.status(stream) == 200
        running.wait_until(lambda: not running.server.server_state.tasks)
        monkeypatch.setattr(http2, "LINGER", 0.01)
        running.begin_stop()
        assert client.was_reset(stream) == 8
        while client.receive():
            pass
        running.stop()


def test_a_pending_handshake_is_left_to_itself_when_the_time_of_tunnels_is_over(app: App, serving: Serving) -> None:
    with H2Client.to(serving) as client:
        pending, tunnel = client.connect(b"/wait_connect"), client.connect(b"/connect")
        assert app.next() == "waiting"
        assert client.status(tunnel) == 200
        serving.call(connection(serving)._end_grace)
        client.ended(tunnel)
        app.gate.set()
        assert client.status(pending) == 200
        expect_echo(client, pending)


def test_a_connection_is_drained_and_closed_once(serving: Serving) -> None:
    with H2Client.to(serving) as client:
        tunnel = client.connect(b"/connect")
        assert client.status(tunnel) == 200
        protocol = connection(serving)
        serving.call(protocol._drain)
        serving.call(protocol._drain)
        client.end(tunnel)
        client.ended(tunnel)
        while client.receive():
            pass
        serving.call(protocol._close_connection)
        goodbyes = [event for event in client.events if isinstance(event, h2.events.ConnectionTerminated)]
        assert [event.error_code for event in goodbyes] == [0] * len(goodbyes)
        assert len(goodbyes) in (1, 2)  # one more at its very end


# What uvicorn's cycles write to


def test_an_application_waits_while_its_peer_grants_nothing(serving: Serving) -> None:
    with H2Client.to(serving, window=0) as client:
        stream = client.connect(b"/send_much")
        assert client.status(stream) == 200
        tunnel = connection_of(serving, stream)
        serving.wait_until(lambda: tunnel.write_paused)
        assert serving.call(lambda: tunnel._size) == 100_000
        client.grant(500_000, stream)
        assert len(client.read(stream, 500_000)) == 500_000
        client.ended(stream)


def test_hints_come_before_the_response(serving: Serving) -> None:
    with H2Client.to(serving) as client:
        stream = client.request(path=b"/hint")
        hints = client.wait(h2.events.InformationalResponseReceived, stream).headers
        assert dict(hints or ()) == {b":status": b"103", b"link": b"</style.css>"}
        assert client.status(stream) == 200


def test_an_application_that_fails_midway_resets_its_stream(app: App, serving: Serving) -> None:
    with H2Client.to(serving) as client:
        stream = client.request(path=b"/crash_midway")
        assert client.status(stream) == 200
        app.gate.set()
        assert client.was_reset(stream) == 8
        assert client.status(client.request()) == 200
        assert connection(serving)._streams == {}


def test_nothing_is_sent_on_a_stream_that_is_gone(app: App, serving: Serving) -> None:
    with H2Client.to(serving) as client:
        stream = client.connect(b"/connect")
        assert client.status(stream) == 200
        tunnel = connection_of(serving, stream)
        client.reset(stream)
        client.ping()
        client.events.clear()

        def send_all() -> None:
            tunnel.send_response(200, [])
            tunnel.send_informational(103, [])
            tunnel.send_data(b"x")
            tunnel.write_eof()
            tunnel.write_eof()
            tunnel.reset(0)
            tunnel.lost()

        serving.call(send_all)
        client.ping()
        assert [event for event in client.events if getattr(event, "stream_id", None) == stream] == []
