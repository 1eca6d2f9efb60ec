"""What a handler can do with its request, and what becomes of one that fails, hangs or makes no sense."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, NoReturn

import pytest

from asgi_upgrade.errors import ClientDisconnected, ConfigurationError, HandshakeViolation
from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.handshake.verdict import Reject
from asgi_upgrade.middleware.handlers import UpgradeRequest, compile_protocols, serve
from asgi_upgrade.types import Field, Message
from tests.support.peer import Transport, passes, run

FIELDS: tuple[Field, ...] = ((b"upgrade", b"irc"), (b"connection", b"Upgrade"))
COOKIE: Field = (b"set-cookie", b"a=b")


class Server:
    """The server's side of one request: it switches when it is told so, and keeps what was sent as HTTP."""

    def __init__(self, *, gone: bool = False, broken: bool = False, half_close: bool = True) -> None:
        self.transport = Transport(half_close=half_close)
        self.stream = self.transport.stream
        self.sent: list[Message] = []
        self.has_ended = False
        self._gone = gone
        self._broken = broken

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and self.sent[-2]["status"] == 101:
            if self._broken:
                raise RuntimeError("the server cannot")
            if self._gone:
                self.stream.connection_lost()
            else:
                self.stream.switched(b"early")

    def ended(self) -> None:
        self.has_ended = True

    def request(self, *, strict: bool = True, method: str = "POST", open_timeout: float = 5) -> UpgradeRequest:
        return UpgradeRequest(
            {"type": "http", "method": method},
            b"body",
            protocol="irc",
            send=self.send,
            stream=self.stream,
            fields=FIELDS,
            strict=strict,
            open_timeout=open_timeout,
        )

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status


Handler = Callable[[UpgradeRequest], Awaitable[object]]


def serving(
    handler: Handler, server: Server | None = None, *, grace: float = 5, **options: Any
) -> tuple[Server, Reject | None]:
    """Run a handler, and return what was sent and what is to be answered in its place."""

    async def scenario() -> tuple[Server, Reject | None]:
        serving = server or Server()
        return serving, await serve(handler, serving.request(**options), grace=grace, ended=serving.ended)

    return run(scenario())


def ending(request: Callable[[Server], Handler], **options: Any) -> tuple[Server, Reject | None]:
    """Run a handler that plays both sides."""

    async def scenario() -> tuple[Server, Reject | None]:
        server = Server(**options)
        return server, await serve(request(server), server.request(), grace=5, ended=server.ended)

    return run(scenario())


# Switching


def test_101_names_the_protocol_and_then_the_fields_of_the_handler() -> None:
    def made(server: Server) -> Handler:
        async def handler(request: UpgradeRequest) -> None:
            assert (request.protocol, request.body, request.scope["method"]) == ("irc", b"body", "POST")
            before = request.is_answered
            async with request.switch([COOKIE]) as stream:
                assert (before, request.is_answered) == (False, True)
                assert await stream.receive() == b"early"
                await stream.send(b"out")
                server.stream.feed_eof()
                assert await stream.receive() == b""

        return handler

    server, rejection = ending(made)
    assert rejection is None
    assert server.sent == [
        {"type": "http.response.start", "status": 101, "headers": [*FIELDS, COOKIE]},
        {"type": "http.response.body", "body": b"", "more_body": False},
    ]
    assert server.transport.written == b"out"
    assert server.transport.calls == ["write_eof", "close"]


async def switching(request: UpgradeRequest) -> None:
    async with request.switch():
        pass


def test_what_still_comes_behind_the_handler_is_read_before_the_connection_closes() -> None:
    def made(server: Server) -> Handler:
        async def client() -> None:
            while "write_eof" not in server.transport.calls:
                await asyncio.sleep(0)
            server.stream.feed(b"more")
            await passes()
            server.transport.calls.append("the client's end")
            server.stream.feed_eof()

        async def handler(request: UpgradeRequest) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(client())
                await switching(request)

        return handler

    server, _ = ending(made)
    calls = [call for call in server.transport.calls if "reading" not in call]
    assert calls == ["write_eof", "the client's end", "close"]


def test_client_that_goes_on_sending_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgi_upgrade.middleware.handlers.LINGER", 0.01)
    server, rejection = serving(switching)
    assert rejection is None
    assert server.transport.calls[-1] == "close"


def test_nothing_lingers_where_no_half_can_be_closed() -> None:
    server, _ = ending(lambda _: switching, half_close=False)
    assert server.transport.calls == ["close"]


def test_nothing_lingers_on_a_connection_that_the_handler_has_closed() -> None:
    async def handler(request: UpgradeRequest) -> None:
        async with request.switch() as stream:
            await stream.aclose()

    server, _ = serving(handler)
    assert server.transport.calls == ["close"]


def test_client_that_is_gone_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asgi_upgrade")
    _, rejection = ending(lambda _: switching, gone=True)
    assert rejection is None
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.getMessage().startswith('handler switching of irc ended with "ClientDisconnected()')


def test_server_that_cannot_switch_leaves_the_request_unanswered(caplog: pytest.LogCaptureFixture) -> None:
    _, rejection = ending(lambda _: switching, broken=True)
    assert rejection is not None
    assert (rejection.rule.id, rejection.status) == ("ws-5xx-app", 500)
    assert "the server cannot" in caplog.text


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        pytest.param([(b"Upgrade", b"tcp")], HandshakeViolation, id="owned"),
        pytest.param([(b"a", b"x\ny")], HandshakeViolation, id="control"),
        pytest.param([("x-name", "value")], TypeError, id="str"),
        pytest.param([b"x-name"], TypeError, id="no-pair"),
        pytest.param({b"x-name": b"value"}, TypeError, id="mapping"),
    ],
)
def test_field_that_may_not_be_sent_raises_in_the_handler(headers: Any, error: type[Exception]) -> None:
    async def handler(request: UpgradeRequest) -> None:
        with pytest.raises(error):
            async with request.switch(headers):
                raise AssertionError
        with pytest.raises(error):
            await request.reject(400, headers=[(b"connection", b"x")] if error is HandshakeViolation else headers)
        await request.reject(400)

    server, _ = serving(handler)
    assert server.status == 400


def test_lenient_mode_drops_such_a_field_and_warns(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: UpgradeRequest) -> None:
        async with request.switch([(b"upgrade", b"x"), COOKIE]) as stream:
            await stream.aclose()

    server, _ = serving(handler, strict=False)
    assert server.sent[0]["headers"] == [*FIELDS, COOKIE]
    assert caplog.messages == ['dropped: a 101 must not carry "upgrade": the server writes it [handler-fields]']


# Rejecting


@pytest.mark.parametrize("strict", [True, False])
def test_rejection_is_complete(strict: bool) -> None:
    async def handler(request: UpgradeRequest) -> None:
        await request.reject(404, "no such room", headers=[COOKIE])

    server, rejection = serving(handler, strict=strict)
    assert rejection is None
    start, body = server.sent
    assert (start["status"], json.loads(body["body"])["detail"]) == (404, "no such room")
    assert start["headers"][0] == COOKIE
    assert ((b"connection", b"close") in start["headers"]) is strict


@pytest.mark.parametrize(
    ("headers", "upgrade"), [([], b"irc"), ([(b"Upgrade", b"irc/2")], b"irc/2")], ids=["added", "own"]
)
def test_426_names_what_to_upgrade_to(headers: Iterable[Field], upgrade: bytes) -> None:
    async def handler(request: UpgradeRequest) -> None:
        await request.reject(426, headers=headers)

    server, _ = serving(handler)
    fields = [(name.lower(), value) for name, value in server.sent[0]["headers"]]
    assert [value for name, value in fields if name == b"upgrade"] == [upgrade]
    assert (b"connection", b"Upgrade, close") in fields


@pytest.mark.parametrize("status", [200, 101, 399, 600, "404", None])
def test_rejection_has_the_status_of_an_error(status: Any) -> None:
    async def handler(request: UpgradeRequest) -> None:
        with pytest.raises(ValueError, match="a rejection has a status from 400 to 599"):
            await request.reject(status)

    server, rejection = serving(handler)
    assert (server.sent, rejection) == ([], None)


@pytest.mark.parametrize("body", ["text", {"message": "no"}, 0])
def test_content_of_a_rejection_is_bytes(body: Any) -> None:
    async def handler(request: UpgradeRequest) -> None:
        with pytest.raises(TypeError, match="the content of a rejection is bytes, not"):
            await request.reject(404, body=body)

    server, rejection = serving(handler)
    assert (server.sent, rejection) == ([], None)


@pytest.mark.parametrize("first", ["switch", "reject"])
def test_request_is_answered_once(first: str) -> None:
    async def handler(request: UpgradeRequest) -> None:
        await (switching(request) if first == "switch" else request.reject(400))
        with pytest.raises(RuntimeError, match="the request has been answered; call switch or reject once"):
            await request.reject(400)
        with pytest.raises(RuntimeError, match="the request has been answered"):
            await switching(request)

    server, _ = serving(handler, Server(half_close=False))
    assert len(server.sent) == 2


async def test_request_cannot_be_answered_behind_the_handler() -> None:
    server, kept = Server(), []

    async def handler(request: UpgradeRequest) -> None:
        kept.append(request)

    assert await serve(handler, server.request(), grace=5, ended=server.ended) is None
    with pytest.raises(RuntimeError, match="the handler has returned"):
        await kept[0].reject(400)
    assert not kept[0].is_answered


# Handlers that fail, hang or make no sense


async def failing(_: UpgradeRequest) -> NoReturn:
    raise LookupError("no such room")


async def cancelled(_: UpgradeRequest) -> None:
    task = asyncio.ensure_future(asyncio.sleep(5))
    task.cancel()
    await task


@pytest.mark.parametrize("handler", [failing, cancelled])
@pytest.mark.parametrize("strict", [True, False])
def test_failure_before_the_switch_is_a_500(handler: Handler, strict: bool, caplog: pytest.LogCaptureFixture) -> None:
    server, rejection = serving(handler, strict=strict)
    assert server.sent == []
    assert rejection is not None
    assert (rejection.rule.id, rejection.status, rejection.close) == ("ws-5xx-app", 500, strict)
    (record,) = caplog.records
    assert record.getMessage() == f"handler {handler.__name__} of irc failed; closing"
    assert record.exc_info is not None


def test_failure_behind_the_switch_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: UpgradeRequest) -> None:
        async with request.switch():
            await failing(request)

    server, rejection = serving(handler)
    assert rejection is None
    assert server.transport.calls == ["close"]
    assert "handler test_failure_behind_the_switch_closes_the_connection.<locals>.handler of irc failed" in caplog.text


def test_failure_behind_a_rejection_is_logged_only(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: UpgradeRequest) -> None:
        await request.reject(404)
        await failing(request)

    server, rejection = serving(handler)
    assert rejection is None
    assert server.status == 404
    assert server.transport.calls == []  # the server closes behind its response, and gets it through
    assert "no such room" in caplog.text


def test_loss_of_the_client_while_the_handler_sends_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    def made(server: Server) -> Handler:
        async def handler(request: UpgradeRequest) -> None:
            async with request.switch() as stream:
                server.stream.connection_lost()
                await stream.send(b"x")

        return handler

    _, rejection = ending(made)
    assert (rejection, caplog.records) == (None, [])


def test_disconnect_that_the_handler_made_up_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(_: UpgradeRequest) -> None:
        raise ClientDisconnected

    _, rejection = serving(handler)
    assert rejection is not None
    assert "handler test_disconnect_that_the_handler_made_up_is_a_failure" in caplog.text


@pytest.mark.parametrize("value", [False, "yes", 0])
def test_nonsense_that_is_returned_is_logged(value: object, caplog: pytest.LogCaptureFixture) -> None:
    async def answering(_: UpgradeRequest) -> object:
        return value

    _, rejection = serving(answering)
    assert rejection is None
    assert f'answering of irc returned "{value}"; return None' in caplog.text


async def hanging(_: UpgradeRequest) -> None:
    await asyncio.Event().wait()


def test_handler_that_does_not_answer_in_time_is_a_503(caplog: pytest.LogCaptureFixture) -> None:
    _, rejection = serving(hanging, open_timeout=0.01)
    assert rejection is not None
    assert (rejection.rule.id, rejection.status) == ("ws-503", 503)
    assert caplog.messages == ["handler hanging of irc did not switch or reject within 0.01 s"]


def test_time_out_of_the_handlers_own_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(_: UpgradeRequest) -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    _, rejection = serving(handler)
    assert rejection is not None
    assert rejection.status == 500
    assert "of irc failed; closing" in caplog.text


def test_handler_that_overlooks_its_time_can_still_answer() -> None:
    async def handler(request: UpgradeRequest) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await request.reject(400)

    server, _ = serving(handler, open_timeout=0.01)
    assert server.status == 400


def test_answered_request_has_no_deadline() -> None:
    async def handler(request: UpgradeRequest) -> None:
        async with request.switch() as stream:
            await asyncio.sleep(0.05)
            await stream.aclose()

    server, rejection = serving(handler, open_timeout=0.02)
    assert (server.transport.calls, rejection) == (["close"], None)


# Shutdown


async def hanging_on(stream: UpgradedStream) -> None:
    await stream.shutdown.wait()
    await asyncio.Event().wait()


async def test_handler_that_hangs_at_shutdown_is_ended_after_the_grace(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()

    async def handler(request: UpgradeRequest) -> None:
        async with request.switch() as stream:
            server.stream.request_shutdown()
            await hanging_on(stream)

    rejection = await serve(handler, server.request(), grace=0.01, ended=server.ended)
    assert (server.transport.calls, rejection) == (["close"], None)
    assert [message for message in caplog.messages if "did not end when the server shut down" in message]


async def test_handler_that_has_not_answered_at_shutdown_is_ended_at_once(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()

    async def handler(request: UpgradeRequest) -> None:
        server.stream.request_shutdown()
        await asyncio.Event().wait()

    rejection = await serve(handler, server.request(), grace=60, ended=server.ended)
    assert rejection is not None
    assert (rejection.rule.id, rejection.status) == ("ws-503", 503)
    (line,) = caplog.messages
    assert line.endswith("of irc had not switched or rejected when the server shut down")


async def test_shutdown_does_not_end_a_handler_whose_time_is_over_already() -> None:
    server = Server()

    async def handler(_: UpgradeRequest) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            server.stream.request_shutdown()
            await passes()

    result = await serve(handler, server.request(open_timeout=0.01), grace=5, ended=server.ended)
    rejection = result
    assert rejection is not None
    assert rejection.status == 503


async def test_server_that_cancels_the_request_is_obeyed() -> None:
    server = Server()
    task = asyncio.ensure_future(serve(hanging, server.request(), grace=5, ended=server.ended))
    await passes()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# Handlers by the name of their protocol


async def handler(request: UpgradeRequest) -> None: ...


async def configured(room: str, request: UpgradeRequest) -> None: ...


def plain(request: UpgradeRequest) -> None: ...


class HandlerObject:
    async def __call__(self, request: UpgradeRequest) -> None: ...

    async def method(self, request: UpgradeRequest) -> None: ...


def test_no_protocols_are_no_handlers() -> None:
    assert compile_protocols(None) == {}


def test_names_are_folded_and_versions_are_not() -> None:
    compiled = compile_protocols({"TCP": handler, "Foo/A1": handler, "foo": handler})
    assert compiled == {"tcp": handler, "foo/A1": handler, "foo": handler}


@pytest.mark.parametrize(
    "callback",
    [
        pytest.param(handler, id="function"),
        pytest.param(partial(configured, "red"), id="partial"),
        pytest.param(HandlerObject(), id="object"),
        pytest.param(HandlerObject().method, id="method"),
    ],
)
def test_handler_is_anything_that_can_be_awaited_when_called(callback: Any) -> None:
    assert compile_protocols({"tcp": callback}) == {"tcp": callback}


WRITE = 'write {"name": handler} or {"name/version": handler}, both parts tokens (RFC 9110 section 7.8)'
ASYNC = 'write async def handler(request: UpgradeRequest) -> None for "tcp"'


@pytest.mark.parametrize(
    ("protocols", "error"),
    [
        pytest.param(["tcp"], f"protocols=['tcp']: {WRITE}", id="no-mapping"),
        pytest.param({b"tcp": handler}, f"protocols=b'tcp': names are str, not bytes; {WRITE}", id="bytes"),
        pytest.param({"": handler}, f'protocols="": {WRITE}', id="empty"),
        pytest.param({"a b": handler}, f'protocols="a b": {WRITE}', id="no-token"),
        pytest.param({"a/": handler}, f'protocols="a/": {WRITE}', id="empty-version"),
        pytest.param({"a, b": handler}, f'protocols="a, b": {WRITE}', id="two"),
        pytest.param({"a,": handler}, f'protocols="a,": {WRITE}', id="empty-member"),
        pytest.param({"tc\u00fc": handler}, f'protocols="tc\\xfc": {WRITE}', id="not-ascii"),
        pytest.param(
            {"WebSocket": handler},
            'protocols="WebSocket": leave it out; the app itself serves WebSocket, in websocket scopes',
            id="websocket",
        ),
        pytest.param(
            {"tcp": handler, "TCP": handler},
            'protocols="TCP": name each protocol once; upper and lower case are the same',
            id="twice",
        ),
        pytest.param({"tcp": plain}, f"protocols=plain: {ASYNC}", id="not-async"),
        pytest.param({"tcp": HandlerObject}, f"protocols=HandlerObject: {ASYNC}", id="class"),
        pytest.param({"tcp": None}, f"protocols=None: {ASYNC}", id="none"),
    ],
)
def test_mistake_says_what_to_write(protocols: Any, error: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_protocols(protocols)
    assert str(caught.value) == error


async def test_end_of_the_connection_is_told_while_the_handler_goes_on() -> None:
    async def outliving(request: UpgradeRequest) -> None:
        async with request.switch():
            assert not server.has_ended
            server.stream.connection_lost()
            for _ in range(3):
                await asyncio.sleep(0)
            assert server.has_ended

    server = Server()
    assert await serve(outliving, server.request(), grace=5, ended=server.ended) is None
