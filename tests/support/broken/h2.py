"""HTTP/2 as the little server of these tests speaks it, by prior knowledge; WebSocket over it too (RFC 8441)."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from tests.support.broken.head import Head, Rejected
from tests.support.broken.opening import CROSS_SITE, POLICY, WEBSOCKET, check
from tests.support.broken.scripted import Answer
from tests.support.broken.subprotocol import subprotocols

Fields = list[tuple[bytes, bytes]]

ALIKE = frozenset({*POLICY, "ws-subprotocol-null", "ws-subprotocol-offered", "ws-extension-offered"})
"""Faults that this half has as the other has them; of the others it has its own alone."""

VERSION = (b"sec-websocket-version", b"13")
OVER_H2 = {rule: judge for rule, judge in WEBSOCKET.items() if not rule.startswith(("ws-key-", "ws-method", "ws-body"))}
_WITHOUT_VERSION = {rule: judge for rule, judge in OVER_H2.items() if not rule.startswith("ws-version-")}


class Source(Protocol):
    """What octets come from."""

    def read1(self, size: int, /) -> bytes:
        """Return what is there, or what comes next."""
        ...


class Malformed(Exception):
    """The stream is reset."""


class Gone(Exception):
    """The connection is given up."""


@dataclass
class Socket:
    """A WebSocket in a stream: what has come and is no whole frame, and what waits for credit."""

    came: bytes = b""
    waiting: bytes = b""
    closed: bool = False
    ends: bool = False


@dataclass
class Speaker:
    """One connection."""

    sock: socket.socket
    fault: str
    policed: bool
    sockets: dict[int, Socket] = field(default_factory=dict)
    leaves: bool = False

    def __post_init__(self) -> None:
        self.h2 = H2Connection(
            H2Configuration(
                client_side=False,
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.h2.local_settings = Settings(client=False, initial_values={SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
        self.h2.initiate_connection()

    def run(self, stream: Source, data: bytes) -> None:
        """Serve the connection, whose first octets have been read, to its end."""
        while data:
            for event in self.h2.receive_data(data):
                with contextlib.suppress(ProtocolError):
                    self.happened(event)
            for number in self.sockets:
                with contextlib.suppress(ProtocolError):
                    self.pump(number)
            self.sock.sendall(self.h2.data_to_send())
            data = b"" if self.leaves else stream.read1(65536)

    def happened(self, event: Event) -> None:
        """Do what an event asks for."""
        match event:
            case RequestReceived():
                self.asked(event.stream_id or 0, event.headers or [], ended=event.stream_ended is not None)
            case DataReceived() if event.stream_id in self.sockets:
                self.received(event.stream_id or 0, event.data or b"")
            case StreamEnded() if event.stream_id in self.sockets and self.fault != "h2-close-map":
                self.half_closed(event.stream_id)
            case ConnectionTerminated():
                raise Gone
            case StreamReset() if self.fault == "h2-connection-usable":
                raise Gone

    def half_closed(self, number: int) -> None:
        """End our half of a WebSocket whose client has ended its own."""
        if self.fault == "h2-connection-usable:end":
            raise Gone
        self.sockets[number].ends = True

    # Requests

    def asked(self, number: int, fields: Fields, *, ended: bool) -> None:
        """Answer a request."""
        if self.fault == "h2-setting" and (b":method", b"GET") in fields:
            self.h2.update_settings({SettingCodes.ENABLE_CONNECT_PROTOCOL: 0})
        try:
            status, answer = self.judged(dict(fields), fields, ended=ended)
        except Malformed:
            self.h2.reset_stream(number, ErrorCodes.PROTOCOL_ERROR)
            return
        except Rejected as rejected:
            status, answer = rejected.status, [_pair(line) for line in rejected.fields]
            answer = [each for each in answer if each[0] != b"upgrade"]
            status = 400 if status == 426 and self.fault != "ws-426-h2" else status
            self.leaves = self.fault == "h2-connection-usable:rejection"
        if self.fault == "h2-no-connection-fields":
            answer.append((b"connection", b"keep-alive"))
        opens = status == 200 and (b":method", b"CONNECT") in fields
        self.h2.send_headers(number, [(b":status", b"103")])
        self.h2.send_headers(number, [(b":status", b"%d" % status), *answer], end_stream=not opens and status != 101)
        if opens:
            self.sockets[number] = Socket()

    def judged(self, named: dict[bytes, bytes], fields: Fields, *, ended: bool) -> tuple[int, Fields]:
        """Return status and fields of the response.

        Raises:
            Malformed: It is reset.
            Rejected: It is rejected.
        """
        if b"upgrade" in named and self.fault == "101-not-h2-h3":
            return 101, []
        if b"upgrade" in named and self.fault != "h2-malformed":
            raise Rejected(400)
        names = [name for name, _ in fields]
        extended = b":protocol" in named
        required = {b":scheme", b":path"} if named[b":method"] != b"CONNECT" or extended else set()
        wrong = not required <= named.keys() or names.count(b":protocol") > 1
        wrong |= named[b":method"] == b"CONNECT" and not extended and b":path" in named
        wrong |= extended and named[b":method"] != b"CONNECT"
        if wrong and self.fault != "h2-protocol-pseudo":
            raise Malformed
        if named.get(b"host", named[b":authority"]) != named[b":authority"] and self.fault != "h2-ws-host":
            raise Malformed
        if not extended or named[b":method"] == b"GET":
            if named[b":method"] == b"CONNECT" and not wrong and self.fault != "connect-method":
                raise Rejected(501)
            return 200, []
        return self.handshake(named, fields, ended=ended)

    def handshake(self, named: dict[bytes, bytes], fields: Fields, *, ended: bool) -> tuple[int, Fields]:
        """Judge an extended CONNECT."""
        path = named.get(b":path", b"/ws").partition(b"?")[0]
        if self.fault == "h2-ws-success" or (path != b"/ws" and self.fault != "h2-unexpected-switch"):
            raise Rejected(404)
        if b"sec-websocket-key" in named and self.fault == "h2-no-key:translated":
            raise Rejected(400)
        if ended and self.fault != "h2-end-stream":
            raise Rejected(400)
        if named[b":protocol"] != b"websocket" and self.fault != "h2-unknown-protocol":
            raise Rejected(501)
        fault = self.fault if self.fault.partition(":")[0] in ALIKE else ""
        lines = [(b"host", named[b":authority"]), *(each for each in fields if each[0] != b"host")]
        head = Head(method=b"GET", target=named.get(b":path", b"/ws"), version=(1, 1), lines=lines, fault=fault)
        check(head, OVER_H2 if self.fault != "h2-ws-version-fail" else _WITHOUT_VERSION)
        check(head, POLICY if self.policed else CROSS_SITE)
        answer = [(b"sec-websocket-protocol", name) for name in subprotocols(head)]
        if fault == "ws-extension-offered":
            answer.append((b"sec-websocket-extensions", b"x-unasked"))
        if self.fault == "h2-no-key":
            answer.append((b"sec-websocket-accept", b"AAAA"))
        return 200, answer

    # WebSockets

    def received(self, number: int, data: bytes) -> None:
        """Read frames."""
        there = self.sockets[number]
        came = data if self.fault == "h2-data-split" else there.came + data
        while len(came) >= 2 and len(came) >= (size := 2 + (came[1] & 0x7F) + 4 * (came[1] >> 7)):
            self.frame(number, came[:size])
            came = came[size:]
        there.came = came

    def frame(self, number: int, frame: bytes) -> None:
        """Answer one frame."""
        there = self.sockets[number]
        if there.closed:
            return
        if not frame[1] & 0x80 and self.fault != "fr-client-mask":
            there.waiting += b"\x88\x02\x03\xea"
            there.closed = there.ends = True
            return
        mask, masked = (frame[2:6], frame[6:]) if frame[1] & 0x80 else (bytes(4), frame[2:])
        payload = bytes(octet ^ mask[index % 4] for index, octet in enumerate(masked))
        answer = {0x81: 0x81, 0x88: 0x88, 0x89: 0x8A}[frame[0]]
        there.closed = answer == 0x88
        there.ends = there.closed and self.fault != "h2-close-map"
        to = max(self.sockets) if self.fault == "h2-streams-beside" else number
        self.sockets[to].waiting += bytes((answer, len(payload))) + payload

    def pump(self, number: int) -> None:
        """Send what the window allows."""
        there = self.sockets[number]
        window = self.h2.local_flow_control_window(number)
        if self.fault == "h2-flow-control" and len(there.waiting) > window:
            self.sock.sendall(
                self.h2.data_to_send() + len(there.waiting).to_bytes(3) + b"\0\0" + number.to_bytes(4) + there.waiting
            )
            there.waiting = b""
        if sent := there.waiting[:window]:
            self.h2.send_data(number, sent)
            there.waiting = there.waiting[window:]
        if there.ends and not there.waiting:
            self.h2.end_stream(number)
            there.ends = False


def _pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b": ")
    return name.lower(), value


def speak_h2(sock: socket.socket, stream: Source, read: bytes, fault: str, *, policed: bool = False) -> None:
    """Answer every request of a connection whose first octets have been read."""
    with contextlib.suppress(Gone):
        Speaker(sock, fault, policed).run(stream, read)


def speaking(kind: Callable[[socket.socket, str, bool], Speaker] = Speaker, fault: str = "") -> Answer:
    """Return how to serve a connection of HTTP/2 in a script."""

    def answer(sock: socket.socket) -> None:
        stream = io.BufferedReader(socket.SocketIO(sock, "r"))
        with contextlib.suppress(Gone, OSError), stream:
            kind(sock, fault, False).run(stream, stream.read1(65536))

    return answer
