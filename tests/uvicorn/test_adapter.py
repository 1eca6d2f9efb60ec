"""The uvicorn adapter over real sockets: what the scope holds, the warning, and what is used of uvicorn."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import queue
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.http import h11_impl, httptools_impl

import asgi_upgrade.uvicorn as adapter
from asgi_upgrade.extension import EXTENSION
from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.types import Receive, Scope, Send
from asgi_upgrade.uvicorn import connection
from tests.support.serving import ADAPTERS, TIMEOUT, RawClient, Serving, serve
from tests.support.upgrade_app import HEAD_101, PLAIN, SWITCH, UPGRADE, App, respond, upgrade_request

# The scope


def test_upgrade_request_carries_the_extension(app: App, client: RawClient, serving: Serving, parser: str) -> None:
    client.send(b"GET /show?a=b HTTP/1.1\r\nUpgrade: x\r\n", UPGRADE, b"\r\n")
    client.read_response()
    scope = app.next()
    extension = scope["extensions"]["http.upgrade"]
    stream = extension.pop("stream")
    assert isinstance(stream, UpgradedStream)
    assert not stream.is_open
    name = {"h11": "H11Protocol", "httptools": "HttpToolsProtocol", "zttp": "ZttpH1Protocol"}[parser]
    assert re.fullmatch(rf"uvicorn \d+\.\d+\.\d+ {name}", extension.pop("adapter"))
    assert extension == {
        "peer": client.sock.getsockname(),
        "target": b"/show?a=b",
        "settings": {
            "max_size": 16 * 1024 * 1024,
            "max_queue": 32,
            "ping_interval": 20.0,
            "ping_timeout": 20.0,
            "per_message_deflate": True,
            "graceful_timeout": None,
            "websocket": True,
        },
    }
    assert (scope["type"], scope["method"], scope["http_version"]) == ("http", "GET", "1.1")
    assert [value for name, value in scope["headers"] if name == b"upgrade"] == [b"x", b"echo"]


def test_settings_follow_the_configuration(app: App, parser: str) -> None:
    options = {"ws_max_size": 1, "ws_max_queue": 2, "ws_ping_interval": None, "ws_ping_timeout": 4.0}
    config: dict[str, Any] = {**options, "ws_per_message_deflate": False, "timeout_graceful_shutdown": 3}
    with serve(app, http=parser, **config) as running, running.connect() as client:
        client.send(upgrade_request("/show", method="GET"))
        client.read_response()
    assert app.next()["extensions"]["http.upgrade"]["settings"] == {
        "max_size": 1,
        "max_queue": 2,
        "ping_interval": None,
        "ping_timeout": 4.0,
        "per_message_deflate": False,
        "graceful_timeout": 3,
        "websocket": True,
    }


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        pytest.param(b"/show?", b"/show?", id="empty-query"),
        pytest.param(b"/sho%77?a=%20", b"/sho%77?a=%20", id="escapes"),
        pytest.param(b"/show//x/../y", b"/show//x/../y", id="dots"),
    ],
)
def test_target_is_given_as_received(app: App, client: RawClient, target: bytes, seen: bytes) -> None:
    client.send(b"GET ", target, b" HTTP/1.1\r\n", UPGRADE, b"\r\n")
    client.read_response()
    assert app.next()["extensions"]["http.upgrade"]["target"] == seen


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"http://a.example/show?a", id="with-path"),
        pytest.param(b"http://a.example", id="without-path"),
        pytest.param(b"http://a.example?a=b", id="query-without-path"),
        pytest.param(b"*", id="asterisk"),
    ],
)
def test_target_that_is_no_path_reaches_the_application(parser: str, target: bytes) -> None:
    seen: queue.Queue[Scope] = queue.Queue()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.put(scope)
        await respond(send, 200, b"")

    with serve(application, http=parser) as running, running.connect() as client:
        client.send(b"GET ", target, b" HTTP/1.1\r\n", UPGRADE, b"\r\n")
        assert client.read_response().status == 200
    scope = seen.get(timeout=TIMEOUT)
    assert scope["extensions"]["http.upgrade"]["target"] == target
    if parser == "httptools" and target != b"*":
        assert scope["query_string"] == target.partition(b"?")[2]


@pytest.mark.parametrize(
    ("head", "version"),
    [
        pytest.param(b"GET /show HTTP/1.0\r\n" + UPGRADE, "1.0", id="http10"),
        pytest.param(b"GET /show HTTP/2.0\r\n" + UPGRADE, "2.0", id="http20-on-an-http1-wire"),
        pytest.param(b"GET /show HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n", "1.1", id="no-connection-option"),
        pytest.param(b"GET /show HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: xupgrade\r\n", "1.1", id="other"),
        pytest.param(b"GET /show HTTP/1.1\r\nHost: a\r\nUpgrade:\r\nConnection: upgrade\r\n", "1.1", id="empty"),
        pytest.param(b"GET /show HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n", "1.1", id="no-upgrade"),
    ],
)
def test_request_that_cannot_switch_has_no_extension(
    app: App, client: RawClient, parser: str, head: bytes, version: str
) -> None:
    client.send(head, b"\r\n")
    if (parser, version) == ("zttp", "2.0"):
        assert client.read_response().status == 400
        return
    assert client.read_response().body == b"shown"
    scope = app.next()
    assert EXTENSION not in scope.get("extensions", {})
    assert scope["http_version"] == version


@pytest.mark.parametrize("which", ["h11", pytest.param("zttp", marks=pytest.mark.newest)])
def test_http12_can_switch_where_the_parser_takes_it(app: App, which: str) -> None:
    with serve(app, http=which) as running, running.connect() as client:
        client.send(SWITCH.replace(b"HTTP/1.1", b"HTTP/1.2"), b"early")
        assert client.recv_exactly(len(HEAD_101) + 5) == HEAD_101 + b"early"


def test_root_path_is_kept(app: App, parser: str) -> None:
    with serve(app, http=parser, root_path="/show") as running, running.connect() as client:
        client.send(upgrade_request("/b?c", method="GET"))
        client.read_response()
    scope = app.next()
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/show", "/show/b", b"/show/b")
    assert scope["extensions"]["http.upgrade"]["target"] == b"/b?c"


def test_plain_request_has_no_extension_and_no_wrapper(parser: str) -> None:
    seen: queue.Queue[tuple[Scope, str]] = queue.Queue()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.put((scope, send.__qualname__))
        await respond(send, 200, b"")

    with serve(application, http=parser, proxy_headers=False) as running, running.connect() as client:
        client.send(PLAIN)
        client.read_response()
        client.send(upgrade_request("/", method="GET"))
        client.read_response()
        client.send(PLAIN)
        client.read_response()
    assert [seen.get(timeout=TIMEOUT)[1] == "RequestResponseCycle.send" for _ in range(3)] == [True, False, True]


def test_peer_is_the_socket_whatever_the_proxy_says(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/show", b"X-Forwarded-For: 192.0.2.7\r\n", method="GET"))
    client.read_response()
    scope = app.next()
    assert scope["client"][0] == "192.0.2.7"
    assert scope["extensions"]["http.upgrade"]["peer"] == client.sock.getsockname()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_peer_on_a_unix_socket(app: App, parser: str, loop: str, tmp_path: Path) -> None:
    with serve(app, http=parser, loop=loop, uds=tmp_path / "s") as running, running.connect() as client:
        client.send(upgrade_request("/show", method="GET"))
        client.read_response()
        assert app.next()["extensions"]["http.upgrade"]["peer"] == "unix"
        client.send(SWITCH, b"early")
        assert client.recv_exactly(len(HEAD_101) + 5) == HEAD_101 + b"early"


def test_peer_without_a_socket_is_not_known() -> None:
    assert connection.peer_of(asyncio.Transport()) is None


# The warning


WEBSOCKET = b"Host: a\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\r\n"


def _unjudged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "unjudged" in record.getMessage()]


@pytest.mark.parametrize("path", [b"/a", b"/switch"])
def test_unjudged_websocket_handshake_is_warned_of_once_per_server(
    serving: Serving, caplog: pytest.LogCaptureFixture, path: bytes
) -> None:
    for _ in range(3):
        with serving.connect() as client:
            client.send(b"GET ", path, b" HTTP/1.1\r\n", WEBSOCKET)
            client.recv_until(b"\r\n\r\n")
    assert len(_unjudged(caplog)) == 1


@pytest.mark.parametrize(
    "request_octets",
    [
        pytest.param(b"GET /judged HTTP/1.1\r\n" + WEBSOCKET, id="judged"),
        pytest.param(b"GET /a HTTP/1.0\r\n" + WEBSOCKET, id="no-extension"),
        pytest.param(upgrade_request("/a"), id="another-protocol"),
    ],
)
def test_no_warning(client: RawClient, caplog: pytest.LogCaptureFixture, request_octets: bytes) -> None:
    client.send(request_octets)
    assert client.read_response().status == 200
    assert _unjudged(caplog) == []


# The adapter and uvicorn


def _table_names(parser: str) -> list[str]:
    """The overridden names in the first table of the module docstring, for one parser."""
    documentation = inspect.getdoc(adapter) or ""
    table = documentation.split("name  ", 1)[1].split("Read:", 1)[0]
    rows = re.findall(r"^((?:``\w+``(?:, )?)+)  +(all|\w+(?:, \w+)*) ", table, re.MULTILINE)
    return [
        n for names, which in rows for n in re.findall(r"\w+", names) if which == "all" or parser in which.split(", ")
    ]


TWINS: dict[str, tuple[type, type]] = {
    "h11": (adapter.H11Protocol, h11_impl.H11Protocol),
    "httptools": (adapter.HttpToolsProtocol, httptools_impl.HttpToolsProtocol),
}
"""Our class and uvicorn's, for each parser that is there."""

if "zttp" in ADAPTERS:
    from uvicorn.protocols.http.zttp_impl import ZttpProtocol as PlainZttpProtocol

    from asgi_upgrade.uvicorn.zttp import ZttpH1Protocol

    TWINS["zttp"] = (ZttpH1Protocol, PlainZttpProtocol)


@pytest.mark.parametrize(("ours", "theirs", "which"), [(*twins, name) for name, twins in TWINS.items()], ids=TWINS)
def test_every_overridden_name_is_in_uvicorn_and_in_the_table(ours: type, theirs: type, which: str) -> None:
    names = _table_names(which)
    assert len(names) > 8
    assert [name for name in names if name not in vars(theirs)] == []
    overridden = {name for cls in ours.__mro__[:2] for name in vars(cls) if name in vars(theirs)}
    # Every class has other dunders, and each Python more of them.
    assert {name for name in overridden if name == "__init__" or not name.startswith("__")} == set(names)


@pytest.mark.newest
def test_every_name_overridden_over_http2_is_in_uvicorn_and_in_the_list() -> None:
    from uvicorn.protocols.http import zttp_h2_impl

    from asgi_upgrade.uvicorn import http2

    documentation = inspect.getdoc(adapter) or ""
    names = re.findall(r"\w+", documentation.split("Over HTTP/2:", 1)[1].split(";", 1)[0])
    theirs = vars(zttp_h2_impl.ZttpH2Protocol)
    assert [name for name in names if name not in theirs] == []
    overridden = {name for name in vars(http2.ZttpH2Protocol) if name in theirs}
    assert {name for name in overridden if not name.startswith("__")} == set(names)


@pytest.mark.parametrize("own", TWINS)
def test_names_read_of_uvicorn_are_still_there(own: str) -> None:
    module = sys.modules[TWINS[own][1].__module__]
    documentation = inspect.getdoc(adapter) or ""
    read = documentation.split("Read:", 1)[1].split("What never reaches", 1)[0]
    parts = " ".join(read.split()).split("; ")
    read = ";".join(part for part in parts if not part.startswith("on ") or part.startswith(f"on {own} "))
    source = inspect.getsource(module) + inspect.getsource(sys.modules["uvicorn.server"])
    source += inspect.getsource(sys.modules["uvicorn.config"])
    source += inspect.getsource(sys.modules["uvicorn.protocols.http.flow_control"])
    names = re.findall(r"``(\w+)``", read)
    assert len(names) > 20
    assert [name for name in names if not re.search(rf"\b{name}\b", source)] == []


def test_auto_protocol_is_httptools_where_it_is_installed() -> None:
    assert adapter.AutoProtocol is adapter.HttpToolsProtocol


def test_module_works_without_httptools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httptools", None)
    monkeypatch.delitem(sys.modules, "asgi_upgrade.uvicorn.httptools")
    monkeypatch.delitem(sys.modules, "uvicorn.protocols.http.httptools_impl")
    spec = importlib.util.spec_from_file_location("adapter_without_httptools", str(adapter.__file__))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.AutoProtocol is module.H11Protocol
    assert not hasattr(module, "HttpToolsProtocol")


@pytest.mark.parametrize("names", ["AutoProtocol", *(ours.__name__ for ours in ADAPTERS.values())])
def test_protocols_work_as_import_strings(app: App, names: str) -> None:
    with serve(app, adapter=False, http=f"asgi_upgrade.uvicorn:{names}") as running, running.connect() as client:
        client.send(SWITCH, b"x")
        assert client.recv_exactly(len(HEAD_101) + 1) == HEAD_101 + b"x"
