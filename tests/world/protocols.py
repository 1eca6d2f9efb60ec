"""Servers of protocols on WebSocket: GraphQL and Socket.IO by their libraries, OCPP on its library, a little of MQTT.

What a function here needs is imported when it is called: whoever has not installed it can run the other tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from asgi_upgrade import Deflate, UpgradeMiddleware, WebSocketOptions
from asgi_upgrade.types import ASGIApp, Receive, Scope, Send
from tests.world import service

CHARGE_POINT = "CP-1"


def echo() -> ASGIApp:
    """Return what sends every message back, compressed if the client likes."""
    return UpgradeMiddleware(service.app, websocket=WebSocketOptions(compression=Deflate()))


def graphql() -> ASGIApp:
    """Return a GraphQL server (graphql-transport-ws) with a subscription that counts."""
    from ariadne import QueryType, SubscriptionType, make_executable_schema
    from ariadne.asgi import GraphQL
    from ariadne.asgi.handlers import GraphQLTransportWSHandler

    subscription = SubscriptionType()

    @subscription.source("count")
    async def numbers(_: Any, _info: Any, to: int) -> AsyncIterator[int]:
        for number in range(1, to + 1):
            yield number

    @subscription.field("count")
    def count(number: int, _info: Any, to: int) -> int:
        return number

    query = QueryType()
    query.set_field("hello", lambda *_: "world")
    types = "type Query { hello: String! } type Subscription { count(to: Int!): Int! }"
    app = GraphQL(
        make_executable_schema(types, query, subscription),
        websocket_handler=GraphQLTransportWSHandler(),
    )
    return UpgradeMiddleware(app, subprotocols=["graphql-transport-ws"], require_subprotocol=True)


def socket_io() -> ASGIApp:
    """Return a Socket.IO server that answers ``shout`` in capitals."""
    import socketio

    server = socketio.AsyncServer(async_mode="asgi")

    @server.event
    async def shout(_session: str, text: str) -> str:
        return text.upper()

    return UpgradeMiddleware(socketio.ASGIApp(server))


def ocpp() -> ASGIApp:
    """Return a charging station management system (OCPP 1.6) that knows one station."""
    from ocpp.routing import on
    from ocpp.v16 import ChargePoint, call_result

    class Station(ChargePoint):
        @on("BootNotification")
        def booted(self, charge_point_model: str, **_: Any) -> Any:
            status = "Accepted" if charge_point_model == "Model" else "Rejected"
            return call_result.BootNotification(current_time="2026-01-01T00:00:00Z", interval=10, status=status)

    class Connection:
        """What OCPP's library takes for a connection."""

        def __init__(self, receive: Receive, send: Send) -> None:
            self._receive = receive
            self._send = send

        async def recv(self) -> str:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                raise EOFError
            return str(message["text"])

        async def send(self, text: str) -> None:
            await self._send({"type": "websocket.send", "text": text})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        station = Station(scope["path"].rpartition("/")[2], Connection(receive, send))
        try:
            await station.start()
        except EOFError:
            return

    return UpgradeMiddleware(app, subprotocols=["ocpp1.6"], require_subprotocol=True)


def mqtt() -> ASGIApp:
    """Return a broker (MQTT 3.1.1) that knows one client: what it publishes comes back to it."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "mqtt"})
        octets = b""
        while (message := await receive())["type"] == "websocket.receive":
            octets += message["bytes"]
            # Every packet of this conversation is shorter than 128 octets, so its length is one octet.
            while len(octets) >= 2 and len(octets) >= 2 + octets[1]:
                packet, octets = octets[: 2 + octets[1]], octets[2 + octets[1] :]
                if answer := _mqtt_answer(packet):
                    await send({"type": "websocket.send", "bytes": answer})

    return UpgradeMiddleware(app, subprotocols=["mqtt"], require_subprotocol=True)


def _mqtt_answer(packet: bytes) -> bytes:
    kind = packet[0] >> 4
    if kind == 1:  # CONNECT
        return b"\x20\x02\x00\x00"
    if kind == 8:  # SUBSCRIBE, answered with its identifier
        return b"\x90\x03" + packet[2:4] + b"\x00"
    if kind == 3:  # PUBLISH
        return packet
    return b"\xd0\x00" if kind == 12 else b""  # PINGREQ
