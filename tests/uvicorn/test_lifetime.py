"""The uvicorn adapter: how an upgraded connection ends."""

from __future__ import annotations

import contextlib

import pytest

from asgi_upgrade.uvicorn import connection, linger
from tests.support.serving import RawClient, Serving, serve
from tests.support.upgrade_app import HEAD_101, LARGE, SWITCH, App, shutdown_all, upgrade_request

# The end of an upgraded connection


@pytest.mark.parametrize("path", ["/return_after_switch", "/raise_after_switch"])
def test_connection_closes_when_the_application_is_done(client: RawClient, path: str) -> None:
    client.send(upgrade_request(path, method="GET"))
    assert client.read_until_closed() == HEAD_101


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_half_close_keeps_our_half_open(app: App, parser: str, loop: str) -> None:
    with serve(app, http=parser, loop=loop) as running, running.connect() as client:
        client.send(upgrade_request("/half_close", method="GET"), b"abc")
        client.send_eof()
        assert client.read_until_closed() == HEAD_101 + b"got abc"


def test_peer_that_does_not_read_makes_the_stream_wait(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/flood", method="GET"))
    assert [app.next(), app.next()] == [True, False]
    assert client.recv_exactly(len(HEAD_101) + LARGE)[-1:] == b"x"
    assert app.next() == "drained"


def test_full_write_buffer_before_the_switch_is_known_after_it(app: App, client: RawClient) -> None:
    client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", upgrade_request("/flood", method="GET"))
    assert app.next() is False
    assert len(client.read_response().body) == LARGE
    assert client.recv_exactly(len(HEAD_101) + LARGE)[-1:] == b"x"


def test_large_plain_response_is_uvicorns_own_business(client: RawClient) -> None:
    client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    assert len(client.read_response().body) == LARGE


def test_peer_that_never_reads_is_cut_off(client: RawClient, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ABORT_AFTER", 0.01)
    client.send(upgrade_request("/flood_and_leave", method="GET"))
    client.recv_exactly(len(HEAD_101))
    serving.wait_until(lambda: not serving.server.server_state.connections)
    with contextlib.suppress(ConnectionResetError):
        assert len(client.read_until_closed()) < LARGE * 4


def test_client_that_vanishes_closes_the_stream(app: App, serving: Serving) -> None:
    with serving.connect() as client:
        client.send(upgrade_request("/wait_then_switch", method="GET"))
        app.gate.set()
        assert [app.next(), app.next()] == ["waiting", "switched"]
        client.reset()
    assert app.next() == b""


def test_client_that_vanishes_before_the_decision_is_noticed(app: App, serving: Serving) -> None:
    with serving.connect() as client:
        client.send(upgrade_request("/wait_then_switch", method="GET"))
        assert app.next() == "waiting"
    assert app.next() == b""
    app.gate.set()
    assert app.next() == "switched"


def test_switch_after_a_disconnect_writes_nothing(app: App, serving: Serving) -> None:
    with serving.connect() as client:
        client.send(upgrade_request("/disconnected", method="GET"), b"early")
        assert app.next() == "waiting"
    assert app.next() == "http.disconnect"
    assert app.next() is False


def test_upgraded_connections_count_against_the_limit(app: App, parser: str) -> None:
    with serve(app, http=parser, limit_concurrency=2) as running, running.connect() as first:
        first.send(SWITCH)
        first.recv_exactly(len(HEAD_101))
        assert len(running.server.server_state.connections) == 1
        with running.connect() as second:
            second.send(upgrade_request("/a", b"Content-Length: %d\r\n" % LARGE))
            second.send(b"x" * LARGE)
            assert second.read_response().status == 503
            assert second.read_until_closed() == b""


@pytest.mark.newest
def test_context_variables_can_be_reset(app: App, parser: str) -> None:
    with serve(app, http=parser, reset_contextvars=True) as running, running.connect() as client:
        client.send(SWITCH, b"x")
        assert client.recv_exactly(len(HEAD_101) + 1) == HEAD_101 + b"x"


# Graceful shutdown


def test_shutdown_reaches_the_stream(app: App, parser: str) -> None:
    with serve(app, http=parser) as running, running.connect() as client:
        client.send(upgrade_request("/wait_for_shutdown", method="GET"))
        client.recv_exactly(len(HEAD_101))
        running.begin_stop()
        assert client.read_until_closed() == b"going"


def test_shutdown_reaches_a_stream_before_its_switch(app: App, parser: str) -> None:
    with serve(app, http=parser) as running, running.connect() as client:
        client.send(upgrade_request("/wait_then_switch", method="GET"))
        assert app.next() == "waiting"
        running.call(shutdown_all, running)
        assert app.next() == "shutdown"
        app.gate.set()
        assert client.recv_exactly(len(HEAD_101)) == HEAD_101
        assert app.next() == "switched"
        client.close()


def test_switch_during_a_shutdown_has_the_grace_too(app: App, parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SHUTDOWN_GRACE", 0.01)
    with serve(app, http=parser) as running, running.connect() as client:
        client.send(upgrade_request("/wait_then_switch", method="GET"))
        assert app.next() == "waiting"
        running.begin_stop()
        assert app.next() == "shutdown"
        app.gate.set()
        assert client.read_until_closed() == HEAD_101
        running.stop()


@pytest.mark.parametrize("grace", [None, 1], ids=["default-grace", "own-grace"])
def test_shutdown_closes_a_stream_that_goes_on(
    app: App, parser: str, grace: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SHUTDOWN_GRACE", 0.01)
    with serve(app, http=parser, timeout_graceful_shutdown=grace) as running, running.connect() as client:
        client.send(upgrade_request("/outlive_shutdown", method="GET"))
        client.recv_exactly(len(HEAD_101))
        running.begin_stop()
        assert client.read_until_closed() == b""


@pytest.mark.parametrize("path", ["/flood_and_leave", "/flood_and_stay"])
def test_shutdown_does_not_wait_for_a_peer_that_does_not_read(
    app: App, parser: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SHUTDOWN_GRACE", 0.01)
    monkeypatch.setattr(connection, "MAX_SECONDS", 0.01)
    with serve(app, http=parser) as running, running.connect() as client:
        client.send(upgrade_request(path, method="GET"))
        client.recv_exactly(len(HEAD_101))
        running.stop()
        with contextlib.suppress(ConnectionResetError):
            assert len(client.read_until_closed()) < LARGE * 4


def test_shutdown_lets_a_peer_that_reads_have_what_was_written(app: App, client: RawClient, serving: Serving) -> None:
    client.send(upgrade_request("/flood_and_leave", method="GET"))
    client.recv_exactly(len(HEAD_101))
    serving.call(shutdown_all, serving)
    serving.call(shutdown_all, serving)
    assert len(client.read_until_closed()) == LARGE * 4


def test_shutdown_closes_an_idle_connection(app: App, parser: str) -> None:
    with serve(app, http=parser) as running, running.connect() as client:
        client.send(upgrade_request("/ignore"))
        client.read_response()
        running.begin_stop()
        assert client.read_until_closed() == b""


def test_shutdown_ends_lingering(app: App, parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linger, "MAX_SECONDS", 60.0)
    with serve(app, http=parser) as running, running.connect() as client:
        client.send(upgrade_request("/reject", b"Content-Length: 5\r\n"))
        assert client.read_response().status == 400
        assert client.read_until_closed() == b""
        running.stop()


@pytest.mark.parametrize("first", ["response", "shutdown"])
def test_shutdown_does_not_linger_for_a_client_that_does_not_read(
    app: App, parser: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linger, "MAX_SECONDS", 0.05)
    with serve(app, http=parser) as running, running.connect() as client:
        client.send(upgrade_request("/reject_at_length", b"Content-Length: 5\r\n"))
        assert app.next() == "waiting"
        if first == "shutdown":
            running.call(shutdown_all, running)
        app.gate.set()
        assert app.next() == "answered"
        running.stop()
        with contextlib.suppress(ConnectionResetError):
            assert len(client.read_until_closed()) < LARGE * 4
