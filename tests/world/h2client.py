"""A client of HTTP/2 and of WebSocket over it (RFC 8441), on the h2 library and wsproto's frames."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from tests.world.programs import WAIT

Headers = list[tuple[str, str]]


class Stream:
    """One exchange: what has come of it so far."""

    def __init__(self, stream_id: int) -> None:
        self.id = stream_id
        self.fields: Headers = []
        self.content = b""
        self.ended = False
        self.frames = Connection(ConnectionType.CLIENT)

    @property
    def status(self) -> int:
        """The status of the response, 0 while there is none."""
        return int(dict(self.fields).get(":status", "0"))


class H2Client:
    """A connection with prior knowledge."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        self.connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.streams: dict[int, Stream] = {}
        self.extended_connect: bool | None = None
        self.connection.initiate_connection()
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def offers_websocket(self) -> bool:
        """Wait for the server's settings; tell whether extended CONNECT is among them."""
        while self.extended_connect is None:
            self._receive()
        return self.extended_connect

    def request(self, *fields: tuple[str, str], authority: str, path: str, method: str = "GET") -> Stream:
        """Send a request without content and wait for the whole response."""
        pseudo = [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path)]
        stream = self._open([*pseudo, *fields], end=True)
        while not stream.ended:
            self._receive()
        return stream

    def websocket(self, *fields: tuple[str, str], authority: str, path: str) -> Stream:
        """Ask for a WebSocket and wait for the head of the response, and for all of it if it is not 200."""
        assert self.offers_websocket()
        pseudo = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http")]
        pseudo += [(":authority", authority), (":path", path)]
        stream = self._open([*pseudo, ("sec-websocket-version", "13"), *fields], end=False)
        while not stream.fields or (stream.status != 200 and not stream.ended):
            self._receive()
        return stream

    def send_text(self, stream: Stream, text: str) -> None:
        """Send a message."""
        self.connection.send_data(stream.id, stream.frames.send(TextMessage(text)))
        self._flush()

    def receive_text(self, stream: Stream) -> str:
        """Receive a message."""
        text = ""
        while True:
            content, stream.content = stream.content, b""
            stream.frames.receive_data(content)
            for event in stream.frames.events():
                assert isinstance(event, TextMessage), event
                text += event.data
                if event.message_finished:
                    return text
            assert not stream.ended
            self._receive()

    def _open(self, fields: Iterable[tuple[str, str]], *, end: bool) -> Stream:
        stream = Stream(self.connection.get_next_available_stream_id())
        self.streams[stream.id] = stream
        self.connection.send_headers(stream.id, list(fields), end_stream=end)
        self._flush()
        return stream

    def _receive(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        for event in self.connection.receive_data(data):
            if isinstance(event, RemoteSettingsChanged):
                setting = event.changed_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL)
                self.extended_connect = bool(setting and setting.new_value)
            elif isinstance(event, ResponseReceived):
                self.streams[event.stream_id].fields = [(str(name), str(value)) for name, value in event.headers]
            elif isinstance(event, DataReceived):
                self.streams[event.stream_id].content += event.data
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded | StreamReset):
                self.streams[event.stream_id].ended = True
        self._flush()

    def _flush(self) -> None:
        self.sock.sendall(self.connection.data_to_send())
