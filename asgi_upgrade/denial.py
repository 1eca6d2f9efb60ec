"""How an application's own refusal of a handshake goes over the wire.

What the application decided is its own affair: no rule is named and nothing is judged, only what would break the
response is kept off it.
"""

from __future__ import annotations

from asgi_upgrade.errors import quote
from asgi_upgrade.headers import has_control, is_token
from asgi_upgrade.rejection import Answer
from asgi_upgrade.types import Field, Message

_CLOSE: Field = (b"connection", b"close")


def bare_denial(*, close: bool) -> Answer:
    """Return the response to a ``websocket.close`` before the accept (ASGI WebSocket, Close).

    Args:
        close: Whether the connection ends with it.

    Returns:
        403 without content.
    """
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    return Answer(status=403, headers=[*headers, _CLOSE] if close else headers, body=b"")


def check_denial(message: Message) -> None:
    """Check a ``websocket.http.response.start`` message for what a server would send as it is, or choke on.

    Args:
        message: The message as the application sent it.

    Raises:
        RuntimeError: The status is not one of a denial, 300 to 599, or a field is malformed (RFC 9110 section 5).
    """
    status = message["status"]
    if not 300 <= status <= 599:
        raise RuntimeError(f"a denial response has a status from 300 to 599, not {quote(status)}")
    for name, value in message.get("headers") or ():
        if not is_token(bytes(name)):
            raise RuntimeError(f"a denial response has the field name {quote(name)}, which is not a token")
        if has_control(bytes(value)):
            raise RuntimeError(f"a denial response has a control octet in {quote(name)}: {quote(value)}")


def denial_start(message: Message, *, close: bool) -> Message:
    """Return the start of the http response for a ``websocket.http.response.start`` message.

    Args:
        message: The message as the application sent it.
        close: Whether the connection ends with the response.

    Returns:
        The http message; the server frames the content, so a Transfer-Encoding is dropped (ASGI, Response Start).

    Raises:
        RuntimeError: As ``check_denial``.
    """
    check_denial(message)
    headers = [field for field in message.get("headers") or () if field[0].lower() != b"transfer-encoding"]
    if close and _CLOSE not in headers:
        headers.append(_CLOSE)  # beside the application's own: two lines are one list
    return {"type": "http.response.start", "status": message["status"], "headers": headers}
