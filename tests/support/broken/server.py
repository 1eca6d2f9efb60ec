"""A little server that does everything right but one thing, which is named by the rule that it breaks."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import socket
import threading
from collections.abc import Iterator

from tests.support.broken.content import check_framing, has_content, read_content
from tests.support.broken.deflate import negotiate
from tests.support.broken.h2 import speak_h2
from tests.support.broken.head import Head, Rejected, read_head
from tests.support.broken.opening import CROSS_SITE, POLICY, REQUEST, UPGRADE, WEBSOCKET, check, path_of
from tests.support.broken.subprotocol import subprotocols
from tests.support.broken.upgrade import protocol

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE = 10.0
"""Seconds that a connection may be idle."""


class Gone(Exception):
    """The client is gone, or nothing more is to be said to it."""


class Connection:
    """One connection to the server."""

    def __init__(self, sock: socket.socket, fault: str, policed: bool) -> None:
        self.sock = sock
        self.stream = io.BufferedReader(socket.SocketIO(sock, "r"))
        self.fault = fault
        self.policed = policed
        self.count = 0

    def run(self) -> None:
        """Serve requests until the connection ends."""
        with contextlib.suppress(OSError, Gone, ValueError), self.sock, self.stream:
            self.sock.settimeout(PATIENCE)
            while self.request():
                pass
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(65536):
                pass

    def send(self, *lines: bytes, content: bytes = b"") -> None:
        """Send a head and content."""
        self.sock.sendall(b"".join(line + b"\r\n" for line in (*lines, b"")) + content)

    def keep_silent(self) -> None:
        """Wait for the client to go away."""
        self.stream.read()
        raise Gone

    def buffered(self) -> bytes:
        """Return what has arrived already, without waiting."""
        self.sock.setblocking(False)
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = self.stream.peek()
        self.sock.settimeout(PATIENCE)
        return data

    def head(self) -> bytes:
        """Read the octets of a head."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            line = self.stream.readline()
            if not line:
                raise Gone
            data += line
        return data

    def request(self) -> bool:
        """Serve one request; tell whether the connection stays open."""
        data = self.head()
        self.count += 1
        if data.startswith(b"PRI") and self.fault != "pri-preface":
            speak_h2(self.sock, self.stream, data, self.fault, policed=self.policed)
            return False
        try:
            head = read_head(data, self.fault)
            check_framing(head)
            check(head, REQUEST)
            return self.serve(head, len(data))
        except Rejected as rejected:
            return self.reject(rejected)

    def reject(self, rejected: Rejected) -> bool:
        """Answer with an error, and close."""
        options = [b"close"]
        if b"Upgrade: websocket" in rejected.fields and self.fault != "upgrade-needs-connection-option":
            options.append(b"Upgrade")
        status, fields = rejected.status, list(rejected.fields)
        if status == 426 and self.fault == "ws-version-426":
            status, fields = 400, [b"Sec-WebSocket-Version: 13"]
        if self.fault == "ws-version-mismatch":
            fields = [field for field in fields if not field.startswith(b"Sec-WebSocket-Version")]
        self.send(
            b"HTTP/1.1 %d Rejected" % status,
            *fields,
            b"Connection: " + b", ".join(options),
            b"Content-Length: 2",
            content=b"no",
        )
        if self.fault == "switch-after-reject" and rejected.status == 426:
            self.head()
            self.sock.sendall(b"\x81\x02no")
        return self.fault == "opt-connect-proxy-close" and rejected.status == 501

    def serve(self, head: Head, size: int) -> bool:
        """Answer a request that is well-formed."""
        if head.version == (1, 2) and self.fault == "http-minor-higher":
            self.keep_silent()
        if self.fault == "ws-header-cost" and any(len(value) > 5000 for _, value in head.lines):
            self.keep_silent()
        offer = protocol(head, self.fault, first=self.count == 1)
        if offer is None:
            return self.plain(head)
        if self.fault == "target-absolute-accept" and head.target.startswith(b"http:"):
            raise Rejected(404)
        if self.policed:
            check(head, {"upgrade-head-size": (lambda _: size > 65536, 431)})
        check(head, UPGRADE)
        if offer == b"websocket" and (path_of(head.target) == "/ws" or self.fault == "policy-unexpected-switch"):
            return self.websocket(head)
        if offer == b"h2c" and self.policed and self.fault != "h2c-obsolete":
            raise Rejected(400)
        if (offer, self.fault) in ((b"totally-made-up/1.0", "upgrade-unknown-token"), (b"h2c", "h2c-obsolete")):
            self.send(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: " + offer, b"Connection: Upgrade")
            self.keep_silent()
        if offer == b"x-checked/1" and self.fault == "upgrade-ignored-serves-http":
            raise Rejected(400)
        return self.plain(head)

    def plain(self, head: Head) -> bool:
        """Answer as HTTP."""
        if head.method == b"CONNECT" and self.fault != "connect-method":
            raise Rejected(501)
        if head.is_10 and not head.values(b"host") and self.fault == "http10-no-host":
            self.keep_silent()
        self.expect(head)
        careless = {b"upgrade": "request-body-consume", b"expect": "expect-desync"}
        if not any(self.fault == fault and head.values(name) for name, fault in careless.items()):
            read_content(head, self.stream)
        if path_of(head.target) == "/ws" and head.method != b"CONNECT":
            if self.policed and self.fault != "ws-plain-get" and not head.values(b"upgrade") and not head.is_10:
                raise Rejected(426, b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
            raise Rejected(404)
        return self.page(head)

    def expect(self, head: Head) -> None:
        """Send 100 where it is due."""
        expected = [value.lower() for value in head.values(b"expect")]
        if expected and expected != [b"100-continue"]:
            raise Rejected(400 if self.fault == "expect-unknown" else 417)
        if expected and self.fault == "expect-417":
            raise Rejected(417)
        due = bool(expected) and has_content(head) and self.fault != "expect-final-instead"
        if head.is_10:
            due = due and self.fault == "expect-http10"
        elif self.fault == "expect-unsolicited-100" and not head.values(b"upgrade") and not expected:
            due = True
        if due:
            self.send(b"HTTP/1.1 100 Continue")

    def page(self, head: Head) -> bool:
        """Send the page."""
        close = head.is_10 or b"close" in [option.lower() for option in head.members(b"connection")]
        lines = [b"HTTP/1.1 200 OK"]
        if close and self.fault != "conn-close-option":
            lines.append(b"Connection: close")
        elif self.fault == "upgrade-list-grammar":
            lines.append(b"Connection: keep-alive,,")
        if self.fault == "upgrade-needs-connection-option":
            lines.append(b"Upgrade: websocket")
        content = b"hello"
        if head.is_10 and self.fault == "http10-response-te":
            lines.append(b"Transfer-Encoding: chunked")
            content = b"5\r\nhello\r\n0\r\n\r\n"
        else:
            lines.append(b"Content-Length: 5")
        lost = len(self.buffered()) if self.fault == "conn-pipeline" and not has_content(head) else 0
        self.send(*lines, content=b"" if head.method == b"HEAD" else content)
        self.stream.read(lost)
        if head.is_10:
            stays = "http10-te" if head.values(b"transfer-encoding") else "http10-default-close"
            return self.fault == stays
        return not close or self.fault == "connection-close-request"

    def websocket(self, head: Head) -> bool:
        """Open a WebSocket."""
        options = {option.lower() for option in head.members(b"connection")}
        if self.fault == "conn-close-with-upgrade" and options == {b"close", b"upgrade"}:
            self.keep_silent()
        check(head, WEBSOCKET)
        check(head, POLICY if self.policed else CROSS_SITE)
        if self.fault == "ws-101-status":
            raise Rejected(403)
        omitted = "expect-100-then-101" if has_content(head) else "expect-without-content"
        if head.values(b"expect") and self.fault != omitted:
            self.send(b"HTTP/1.1 100 Continue")
        early = self.fault == "ws-wait" and self.buffered()
        self.send(b"HTTP/1.1 101 Switching Protocols", *self.agreement(head))
        if early:
            raise Rejected(400)
        while self.frame():
            pass
        return False

    def agreement(self, head: Head) -> Iterator[bytes]:
        """Yield the fields of the 101."""
        several = len([member for member in head.members(b"upgrade") if member]) > 1
        named = b"irc" if several and self.fault == "101-offered-only" else b"websocket"
        yield b"Upgrade: " + (b"websocket/13" if self.fault == "ws-101-upgrade" else named)
        yield b"Connection: " + (b"keep-alive" if self.fault == "ws-101-connection" else b"Upgrade")
        raw = head.raw(b"sec-websocket-key")
        key = raw if self.fault == "ws-accept-raw-key" else raw.strip(b" \t")
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324
        line = b"Sec-WebSocket-Accept: " + (b"AAAA" if self.fault == "ws-accept-value" else accept)
        yield from [line] * (2 if self.fault == "ws-accept-single" else 1)
        if self.fault == "101-no-framing":
            yield b"Content-Length: 0"
        for name in subprotocols(head):
            yield b"Sec-WebSocket-Protocol: " + name
        if self.fault == "ws-extension-offered":
            yield b"Sec-WebSocket-Extensions: x-unasked"
        elif (answer := negotiate(head)) is not None:
            yield b"Sec-WebSocket-Extensions: " + answer

    def frame(self) -> bool:
        """Answer one frame; tell whether another may come."""
        first = self.stream.read(2)
        if len(first) < 2:
            return False
        if first[0] not in (0x81, 0x88, 0x89):
            self.sock.sendall(b"\x88\x02\x03\xea")
            return False
        mask = self.stream.read(4)
        masked = self.stream.read(first[1] & 0x7F)
        payload = bytes(octet ^ mask[index % 4] for index, octet in enumerate(masked))
        answer = {0x81: 0x81, 0x88: 0x88, 0x89: 0x8A}[first[0]]
        self.sock.sendall(bytes((answer, len(payload))) + payload)
        return answer != 0x88


@contextlib.contextmanager
def little_server(fault: str = "", *, policed: bool = False) -> Iterator[str]:
    """Run the server; yield ``host:port``."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    threading.Thread(target=Connection(sock, fault, policed).run, daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE)
