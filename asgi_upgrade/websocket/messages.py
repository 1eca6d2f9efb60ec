"""The messages of an ASGI websocket scope on one side, the frames of an engine on the other.

Decides what an application may send once it has accepted; knows neither the connection nor how far it has come.
"""

from __future__ import annotations

from collections.abc import Sequence

from asgi_upgrade.handshake.guard import check_denial, listed, repaired_response
from asgi_upgrade.handshake.rejection import ErrorResponse
from asgi_upgrade.text import quote
from asgi_upgrade.types import Field, Message
from asgi_upgrade.websocket.deflate import Agreement
from asgi_upgrade.websocket.frames import Close, Engine, Frame

_CODES = frozenset({*range(1000, 1004), *range(1005, 1016), *range(3000, 5000)})
"""What may be closed with (RFC 6455 section 7.4); engines send no code for 1005, and 1000 for 1006 and 1015."""


def accept_fields(message: Message, fields: Sequence[Field], agreement: Agreement | None) -> list[Field]:
    """Return the fields of the 101 that a ``websocket.accept`` message asks for.

    Args:
        message: The message, cleaned.
        fields: The fields of the 101 so far, in order.
        agreement: What is agreed about compression.

    Returns:
        All fields, in order.
    """
    headers = list(fields)
    if (subprotocol := message.get("subprotocol")) is not None:
        headers.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
    if agreement is not None:
        headers.append((b"sec-websocket-extensions", agreement.field))
    return [*headers, *(message.get("headers") or ())]


def message_of(content: str | bytes) -> Message:
    """Return the ``websocket.receive`` message of what has arrived."""
    return {"type": "websocket.receive", "text" if isinstance(content, str) else "bytes": content}


def frame_of(engine: Engine, message: Message) -> Frame:
    """Return the frame of a ``websocket.send`` message.

    Args:
        engine: The engine of the connection.
        message: The message as the application sent it.

    Returns:
        The frame.

    Raises:
        RuntimeError: It has not exactly one of ``text`` and ``bytes``, or one of the wrong type.
    """
    text, data = message.get("text"), message.get("bytes")
    if isinstance(text, str) and data is None:
        return engine.text(text)
    if text is None:
        if type(data) is bytes:
            return engine.binary(data)
        if isinstance(data, bytes | bytearray | memoryview):
            return engine.binary(bytes(data))
    got = f"text={type(text).__name__}, bytes={type(data).__name__}"
    raise RuntimeError(f"websocket.send needs either a str as text or bytes as bytes, got {got}")


def close_of(message: Message) -> Close:
    """Return code and reason of a ``websocket.close`` message.

    Args:
        message: The message as the application sent it.

    Returns:
        What to close with; code 1000 if it names none.

    Raises:
        RuntimeError: No peer would accept the code.
    """
    code = message.get("code", 1000)
    if code not in _CODES:
        raise RuntimeError(f"websocket.close needs a code of 1000 to 1015 or 3000 to 4999, not {quote(code)}")
    return Close(code, message.get("reason") or "")


_CLOSE: Field = (b"connection", b"close")


def bare_denial(*, close: bool) -> ErrorResponse:
    """Return the response to a ``websocket.close`` before the accept (ASGI WebSocket, Close).

    Args:
        close: Whether the connection ends with it.

    Returns:
        403 without content.
    """
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    return ErrorResponse(status=403, headers=[*headers, _CLOSE] if close else headers, body=b"")


def denial_start(message: Message, *, close: bool) -> Message:
    """Return the start of the http response for a ``websocket.http.response.start`` message.

    Args:
        message: The message as the application sent it.
        close: Whether the connection ends with the response.

    Returns:
        The http message; the server frames the content, so a Transfer-Encoding is dropped (ASGI, Response Start), and
        Upgrade and Connection are as they must be.

    Raises:
        RuntimeError: As ``check_denial``.
    """
    message = listed(message)
    check_denial(message)
    headers = [field for field in message.get("headers") or () if field[0].lower() != b"transfer-encoding"]
    if close and _CLOSE not in headers:
        headers.append(_CLOSE)  # beside the application's own: two lines are one list
    headers = repaired_response(message["status"], headers, h2=False) or headers
    return {"type": "http.response.start", "status": message["status"], "headers": headers}
