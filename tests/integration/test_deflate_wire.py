"""permessage-deflate over real sockets: a client that nobody here wrote, against the adapter on both parsers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import ClientConnection, connect

from asgi_upgrade import Deflate, UpgradeMiddleware, WebSocketOptions
from tests.support.serving import TIMEOUT, Serving, serve
from tests.support.wire import app, request

MESSAGES: Sequence[str | bytes] = ["short", "", "x" * 100, "grün €😀" * 5000, bytes(1_000_000), b"", "grün €😀" * 5000]


def middleware(compression: Deflate | None) -> UpgradeMiddleware:
    return UpgradeMiddleware(app, websocket=WebSocketOptions(compression=compression))


def open_client(serving: Serving, *, offer: bool = True, **parameters: Any) -> ClientConnection:
    """Connect with a client that offers one extension, or none."""
    offers = [ClientPerMessageDeflateFactory(**parameters)] if offer else None
    return connect(f"ws://127.0.0.1:{serving.port}/ws", compression=None, extensions=offers)


def answer(client: ClientConnection) -> str | None:
    assert client.response is not None
    return client.response.headers.get("sec-websocket-extensions")


@pytest.mark.parametrize(
    ("options", "parameters", "agreed"),
    [
        pytest.param(Deflate(), {"client_max_window_bits": True}, "permessage-deflate", id="defaults"),
        pytest.param(
            Deflate(server_max_window_bits=10, client_max_window_bits=11, threshold=1),
            {"client_max_window_bits": True, "server_max_window_bits": 12},
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11",
            id="windows",
        ),
        pytest.param(
            Deflate(client_no_context_takeover=True),
            {"server_no_context_takeover": True},
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            id="no context takeover",
        ),
        pytest.param(
            Deflate(server_max_window_bits=9, server_no_context_takeover=True),
            {},
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
            id="unsolicited",
        ),
    ],
)
def test_messages_go_round_compressed(parser: str, options: Deflate, parameters: dict[str, Any], agreed: str) -> None:
    with serve(middleware(options), http=parser) as serving, open_client(serving, **parameters) as client:
        assert answer(client) == agreed
        for message in MESSAGES:
            client.send(message)
            assert client.recv(TIMEOUT) == message
        client.send(["fragments ", "of " * 100, "text"])
        assert client.recv(TIMEOUT) == "fragments " + "of " * 100 + "text"


def test_compression_is_off_unless_asked_for(parser: str) -> None:
    with serve(middleware(None), http=parser, ws_per_message_deflate=True) as serving, open_client(serving) as client:
        assert answer(client) is None
        assert client.protocol.extensions == []
        client.send("x" * 1000)
        assert client.recv(TIMEOUT) == "x" * 1000


def test_client_without_offer_is_served(parser: str) -> None:
    with serve(middleware(Deflate()), http=parser) as serving, open_client(serving, offer=False) as client:
        assert answer(client) is None
        client.send("x" * 1000)
        assert client.recv(TIMEOUT) == "x" * 1000


def test_101_has_one_extension_behind_the_subprotocol(parser: str) -> None:
    add = [
        (b"Sec-WebSocket-Protocol", b"chat"),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate; server_max_window_bits=8, x-other"),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate; server_max_window_bits=15, permessage-deflate"),
    ]
    with serve(middleware(Deflate()), http=parser) as serving, serving.connect() as client:
        client.send(request(add=add))
        response = client.read_response()
        assert response.status == 101
        assert [(name.lower(), value) for name, value in response.fields if b"sec-websocket-" in name.lower()][-2:] == [
            (b"sec-websocket-protocol", b"chat"),
            (b"sec-websocket-extensions", b"permessage-deflate; server_max_window_bits=15"),
        ]
