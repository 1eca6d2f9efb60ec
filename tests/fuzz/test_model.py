"""Both engines and the model agree about any stream of frames, wherever it is cut."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asgi_upgrade.websocket.connection import new_engine
from asgi_upgrade.websocket.deflate import Agreement
from asgi_upgrade.websocket.frames import Close, Event, Failure, More
from tests.fuzz.model import Expected, Faults, Model, agrees
from tests.fuzz.streams import Streams

MAX_SIZE = 300
ENGINES = ("wsproto", "websockets")

# Whatever frame is under way ends in it, or is too large; what follows is a frame without a mask.
PADDING = bytes(MAX_SIZE + 20)


def events(name: str, segments: list[bytes], *, compression: bool) -> list[Event]:
    """Return what an engine finds."""
    engine = new_engine(name, MAX_SIZE, Agreement() if compression else None)
    found: list[Event] = []
    for segment in segments:
        engine.feed(segment)
        while (event := engine.next_event()) is not None:
            if not isinstance(event, More):  # the end of a frame is no event to the model
                found.append(event)
    return found


def check(name: str, segments: list[bytes], wanted: list[Expected], *, compression: bool) -> None:
    found = events(name, segments, compression=compression)
    if not wanted or not isinstance(wanted[-1], Close | Faults):
        # A compressed frame swallows the padding; what is wrong with it may be seen or not.
        found = [event for event in found if not isinstance(event, Failure)]
    assert agrees(found, wanted), (name, segments, found, wanted)


compressed_or_not = pytest.mark.parametrize("compression", [False, True], ids=["plain", "compressed"])
# A seed is the whole example: drawing every octet from Hypothesis would cost more than what is tested.
seeds = st.integers(0, (1 << 64) - 1)


@compressed_or_not
@settings(max_examples=300, derandomize=True)  # ``python -m tests.fuzz`` is for the others
@example(561_697_180_599_354)  # a compressed message without octets, and others behind it
@given(seeds)
def test_engines_and_model_agree_wherever_a_stream_is_cut(compression: bool, seed: int) -> None:
    streams = Streams(Random(seed), MAX_SIZE, compression=compression)
    octets = streams.stream() + PADDING
    wanted = Model(MAX_SIZE, compression).events(octets)
    for name in ENGINES:
        check(name, streams.cut(octets), wanted, compression=compression)


@compressed_or_not
@settings(max_examples=20, derandomize=True)
@given(seeds)
def test_engines_and_model_agree_at_every_single_cut(compression: bool, seed: int) -> None:
    octets = Streams(Random(seed), 40, compression=compression).stream()[:300] + PADDING
    wanted = Model(MAX_SIZE, compression).events(octets)
    for name in ENGINES:
        for at in range(len(octets) - len(PADDING)):
            check(name, [octets[:at], octets[at:]], wanted, compression=compression)


def test_model_would_notice_a_difference() -> None:
    assert agrees([Failure(1007, "")], [Faults(frozenset({1002, 1007}))])
    assert not agrees([Failure(1009, "")], [Faults(frozenset({1002, 1007}))])
    assert not agrees([Close(1002, "")], [Faults(frozenset({1002}))])
    assert not agrees(["a"], ["b"])
    assert not agrees([b"a"], ["a"])
    assert not agrees([], ["a"])
