"""A probe's side of the wire: the accepted handshake that it changes in one thing, and connections to send it over."""

from __future__ import annotations

from dataclasses import dataclass, field

from asgi_upgrade.check.result import Transcript
from asgi_upgrade.check.wire.exchange import Address, Answer, ProbeConnection, Seen
from asgi_upgrade.check.wire.redaction import redact_text, secrets
from asgi_upgrade.check.wire.request import KEY, ProbeRequest, shown_path
from asgi_upgrade.check.wire.response import Response
from asgi_upgrade.policy import UpgradePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What is known of a path before it is probed.

    Args:
        address: Where the server listens.
        path: The path.
        host: What the Host field says, if it is not the address.
        http_path: A path for plain requests on the same server.
        timeout: How long to wait for any answer, in seconds.
        secret: Fields sent with every request whose values are in no report.
        credentials: What is in no report either: of the subprotocols and of queries.
        origin: The Origin of every handshake; None sends none.
        subprotocols: The subprotocols offered with every handshake.
        policy: What the service wants, if it says so.
        plain: What a plain GET of the path gets.
        usual: The status that a plain GET of ``http_path`` gets.
        compresses: Whether the server accepts permessage-deflate.
    """

    address: Address
    path: str
    host: str = ""
    http_path: str = "/"
    timeout: float = 2.0
    secret: tuple[tuple[bytes, bytes], ...] = ()
    credentials: tuple[bytes, ...] = ()
    origin: str | None = None
    subprotocols: tuple[str, ...] = ()
    policy: UpgradePolicy | None = None
    plain: Response | None = None
    usual: int | None = None
    compresses: bool = False

    @property
    def shown_path(self) -> str:
        """The path as a report shows it: a query is masked."""
        return shown_path(self.path)

    @property
    def authority(self) -> bytes:
        """What the Host field says."""
        return (self.host or self.address.authority).encode("ascii")

    @property
    def own_origin(self) -> str:
        """The origin of the service's own pages."""
        return f"{self.scheme}://{self.authority.decode('ascii')}"

    @property
    def scheme(self) -> str:
        """The scheme of the server: http or https."""
        return "http" if self.address.tls is None else "https"


@dataclass(slots=True)
class Wire:
    """What one probe speaks through.

    Args:
        base: What is known of the path.
        seen: Every response of the target so far; shared by all its probes.
    """

    base: Base
    seen: list[Seen]
    connections: list[ProbeConnection] = field(default_factory=list)

    @property
    def exchanges(self) -> tuple[Transcript, ...]:
        """What went over the wire, in order."""
        return tuple(connection.exchange for connection in self.connections)

    @property
    def _secrets(self) -> tuple[bytes, ...]:
        return secrets((*(value for _, value in self.base.secret), *self.base.credentials))

    def open(self, address: Address | None = None) -> ProbeConnection:
        """Return a connection, to be entered.

        Args:
            address: Where to connect to, if it is not the target's own address.

        Returns:
            The connection.
        """
        base = self.base
        hidden = secrets(base.credentials)
        connection = ProbeConnection(address or base.address, base.timeout, self._secrets, self.seen, hidden)
        self.connections.append(connection)
        return connection

    def redacted(self, text: str) -> str:
        """Return a text without the values that are in no report, quoted or not."""
        return redact_text(text, self._secrets)

    async def ask(self, request: ProbeRequest) -> Answer:
        """Send one request over a connection of its own, and read its answer without its content.

        Args:
            request: The request.

        Returns:
            The answer.

        Raises:
            ExchangeError: It cannot be sent, or what came is not HTTP.
        """
        async with self.open() as connection:
            await connection.send(request)
            return await connection.response(content=False)

    def handshake(self) -> ProbeRequest:
        """Return the handshake that the control showed to be accepted."""
        base = self.base
        fields = [
            (b"Host", base.authority),
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Key", KEY),
            (b"Sec-WebSocket-Version", b"13"),
        ]
        if base.origin is not None:
            fields.append((b"Origin", base.origin.encode("latin-1")))
        if base.subprotocols:
            fields.append((b"Sec-WebSocket-Protocol", ", ".join(base.subprotocols).encode("ascii")))
        return ProbeRequest(tuple(fields), base.path.encode("ascii"), secret=base.secret)

    def get(self, path: str | None = None) -> ProbeRequest:
        """Return a plain GET.

        Args:
            path: Another path than the one probed.

        Returns:
            The request.
        """
        target = (self.base.path if path is None else path).encode("ascii")
        return ProbeRequest(((b"Host", self.base.authority),), target, secret=self.base.secret)

    def upgrade(self, protocol: bytes) -> ProbeRequest:
        """Return a GET that offers another protocol than WebSocket."""
        return self.get().having(b"Upgrade", protocol).having(b"Connection", b"Upgrade")
