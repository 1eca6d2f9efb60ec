"""A rejection as it goes over the wire: complete fields and a problem document (RFC 9457).

Nothing that the client sent is copied into a field; the document quotes it bounded and escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from asgi_upgrade.handshake.verdict import Reject
from asgi_upgrade.rules import urn
from asgi_upgrade.text import quote
from asgi_upgrade.types import Field, Message

_HOP_FIELDS = frozenset({b"connection", b"upgrade"})
_RETRY = frozenset({429, 503})


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """A complete response.

    Args:
        status: The status.
        headers: The field lines, names in lower case; exactly one Content-Length.
        body: The content; empty in answer to HEAD.
    """

    status: int
    headers: list[Field]
    body: bytes

    def messages(self, kind: str) -> tuple[Message, Message]:
        """Return the two ASGI messages of this response.

        Args:
            kind: ``"http.response"``, or ``"websocket.http.response"`` for the denial response of a websocket scope.

        Returns:
            Start and body.
        """
        start: dict[str, Any] = {"type": f"{kind}.start", "status": self.status, "headers": self.headers}
        return start, {"type": f"{kind}.body", "body": self.body, "more_body": False}


def describe(reject: Reject) -> str:
    """Return what was wrong, with the value received, for a problem document or a log line."""
    if reject.received is None:
        return reject.detail
    name, value = reject.received
    if value is None:
        return f"{reject.detail}; there is no {name} field"
    return f"{reject.detail}; received {name}: {quote(value)}"


def render(reject: Reject, *, method: str = "GET", hop_fields: bool = True) -> ErrorResponse:
    """Write a rejection as a response.

    Args:
        reject: The rejection.
        method: The method of the request; the answer to HEAD has no body but the same fields (RFC 9110 section 9.3.2).
        hop_fields: Whether Connection and Upgrade may be sent; False on HTTP/2 and HTTP/3, and where the server closes
            a denied handshake by itself.

    Returns:
        The response.
    """
    rule = reject.rule
    problem = {
        "type": urn(rule),
        "title": rule.title,
        "status": reject.status,
        "detail": describe(reject),
        "rule": rule.id,
        "reference": rule.reference,
        "remedy": rule.fix,
    }
    body = _document(problem)
    headers: list[Field] = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
    ]
    if reject.status in _RETRY:
        headers.append((b"retry-after", b"5"))
    headers += [field for field in reject.fields if field[0] not in _HOP_FIELDS]
    if hop_fields:
        headers += _hop_fields(reject)
    return ErrorResponse(status=reject.status, headers=headers, body=b"" if method == "HEAD" else body)


def render_own(
    status: int, detail: str, *, body: bytes | None, fields: Sequence[Field], method: str, close: bool
) -> ErrorResponse:
    """Write a rejection that the handler of a protocol decided; no rule is named in it.

    Args:
        status: The status.
        detail: What is wrong; empty if there is nothing to say.
        body: The content; None for a problem document.
        fields: The handler's own fields, checked.
        method: The method of the request.
        close: Whether the connection ends with the answer.

    Returns:
        The response.
    """
    names = {name.lower() for name, _ in fields}
    headers = list(fields)
    if body is None:
        headers = [field for field in fields if field[0].lower() != b"content-type"]
        headers.append((b"content-type", b"application/problem+json"))
        body = _document({"title": _phrase(status), "status": status} | ({"detail": detail} if detail else {}))
    headers.append((b"content-length", str(len(body)).encode("ascii")))
    if b"cache-control" not in names:
        headers.append((b"cache-control", b"no-store"))
    if options := [b"Upgrade"] * (b"upgrade" in names) + [b"close"] * close:
        headers.append((b"connection", b", ".join(options)))
    return ErrorResponse(status=status, headers=headers, body=b"" if method == "HEAD" else body)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"


def _document(problem: Mapping[str, object]) -> bytes:
    return json.dumps(problem, indent=1).encode("ascii") + b"\n"


def _hop_fields(reject: Reject) -> list[Field]:
    """Upgrade, and one Connection line with all its options (RFC 9110 section 7.8)."""
    upgrade = [field for field in reject.fields if field[0] == b"upgrade"]
    options = [b"Upgrade"] * len(upgrade) + [b"close"] * reject.close
    return upgrade + ([(b"connection", b", ".join(options))] if options else [])
