"""What an exchange lets an application answer, without a server around it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from asgi_upgrade.extension import UpgradeExtension
from asgi_upgrade.extension.exchange import Exchange, offers_protocol
from asgi_upgrade.extension.stream import ServerStream
from asgi_upgrade.types import Field, Message, Receive, Scope, Send
from tests.support.peer import Transport


@dataclass
class Cycle:
    """The state of one request on its server."""

    disconnected: bool = False
    keep_alive: bool = True
    response_started: bool = False


@dataclass
class Server:
    """Remembers what an exchange asks of its connection, and what goes out as HTTP."""

    sent: list[Message] = field(default_factory=list)
    switched: list[list[Field]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def switch_protocols(self, fields: list[Field]) -> None:
        self.switched.append(fields)

    def finish_switched(self) -> None:
        self.switched.append([])

    def warn_once(self, text: str) -> None:
        self.warnings.append(text)

    async def exchange(self, *messages: Message, protocol: str | None = None) -> None:
        """Have an application send these messages in answer to a request that can be switched."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive())["more_body"]:
                pass
            for message in messages:
                await send(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            self.sent.append(message)

        extension: UpgradeExtension = {"stream": ServerStream(Transport()), "judged": True}
        if protocol is not None:
            extension["protocol"] = protocol
        exchange = Exchange(self, app, extension, websocket=True, connect=False)
        exchange.cycle = Cycle()
        await exchange({}, receive, send)


END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


def start(status: int, *fields: Field) -> Message:
    return {"type": "http.response.start", "status": status, "headers": fields}


async def test_fields_of_a_101_go_over_the_wire_as_they_are() -> None:
    server = Server()
    fields = [(b"upgrade", b"websocket"), (b"x-empty", b""), (b"x-obs", b"\xff")]
    await server.exchange(start(101, *fields), END)
    assert server.switched == [fields, []]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        pytest.param(b"a b", b"", "is not a field name", id="name"),
        pytest.param(b"a", b"b\r\nc: d", "CR, LF or NUL", id="line-end"),
        pytest.param(b"a", b"b\nc", "CR, LF or NUL", id="line-feed"),
        pytest.param(b"a", b"\0", "CR, LF or NUL", id="nul"),
        pytest.param(b"Set-Cookie", b"sid=s3cret\n", r'in "Set-Cookie": "\.\.\." \(RFC', id="cookie"),
        pytest.param(b"Content-Length", b"0", "a switch has no content", id="length"),
        pytest.param(b"transfer-encoding", b"chunked", "a switch has no content", id="coding"),
    ],
)
async def test_field_that_would_break_a_101_raises_in_the_application(name: bytes, value: bytes, error: str) -> None:
    server = Server()
    with pytest.raises(RuntimeError, match=error):
        await server.exchange(start(101, (b"upgrade", b"websocket"), (name, value)), END)
    assert server.switched == []


async def test_extended_connect_has_no_101() -> None:
    with pytest.raises(RuntimeError, match="status 101: HTTP/2 has none"):
        await Server().exchange(start(101), END, protocol="websocket")


async def test_success_that_nobody_meant_is_sent_as_501() -> None:
    server = Server()
    await server.exchange(start(200), {**END, "body": b"a page"}, protocol="websocket")
    assert server.switched == []
    assert [message.get("status") for message in server.sent] == [501, None]
    assert server.sent[0]["headers"] == [(b"content-length", b"0")]
    assert len(server.warnings) == 1


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ([(b"upgrade", b"a"), (b"connection", b"Upgrade")], True),
        ([(b"upgrade", b"a"), (b"connection", b"keep-alive"), (b"connection", b"\tUPGRADE ,x")], True),
        ([(b"upgrade", b" ,"), (b"connection", b"upgrade")], False),
        ([(b"upgrade", b"a"), (b"connection", b"not-upgrade, upgraded, x upgrade")], False),
        ([(b"connection", b"upgrade")], False),
        ([(b"upgrade", b"a")], False),
    ],
)
def test_offer_needs_a_protocol_and_its_connection_option(fields: list[Field], offered: bool) -> None:
    assert offers_protocol(fields) is offered
