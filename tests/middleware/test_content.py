from __future__ import annotations

import asyncio
from collections.abc import Iterable

import anyio
import pytest

from asgi_upgrade.middleware.content import Content, End, is_announced, is_expecting, read_in_time, read_off, replayed
from asgi_upgrade.types import Field, Message, Receive


@pytest.mark.parametrize(
    ("headers", "announced"),
    [
        # realistic
        pytest.param([(b"host", b"a")], False, id="neither"),
        pytest.param([(b"Content-Length", b"0")], False, id="length-0"),
        pytest.param([(b"Content-Length", b" 5 ")], True, id="length-5"),
        pytest.param([(b"Transfer-Encoding", b"chunked")], True, id="chunked"),
        # synthetic: when in doubt there is content
        pytest.param([(b"content-length", b"0"), (b"content-length", b"0")], False, id="length-0-twice"),
        pytest.param([(b"content-length", b"0"), (b"content-length", b"5")], True, id="two-lengths"),
        pytest.param([(b"content-length", b"")], True, id="empty-length"),
        pytest.param([(b"content-length", b"-0")], True, id="malformed-length"),
        pytest.param([(b"transfer-encoding", b"")], True, id="empty-coding"),
    ],
)
def test_content_is_announced(headers: list[Field], announced: bool) -> None:
    assert is_announced(headers) is announced


@pytest.mark.parametrize(
    ("headers", "expecting"),
    [
        pytest.param([], False, id="absent"),
        pytest.param([(b"Expect", b" 100-Continue\t")], True, id="any-case"),
        pytest.param([(b"expect", b"x"), (b"expect", b"100-continue")], True, id="second-line"),
        pytest.param([(b"expect", b"200-ok")], False, id="another-expectation"),
    ],
)
def test_client_that_waits_for_100_is_known(headers: list[Field], expecting: bool) -> None:
    assert is_expecting(headers) is expecting


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def receiving(messages: Iterable[Message]) -> Receive:
    iterator = iter(messages)

    async def receive() -> Message:
        return next(iterator)

    return receive


GONE: Message = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("messages", "content"),
    [
        # realistic
        pytest.param([part(b"", more=False)], Content(End.COMPLETE, 0), id="none"),
        pytest.param([{"type": "http.request"}], Content(End.COMPLETE, 0), id="keys-left-out"),
        pytest.param(
            [part(b"ab", more=True), part(b"cd", more=True), part(b"", more=False)],
            Content(End.COMPLETE, 4),
            id="in-parts",
        ),
        pytest.param([part(b"ab", more=True), GONE], Content(End.DISCONNECTED, 2), id="client-gone"),
        pytest.param([GONE], Content(End.DISCONNECTED, 0), id="client-gone-at-once"),
        # pathological
        pytest.param(
            [part(b"12345", more=True), part(b"", more=False)],
            Content(End.COMPLETE, 5),
            id="just-the-limit",
        ),
        pytest.param([part(b"123456", more=True)], Content(End.TOO_LONG, 6), id="too-much"),
        pytest.param([part(b"123456", more=False)], Content(End.COMPLETE, 6), id="too-much-but-all"),
    ],
)
def test_content_is_read_off_up_to_the_limit(messages: list[Message], content: Content) -> None:
    # A receive after the last message raises, so nothing is read beyond what the answer needs.
    assert asyncio.run(read_off(receiving(messages), 5)) == content


def test_content_is_kept_when_asked() -> None:
    messages = [part(b"ab", more=True), part(b"cd", more=False)]
    content = asyncio.run(read_off(receiving(messages), 5, keep=True))
    assert content == Content(End.COMPLETE, 4, b"abcd")


async def test_content_that_was_read_comes_again_and_then_what_follows() -> None:
    receive = replayed(b"abcd", receiving([GONE]))
    result = [await receive(), await receive()]
    assert result == [part(b"abcd", more=False), GONE]


# In time


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def test_content_that_comes_in_time_is_all_there() -> None:
    messages = [part(b"ab", more=True), part(b"cd", more=False)]
    for shutdown in (None, asyncio.Event()):
        content = await read_in_time(receiving(messages), 5, 5, keep=True, shutdown=shutdown)
        assert content == Content(End.COMPLETE, 4, b"abcd")


async def test_content_that_does_not_come_is_late() -> None:
    for shutdown in (None, asyncio.Event()):
        assert await read_in_time(never, 5, 0.001, shutdown=shutdown) == Content(End.LATE)


async def test_shutdown_ends_reading_at_once() -> None:
    shutdown = asyncio.Event()
    reading = asyncio.ensure_future(read_in_time(never, 5, 60, shutdown=shutdown))
    await asyncio.sleep(0)
    shutdown.set()
    assert await reading == Content(End.SHUTDOWN)


async def test_shutdown_beside_the_end_of_the_time_is_no_error() -> None:
    shutdown = asyncio.Event()

    async def stubborn() -> Message:
        try:
            return await never()
        finally:
            shutdown.set()
            for _ in range(3):
                await asyncio.sleep(0)

    assert await read_in_time(stubborn, 5, 0.001, shutdown=shutdown) == Content(End.SHUTDOWN)


def test_content_is_read_without_asyncio_too() -> None:
    async def scenario() -> Content:
        return await read_in_time(receiving([part(b"ab", more=False)]), 5, 5)

    assert anyio.run(scenario, backend="trio") == Content(End.COMPLETE, 2)
