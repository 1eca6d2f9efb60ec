"""A message put together from its parts."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.websocket.frames import BATCH, Parts


@given(st.lists(st.lists(st.binary(max_size=5), max_size=20), max_size=3))
def test_messages_come_out_as_they_went_in(messages: list[list[bytes]]) -> None:
    parts = Parts(b"")
    for message in messages:
        for part in message:
            parts.add(part)
        assert parts.size == len(b"".join(message))
        assert parts.take() == b"".join(message)
        assert parts.size == 0


def test_text_is_joined_as_text() -> None:
    parts = Parts("")
    parts.add("grün ")
    parts.add("€")
    assert (parts.size, parts.take()) == (6, "grün €")


def test_many_small_parts_keep_their_order() -> None:
    parts = Parts("")
    digits = [str(number % 10) for number in range(BATCH * 3 + 7)]
    for digit in digits:
        parts.add(digit)
    assert parts.take() == "".join(digits)


def test_many_small_parts_take_no_more_room_than_the_message() -> None:
    parts = Parts(b"")
    for _ in range(BATCH * 10):
        parts.add(bytes(2))
        assert len(parts._parts) < BATCH
    kept = [*parts._batches, *parts._parts]
    assert sum(map(sys.getsizeof, kept)) < 2 * parts.size


def test_empty_parts_are_not_kept() -> None:
    parts = Parts(b"")
    for _ in range(BATCH * 2):
        parts.add(b"")
    assert (parts._parts, parts._batches, parts.take()) == ([], [], b"")
