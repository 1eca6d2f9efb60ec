"""One request over HTTP/2, by prior knowledge or over TLS; the frames are made by the ``h2`` library.

The library is told to send what is malformed, and to show what came. Fields of the user's own are compressed, so that
they cannot be taken out of octets: a report shows what another speaker would have sent, and nothing of what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from asgi_upgrade.check.wire.exchange import CLOSED, SILENT, Connection, Missing
from asgi_upgrade.check.wire.request import REDACTED, Masked, without_query
from asgi_upgrade.check.wire.wire import Wire

if TYPE_CHECKING:
    from h2.connection import H2Connection

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]

_MOST_SEGMENTS = 64
"""How many segments are read for one response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class H2Response:
    """One response.

    Args:
        status: Its status.
        fields: Its fields: names as sent, pseudo-fields left out.
    """

    status: int
    fields: tuple[tuple[bytes, bytes], ...]


H2Answer: TypeAlias = H2Response | Literal["reset", "no HTTP/2", "no library"] | Missing


async def ask(wire: Wire, *fields: tuple[bytes, bytes]) -> H2Answer:
    """Send a GET over HTTP/2.

    Args:
        wire: What to speak through.
        *fields: Fields besides the pseudo-fields.

    Returns:
        The response; ``"reset"`` if the stream or the connection was given up; or why there is none.

    Raises:
        ExchangeError: The server cannot be connected to.
    """
    speaker, shown = _speaker(), _speaker()
    if speaker is None or shown is None:
        return "no library"
    base = wire.base
    path = base.path.encode("ascii")
    pseudo = [(b":method", b"GET"), (b":scheme", base.scheme.encode("ascii")), (b":authority", base.authority)]
    secret = [(name.lower(), value) for name, value in base.secret]
    redacted = [(name, REDACTED) for name, _ in secret]
    async with wire.open(replace(base.address, tls=base.address.tls_h2)) as connection:
        connection.hide_received()
        await connection.send(Masked(speaker.data_to_send(), shown.data_to_send()))
        first = await connection.first_octets(9)
        if not isinstance(first, bytes) or first[3:4] != b"\x04":
            return first if first is SILENT else "no HTTP/2"
        speaker.send_headers(1, [*pseudo, (b":path", path), *secret, *fields], end_stream=True)
        shown.send_headers(1, [*pseudo, (b":path", without_query(path)), *redacted, *fields], end_stream=True)
        await connection.send(Masked(speaker.data_to_send(), shown.data_to_send()))
        return await _listen(connection, speaker)


def _speaker() -> H2Connection | None:
    """Return a connection whose preface waits to be sent; None if the library is not there."""
    try:
        from h2.config import H2Configuration  # noqa: PLC0415 - optional
        from h2.connection import H2Connection  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    configuration = H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False, validate_inbound_headers=False
    )
    speaker = H2Connection(configuration)
    speaker.initiate_connection()
    return speaker


async def _listen(connection: Connection, speaker: H2Connection) -> H2Answer:
    """Read what comes until it amounts to something, and acknowledge it."""
    for _ in range(_MOST_SEGMENTS):
        octets = await connection.octets()
        if octets is CLOSED:
            return "reset"
        answer = _answer(speaker, octets) if isinstance(octets, bytes) else SILENT
        if answer is not None:
            return answer
        await connection.send(speaker.data_to_send())
    return SILENT


def _answer(speaker: H2Connection, octets: bytes) -> H2Response | Literal["reset"] | None:
    """Return what octets amount to, once it can be told."""
    from h2.events import ConnectionTerminated, InformationalResponseReceived, ResponseReceived, StreamReset  # noqa: PLC0415
    from h2.exceptions import ProtocolError  # noqa: PLC0415

    try:
        events = speaker.receive_data(octets)
    except ProtocolError:
        return "reset"
    for event in events:
        if isinstance(event, StreamReset | ConnectionTerminated):
            return "reset"
        if isinstance(event, ResponseReceived | InformationalResponseReceived):
            status = next(int(value) for name, value in event.headers if name == b":status")
            if isinstance(event, ResponseReceived) or status == 101:
                fields = tuple(field for field in event.headers if not field[0].startswith(b":"))
                return H2Response(status=status, fields=fields)
    return None
