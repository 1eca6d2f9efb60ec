"""No spelling that a framework's router takes for a path slips past the policy of that path's route."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from asgi_upgrade import UpgradeMiddleware, UpgradePolicy
from asgi_upgrade.types import ASGIApp, Message, Scope
from tests.support.asgi import FOREIGN, HANDSHAKE, websocket_scope
from tests.support.serving import ADAPTERS, RawClient, serve
from tests.support.wire import request
from tests.world import doors
from tests.world.conftest import Record
from tests.world.natives import inheriting
from tests.world.programs import installed

pytestmark = pytest.mark.world

SPELLINGS = (
    *("/admin/ws", "//admin/ws", "/admin//ws", "///admin///ws", "/admin/ws/", "/admin/ws//", "//admin/ws/"),
    *("/admin/ws\n", "/./admin/ws", "/x/../admin/ws", "/ADMIN/ws", "/admin/ws/\n", "\\admin/ws"),
)
ROOTED = (*(f"/root{spelling}" for spelling in SPELLINGS), "//root/admin/ws", "/rootadmin/ws", "/x/root/admin/ws")


def is_accepted(app: ASGIApp, path: str, root_path: str = "") -> bool:
    """Offer a handshake of a foreign page, and tell whether it was accepted."""
    sent: list[str] = []
    incoming: list[Message] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    scope: Scope = websocket_scope(
        [*HANDSHAKE, FOREIGN], path=path, raw_path=path.encode(), root_path=root_path, state={}
    )

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def scenario() -> None:
        with suppress(Exception):  # as a router that finds nothing raises; what counts is whether it accepted
            await asyncio.wait_for(app(scope, receive, send), 5)

    asyncio.run(scenario())
    return "websocket.accept" in sent


@pytest.fixture(params=doors.FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    """Each framework that is installed."""
    name: str = request.param
    for package in doors.FRAMEWORKS[name].packages:
        pytest.importorskip(package)
    return name


def say_what_is_folded(record: Record, framework: str, how: str, served: set[str]) -> None:
    made = doors.FRAMEWORKS[framework]
    folded = ", ".join(f"`{spelling}`" for spelling in sorted(served))
    record(
        made.title,
        installed(*made.packages),
        f"`routes`, every spelling its router folds, {how}",
        f"none slips past: {folded}",
    )


def test_no_spelling_slips_past_the_route(framework: str, record: Record) -> None:
    app = doors.FRAMEWORKS[framework].make()
    cases = [*((path, "") for path in SPELLINGS), *((path, "/root") for path in ROOTED)]
    served = [case for case in cases if is_accepted(app, *case)]
    assert ("/admin/ws", "") in served
    for policy in (UpgradePolicy(), None):
        for pattern in ("/admin/{path:path}", "/admin/ws"):
            guarded = UpgradeMiddleware(app, allow_origins=["*"], routes={pattern: policy})
            assert [case for case in served if is_accepted(guarded, *case)] == []
    elsewhere = UpgradeMiddleware(app, allow_origins=["*"], routes={"/other": None})
    assert is_accepted(elsewhere, "/admin/ws")
    say_what_is_folded(record, framework, "in memory", {urllib.parse.quote(path) for path, _ in served})


TARGETS = (
    *("/ONE/TWO", "//ONE/TWO", "///ONE/TWO", "/ONE//TWO", "/ONE/TWO/", "/ONE/TWO//", "//ONE//TWO//"),
    *("/%2FONE/TWO", "/ONE%2FTWO", "/ONE/%2FTWO", "/ONE/TWO%2F", "/ONE%5CTWO"),
    *("/ONE/TWO%0A", "/ONE/TWO/%0A", "/ONE/TWO%0A/", "//ONE/TWO%0A", "/ONE/TWO%0D%0A", "/ONE/TWO%20", "/ONE/TWO%00"),
    *("/ONE/./TWO", "/ONE/../ONE/TWO", "/./ONE/TWO", "/ONE/TWO/.", "/ONE/TWO;x=y"),
    *("http://shop.example/ONE/TWO", "http://shop.example//ONE/TWO/"),
)
"""How a client may write ``/ONE/TWO`` in the request line."""


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, int]]:
    """The ports of the adapter on each parser, and of two servers with WebSocket scopes of their own."""
    with ExitStack() as stack:
        ports = {name: stack.enter_context(serve(doors.site, http=name)).port for name in ADAPTERS}
        for package, arguments in (("hypercorn", ("--bind", "fd://FD")), ("daphne", ("--fd", "FD"))):
            pytest.importorskip(package)
            ports[package], _ = stack.enter_context(inheriting(package, *arguments, site="tests.world.doors:site")())
        yield ports


def enters(port: int, target: str, query: str, origin: bytes) -> bool:
    """Offer a handshake, and tell whether the WebSocket behind it spoke."""
    with RawClient.to(port) as client:
        client.send(request(f"GET {target}?{query} HTTP/1.1".encode(), add=[(b"Origin", origin)]))
        if client.read_response().status != 101:
            return False
        inside = client.recv_exactly(2 + len(doors.INSIDE))
        assert inside[2:] == doors.INSIDE.encode()
        return True


def test_no_spelling_slips_past_the_route_over_a_socket(
    framework: str, servers: dict[str, int], record: Record
) -> None:
    own, foreign = b"http://shop.example", b"https://evil.example"
    folded: set[str] = set()
    for server, port in servers.items():
        served = [target for target in TARGETS if enters(port, written(target, "/open/ws"), framework, foreign)]
        assert "/ONE/TWO" in served, server
        for path in doors.GUARDED:
            strangers = [target for target in served if enters(port, written(target, path), framework, foreign)]
            assert strangers == [], server
            entered = [target for target in served if enters(port, written(target, path), framework, own)]
            assert entered == ([] if path in doors.CLOSED else served), server
        folded.update(written(target, "/admin/ws") for target in served)
    how = f"over a socket: {', '.join(servers)}"
    say_what_is_folded(record, framework, how, folded)


def written(target: str, path: str) -> str:
    """Return a spelling of a path."""
    first, second = path.strip("/").split("/")
    return target.replace("ONE", first).replace("TWO", second)
