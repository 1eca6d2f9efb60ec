"""The framing of a request's content, as the little server of these tests reads it."""

from __future__ import annotations

import contextlib
from typing import BinaryIO

from tests.support.broken.head import Head, Rejected


def check_framing(head: Head) -> None:
    """Raise if the framing fields are wrong; a fault makes of them what a careless server would.

    Raises:
        Rejected: They are.
    """
    length, coding = b"".join(head.values(b"content-length")), b", ".join(head.values(b"transfer-encoding"))
    if coding and head.is_10 and head.fault != "http10-te":
        raise Rejected(400)
    if length and coding:
        _breach(head, "cl-and-te", 400)
    elif coding and b"chunked" not in coding:
        _breach(head, "te-unknown", 501)
    elif coding and not coding.endswith(b"chunked"):
        _breach(head, "te-not-final-chunked", 400)
    elif length and not length.isdigit():
        _breach(head, "content-length-invalid", 400)


def _breach(head: Head, rule: str, status: int) -> None:
    if head.fault != rule:
        raise Rejected(status)
    framing = (b"content-length", b"transfer-encoding")
    head.lines[:] = [line for line in head.lines if line[0].lower() not in framing]


def has_content(head: Head) -> bool:
    """Tell whether content is announced."""
    return bool(head.values(b"transfer-encoding")) or head.values(b"content-length") not in ([], [b"0"])


def read_content(head: Head, stream: BinaryIO) -> None:
    """Read the content to its end, whatever it is."""
    if head.values(b"transfer-encoding"):
        with contextlib.suppress(ValueError):
            while size := int(stream.readline(), 16):
                stream.read(size + 2)
        stream.readline()
    elif length := head.values(b"content-length"):
        stream.read(int(length[0]))
