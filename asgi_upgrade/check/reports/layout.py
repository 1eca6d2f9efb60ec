"""How a report is to look: what a renderer is told beside the report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

UNWATCHED = 100
"""The columns that text is wrapped at where no terminal has a width: in a file, and in the log of a CI."""

Detail: TypeAlias = Literal["quiet", "normal", "verbose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a report is to look.

    Args:
        detail: ``quiet`` has problems in one line each, ``verbose`` also what passed, and how to send it again.
        color: Whether text is coloured by terminal codes.
        width: The columns that text is wrapped at; 0 wraps nothing.
        now: When the run began.
        version: The version of this package.
    """

    detail: Detail = "normal"
    color: bool = False
    width: int = 0
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    version: str = ""
