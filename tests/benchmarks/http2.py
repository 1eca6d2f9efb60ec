"""WebSockets over HTTP/2 (RFC 8441), by prior knowledge: ours beside every server installed, and beside HTTP/1.1.

The CPU time is the server's own for one operation, and a ratio above 1 is faster than that server. All servers of a row
run at the same time, and rounds go from one to the next.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple, Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

from tests.benchmarks.client import Client, WebSocketClient, frame
from tests.benchmarks.measure import best_quarter
from tests.benchmarks.others import serving
from tests.benchmarks.server import running

ROUNDS = 24
WINDOW = 2**30
CLOSE = b"\x88\x82" + bytes(4) + (1000).to_bytes(2)
OURS, HTTP1 = "ours-zttp-websockets", "ours-httptools-websockets"


class Opened(Protocol):
    """A client whose WebSocket is open."""

    def stream(self, size: int, count: int) -> None:
        """Send messages without waiting, and read every echo."""

    def ping_pong(self, size: int, count: int) -> None:
        """Send a message, read its echo, and so on."""

    def handshake(self) -> None:
        """Open another WebSocket, and end it."""


class HTTP2Client(Client):
    """A connection with a WebSocket on a stream of it.

    Args:
        port: The server's port on loopback.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._h2.local_settings = type(self._h2.local_settings)(
            client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: WINDOW, SettingCodes.ENABLE_PUSH: 0}
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW)
        self._flush()
        while not any(isinstance(event, RemoteSettingsChanged) for event in self._events()):
            pass
        self._stream = self._open()

    def __exit__(self, *error: object) -> None:
        self.socket.close()
        self.sock.close()

    def handshake(self) -> None:
        """Open a WebSocket on a stream of its own, and close it: after many resets servers give a connection up."""
        stream = self._open()
        self._h2.send_data(stream, CLOSE, end_stream=True)
        self._flush()
        while not any(isinstance(event, StreamEnded | StreamReset) for event in self._events()):
            pass

    def stream(self, size: int, count: int) -> None:
        """Send messages without waiting, and read every echo."""
        out = memoryview(frame(size) * count)
        left = (len(frame(size)) - 4) * count
        self.socket.setblocking(False)
        waiting = b""
        try:
            while left:
                while out and (room := self._room()):
                    self._h2.send_data(self._stream, bytes(out[:room]))
                    out = out[room:]
                waiting += self._h2.data_to_send()
                readable, writable, _ = select.select([self.socket], [self.socket] if waiting else [], [], 10)
                if writable:
                    waiting = waiting[self.socket.send(waiting) :]
                if readable:
                    left -= self._data(self._h2.receive_data(self.socket.recv(1_048_576)))
        finally:
            self.socket.setblocking(True)
        self.socket.sendall(waiting)

    def ping_pong(self, size: int, count: int) -> None:
        """Send a message, read its echo, and so on."""
        out, echo = frame(size), len(frame(size)) - 4
        for _ in range(count):
            self._h2.send_data(self._stream, out)
            self._flush()
            left = echo
            while left:
                left -= self._data(self._events())

    def _room(self) -> int:
        return min(self._h2.local_flow_control_window(self._stream), self._h2.max_outbound_frame_size)

    def _data(self, events: list[Event]) -> int:
        """Return how many octets of the WebSocket's came."""
        return sum(len(event.data or b"") for event in events if isinstance(event, DataReceived))

    def _open(self) -> int:
        stream: int = self._h2.get_next_available_stream_id()
        fields = [
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            (b":scheme", b"http"),
            (b":path", b"/ws"),
            (b":authority", b"127.0.0.1"),
            (b"origin", b"http://127.0.0.1"),
            (b"sec-websocket-version", b"13"),
            (b"user-agent", b"benchmark/1.0"),
        ]
        self._h2.send_headers(stream, fields)
        self._flush()
        while True:
            for event in self._events():
                if isinstance(event, ResponseReceived) and event.stream_id == stream:
                    assert (b":status", b"200") in [(name, value) for name, value in event.headers or ()], event.headers
                    return stream
                assert not (isinstance(event, StreamReset) and event.stream_id == stream), event

    def _events(self) -> list[Event]:
        octets = self.socket.recv(65536)
        assert octets, "the server has closed"
        events: list[Event] = self._h2.receive_data(octets)
        self._flush()
        return events

    def _flush(self) -> None:
        self.socket.sendall(self._h2.data_to_send())


class Row(NamedTuple):
    """One kind of traffic."""

    title: str
    operation: Callable[[Opened], None]
    number: int
    """How many operations that is."""
    without: str = ""
    """Which server cannot do it."""


def handshakes(client: Opened) -> None:
    """Open and close some."""
    for _ in range(40):
        client.handshake()


ROWS = (
    Row("64-byte messages streamed", lambda client: client.stream(64, 2000), 2000),
    Row("64 KiB messages streamed", lambda client: client.stream(65536, 40), 40),
    Row("64-byte messages in turn", lambda client: client.ping_pong(64, 300), 300),
    # hypercorn leaves a stream open whose WebSocket is closed, and soon takes no more (RFC 8441 section 5 not met).
    Row("handshakes opened and closed", handshakes, 40, without="hypercorn, HTTP/2"),
)

Server = Callable[[], AbstractContextManager[int]]


def sides() -> Iterator[tuple[str, Server, Callable[[int], HTTP2Client | WebSocketClient]]]:
    """Yield what is compared, by name: ours over HTTP/2 first, ours over HTTP/1.1 second."""
    yield "ours, HTTP/2", partial(running, f"{OURS}-quiet"), HTTP2Client
    yield "ours, HTTP/1.1 on zttp", partial(running, f"{OURS}-quiet"), WebSocketClient
    yield "ours, HTTP/1.1 on httptools", partial(running, f"{HTTP1}-quiet"), WebSocketClient
    for name in ("hypercorn", "h2corn"):
        if find_spec(name) is not None:
            yield f"{name}, HTTP/2", partial(serving, name), HTTP2Client


def costs(row: Row) -> dict[str, float]:
    """Measure a row on every side, in seconds for one operation."""
    with ExitStack() as stack:
        clients: dict[str, Opened] = {}
        ports: dict[str, int] = {}
        for name, start, kind in sides():
            if name == row.without:
                continue
            ports[name] = stack.enter_context(start())
            client = kind(ports[name])
            stack.callback(client.__exit__, None, None, None)
            clients[name] = client
            row.operation(client)
        measured: dict[str, list[float]] = {name: [] for name in clients}
        for index in range(ROUNDS):
            for name in list(clients)[:: 1 if index % 2 else -1]:
                before = _cpu(ports[name])
                row.operation(clients[name])
                measured[name].append((_cpu(ports[name]) - before) / row.number)
        return {name: best_quarter(found) for name, found in measured.items()}


def _cpu(port: int) -> float:
    """Ask on a connection of its own: an idle one is closed after some seconds."""
    with Client(port) as client:
        return client.cpu()


def main() -> None:
    """Print a block for each row: what each side takes, and how many times more that is than ours over HTTP/2."""
    for row in ROWS:
        found = costs(row)
        ours = next(iter(found.values()))
        print(row.title)
        for name, cost in found.items():
            print(f"    {name:<30} {cost * 1e6:9.2f} us   ratio {cost / ours:5.2f}", flush=True)


if __name__ == "__main__":
    main()
