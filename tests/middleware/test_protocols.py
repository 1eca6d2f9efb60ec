"""What may stand in ``protocols``, and what the errors say about the rest."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.middleware.handlers import UpgradeRequest, compile_protocols


async def handler(request: UpgradeRequest) -> None: ...


async def configured(room: str, request: UpgradeRequest) -> None: ...


def plain(request: UpgradeRequest) -> None: ...


class Handler:
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
        pytest.param(Handler(), id="object"),
        pytest.param(Handler().method, id="method"),
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
        pytest.param({"tcp": Handler}, f"protocols=Handler: {ASYNC}", id="class"),
        pytest.param({"tcp": None}, f"protocols=None: {ASYNC}", id="none"),
    ],
)
def test_mistake_says_what_to_write(protocols: Any, error: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_protocols(protocols)
    assert str(caught.value) == error
