"""permessage-deflate: what is agreed, and what becomes of the octets."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zlib
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.grammar.fields import FieldList
from asgi_upgrade.grammar.websocket import ExtensionOffer, parse_extensions
from asgi_upgrade.policy.websocket import Deflate
from asgi_upgrade.text import quote
from asgi_upgrade.websocket.deflate import (
    ZLIB,
    Agreement,
    Deflater,
    InflateError,
    Inflater,
    Library,
    libraries,
    negotiate,
)
from tests.support.libraries import each_inflater, each_library
from tests.support.processes import untraced

TAIL = b"\x00\x00\xff\xff"
LARGE = 1 << 24
NAME = b"permessage-deflate"
NOISE = hashlib.shake_128(b"noise").digest(40_000)


def offers(*lines: bytes) -> tuple[ExtensionOffer, ...]:
    parsed = parse_extensions(lines)
    assert isinstance(parsed, FieldList)
    return parsed.members


def field(offer: bytes, **options: Any) -> bytes | None:
    """Return the answer to a field, or None if it is declined."""
    agreement = negotiate(offers(offer), Deflate(**options))
    return None if agreement is None else agreement.field


# The options


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        *(
            pytest.param(option, value, f"write a whole number from 9 to 15{also}", id=f"{option}-{value!r}")
            for option, also in (("server_max_window_bits", ""), ("client_max_window_bits", ", or None"))
            for value in (8, 16, 0, -15, 12.0, "12", True)
        ),
        pytest.param("server_max_window_bits", None, "write a whole number from 9 to 15", id="server_bits-None"),
        pytest.param("server_no_context_takeover", 1, "write True or False", id="server-flag"),
        pytest.param("client_no_context_takeover", None, "write True or False", id="client-flag"),
        pytest.param("threshold", 0, "write a whole number above 0", id="threshold-0"),
        pytest.param("threshold", 1.5, "write a whole number above 0", id="threshold-fraction"),
    ],
)
def test_option_that_cannot_mean_anything_is_rejected(option: str, value: object, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Deflate(**{option: value})  # type: ignore[arg-type]  # that is the point
    assert str(caught.value) == f"{option}={quote(value) if isinstance(value, str) else value}: {remedy}"


@pytest.mark.parametrize("bits", range(9, 16))
def test_windows_from_9_to_15_are_options(bits: int) -> None:
    options = Deflate(server_max_window_bits=bits, client_max_window_bits=bits)
    assert (options.server_max_window_bits, options.client_max_window_bits) == (bits, bits)


# Negotiation

ACCEPTED = [
    # realistic
    pytest.param(b"permessage-deflate", {}, b"", id="pmd-window-default"),
    pytest.param(b"permessage-deflate; client_max_window_bits", {}, b"", id="browser, pmd-cmwb-optional"),
    pytest.param(
        b"permessage-deflate; client_max_window_bits",
        {"client_max_window_bits": 12},
        b"; client_max_window_bits=12",
        id="pmd-cmwb-response, pmd-cmwb-value",
    ),
    pytest.param(
        b"permessage-deflate; client_max_window_bits=10",
        {"client_max_window_bits": 12},
        b"; client_max_window_bits=10",
        id="pmd-cmwb-offer with a smaller hint",
    ),
    pytest.param(
        b"permessage-deflate; client_max_window_bits=15",
        {"client_max_window_bits": 9},
        b"; client_max_window_bits=9",
        id="pmd-cmwb-offer with a larger hint",
    ),
    pytest.param(b"permessage-deflate; client_max_window_bits=8", {}, b"", id="pmd-cmwb-offer 8"),
    pytest.param(
        b"permessage-deflate; server_no_context_takeover",
        {},
        b"; server_no_context_takeover",
        id="pmd-snct-accept",
    ),
    pytest.param(
        b"permessage-deflate",
        {"server_no_context_takeover": True},
        b"; server_no_context_takeover",
        id="pmd-snct-unsolicited",
    ),
    pytest.param(
        b"permessage-deflate; client_no_context_takeover",
        {},
        b"; client_no_context_takeover",
        id="pmd-cnct-offer",
    ),
    pytest.param(
        b"permessage-deflate",
        {"client_no_context_takeover": True},
        b"; client_no_context_takeover",
        id="pmd-cnct-response",
    ),
    pytest.param(
        b"permessage-deflate; server_max_window_bits=15",
        {},
        b"; server_max_window_bits=15",
        id="pmd-smwb-accept even 15",
    ),
    pytest.param(
        b"permessage-deflate; server_max_window_bits=9",
        {"server_max_window_bits": 12},
        b"; server_max_window_bits=9",
        id="pmd-smwb-accept the offer's",
    ),
    pytest.param(
        b"permessage-deflate; server_max_window_bits=12",
        {"server_max_window_bits": 9},
        b"; server_max_window_bits=9",
        id="pmd-smwb-accept a smaller one",
    ),
    pytest.param(
        b"permessage-deflate",
        {"server_max_window_bits": 9},
        b"; server_max_window_bits=9",
        id="pmd-smwb-unsolicited",
    ),
    pytest.param(
        b'permessage-deflate; server_max_window_bits="10"', {}, b"; server_max_window_bits=10", id="pmd-quoted"
    ),
    # synthetic
    pytest.param(
        b"permessage-deflate; client_max_window_bits; server_max_window_bits=11; client_no_context_takeover; "
        b"server_no_context_takeover",
        {"client_max_window_bits": 13},
        b"; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; "
        b"client_max_window_bits=13",
        id="pmd-agreed-only",
    ),
    # the order of the client
    pytest.param(
        b"permessage-deflate; server_max_window_bits=10, permessage-deflate",
        {},
        b"; server_max_window_bits=10",
        id="pmd-offer-list, pmd-one-element",
    ),
    pytest.param(b"permessage-deflate; x, permessage-deflate", {}, b"", id="pmd-unknown-param, next offer"),
    pytest.param(
        b"permessage-deflate; server_max_window_bits=8, permessage-deflate", {}, b"", id="pmd-smwb-unsupported, next"
    ),
    pytest.param(
        b"permessage-deflate, permessage-deflate; client_max_window_bits",
        {"client_max_window_bits": 10},
        b"; client_max_window_bits=10",
        id="pmd-cmwb-required, next offer",
    ),
    pytest.param(b"x-webkit-deflate-frame, foo; bar=1, permessage-deflate", {}, b"", id="other extensions before"),
]


@pytest.mark.parametrize(("offer", "options", "answer"), ACCEPTED)
def test_offer_is_accepted(offer: bytes, options: dict[str, Any], answer: bytes) -> None:
    assert field(offer, **options) == NAME + answer


DECLINED = [
    # pmd-unknown-param
    pytest.param(b"unknown", id="pmd-unknown-param"),
    pytest.param(b"unknown=1", id="pmd-unknown-param with a value"),
    pytest.param(b"Server_No_Context_Takeover", id="pmd-unknown-param, other case"),
    pytest.param(b"server_no_context_takeovers", id="pmd-unknown-param, known beginning"),
    # pmd-dup-param
    pytest.param(b"server_no_context_takeover; server_no_context_takeover", id="pmd-dup-param, identical"),
    pytest.param(b"server_max_window_bits=10; server_max_window_bits=11", id="pmd-dup-param, different"),
    pytest.param(b"client_max_window_bits; client_max_window_bits=10", id="pmd-dup-param, with and without value"),
    # pmd-bad-value
    pytest.param(b"server_no_context_takeover=1", id="pmd-snct-offer with a value"),
    pytest.param(b"client_no_context_takeover=true", id="pmd-cnct-offer with a value"),
    pytest.param(b"server_max_window_bits", id="pmd-smwb-offer without value"),
    pytest.param(b"server_max_window_bits=8", id="pmd-smwb-unsupported"),
    *(
        pytest.param(f"{name}={value}".encode(), id=f"{row} {value}")
        for name, row in (("server_max_window_bits", "pmd-smwb-offer"), ("client_max_window_bits", "pmd-cmwb-offer"))
        for value in ("7", "16", "0", "08", "09", "010", "+10", "-10", "9.0", "1e1", "0xa", "1_0", "ten", "150")
    ),
    pytest.param(b'server_max_window_bits="08"', id="pmd-quoted, leading zero"),
]


@pytest.mark.parametrize("parameters", DECLINED)
def test_offer_is_declined_in_silence(parameters: bytes) -> None:
    assert field(NAME + b"; " + parameters) is None
    assert field(NAME + b"; " + parameters + b", " + NAME) == NAME


@pytest.mark.parametrize(
    "offer",
    [
        pytest.param(b"", id="nothing offered"),
        pytest.param(b"permessage-bzip2, x-webkit-deflate-frame", id="others only"),
        pytest.param(b"Permessage-Deflate", id="another name, in other case"),
    ],
)
def test_nothing_is_agreed_unless_offered(offer: bytes) -> None:
    assert field(offer) is None


def test_client_that_cannot_be_limited_is_declined() -> None:
    assert field(b"permessage-deflate", client_max_window_bits=15) is None  # pmd-cmwb-required


def test_agreement_is_what_the_response_says() -> None:
    options = Deflate(client_max_window_bits=10, threshold=7)
    agreement = negotiate(offers(NAME + b"; client_max_window_bits", NAME), options)
    assert agreement == Agreement(client_max_window_bits=10, threshold=7, library=libraries()[-1])


_PARAMETER = st.tuples(
    st.sampled_from(
        [f"{who}_{what}" for who in ("server", "client") for what in ("max_window_bits", "no_context_takeover")]
    )
    | st.text(max_size=5),
    st.none() | st.integers(-1, 20).map(str) | st.text(max_size=5),
)
_OFFERS = st.lists(
    st.builds(ExtensionOffer, st.just("permessage-deflate") | st.text(), st.lists(_PARAMETER, max_size=5).map(tuple))
)
_BITS = st.integers(9, 15)
_OPTIONS = st.builds(
    Deflate,
    server_max_window_bits=_BITS,
    client_max_window_bits=st.none() | _BITS,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    threshold=st.integers(1, 100),
)


@given(_OFFERS, _OPTIONS)
def test_response_answers_the_first_acceptable_offer(offered: list[ExtensionOffer], options: Deflate) -> None:
    agreement = negotiate(offered, options)
    alone = (negotiate([offer], options) for offer in offered)
    assert agreement == next((answer for answer in alone if answer is not None), None)
    if agreement is not None:
        (said,) = offers(agreement.field)
        assert said.name == "permessage-deflate"
        bits = {name: int(value) for name, value in said.parameters if value is not None}
        assert bits.get("server_max_window_bits") == agreement.server_max_window_bits
        assert bits.get("client_max_window_bits") == agreement.client_max_window_bits
        assert (agreement.server_max_window_bits or 15) <= options.server_max_window_bits
        flags = {name for name, value in said.parameters if value is None}
        assert ("server_no_context_takeover" in flags) is agreement.server_no_context_takeover
        assert ("client_no_context_takeover" in flags) is agreement.client_no_context_takeover


# Inflating


class Sender:
    """A client, on zlib alone."""

    def __init__(self, *, bits: int = 15, takeover: bool = True) -> None:
        self.bits, self.takeover = bits, takeover
        self.stream = zlib.compressobj(wbits=-bits)

    def send(self, message: bytes) -> bytes:
        payload = self.stream.compress(message) + self.stream.flush(zlib.Z_SYNC_FLUSH)
        if not self.takeover:
            self.stream = zlib.compressobj(wbits=-self.bits)
        return payload.removesuffix(TAIL) or b"\x00"  # RFC 7692 section 7.2.3.6


def inflate(library: Library, payload: bytes, max_size: int = LARGE) -> bytes:
    return Inflater(Agreement(library=library), max_size).inflate(payload, final=True)


@each_inflater
@pytest.mark.parametrize(
    ("payload", "message"),
    [
        pytest.param("f248cdc9c90700", b"Hello", id="7.2.3.1 one block"),
        pytest.param("000500faff48656c6c6f00", b"Hello", id="7.2.3.3 block without compression"),
        pytest.param("f348cdc9c9070000", b"Hello", id="7.2.3.4 final block"),
        pytest.param("f24805000000ffffcac9c90700", b"Hello", id="7.2.3.5 two blocks"),
        pytest.param("00", b"", id="7.2.3.6 empty message"),
        pytest.param("f348cdc9c90700", b"Hello", id="final block with nothing behind it"),
        pytest.param("f348cdc9c90700f348cdc9c9070000", b"HelloHello", id="two final blocks"),
        pytest.param("f348cdc9c9070001", b"Hello", id="empty final block behind a final one"),
        pytest.param("0300" * 64, b"", id="many final blocks with nothing in them"),
        pytest.param("01", b"", id="final block whose end is cut off"),
        pytest.param("", b"", id="no payload at all"),
    ],
)
def test_message_as_others_write_it(library: Library, payload: str, message: bytes) -> None:
    inflater = Inflater(Agreement(library=library), LARGE)
    octets = bytes.fromhex(payload)
    sender = Sender()
    assert inflater.inflate(octets, final=True) == message
    assert inflater.inflate(sender.send(b"next " * 9), final=True) == b"next " * 9
    assert inflater.inflate(sender.send(b"next " * 9), final=True) == b"next " * 9
    for octet in octets:
        inflater.inflate(bytes([octet]), final=False)
    assert inflater.inflate(b"", final=True) == b""


HELLO_FINAL = bytes.fromhex("f348cdc9c90700")


@each_inflater
def test_final_blocks_that_give_nothing_are_counted(library: Library) -> None:
    """Each costs a new decompressor; what gives octets may go on for as long as it does."""
    inflater = Inflater(Agreement(library=library), LARGE)
    with pytest.raises(InflateError) as caught:
        inflater.inflate(b"\x03\x00" * 1000, final=True)
    assert (caught.value.code, caught.value.reason) == (
        1002,
        "compressed data has more final blocks than its octets are worth",
    )
    block = zlib.compressobj(wbits=-15)
    worth = block.compress(bytes(100)) + block.flush()
    inflater = Inflater(Agreement(library=library), LARGE)
    for _ in range(2):
        assert inflater.inflate(worth * 1000, final=True) == bytes(100_000)
        assert inflater.inflate(HELLO_FINAL * 60, final=True) == b"Hello" * 60, "counted for each message anew"


@each_inflater
def test_message_that_refers_to_the_one_before(library: Library) -> None:
    inflater = Inflater(Agreement(library=library), LARGE)
    assert inflater.inflate(bytes.fromhex("f248cdc9c90700"), final=True) == b"Hello"
    assert inflater.inflate(bytes.fromhex("f200110000"), final=True) == b"Hello"  # RFC 7692 section 7.2.3.2


@each_inflater
def test_window_is_dropped_between_messages_if_agreed(library: Library) -> None:
    inflater = Inflater(Agreement(library=library, client_no_context_takeover=True), LARGE)
    assert inflater.inflate(bytes.fromhex("f248cdc9c90700"), final=True) == b"Hello"
    assert inflater.inflate(bytes.fromhex("f248cdc9c90700"), final=True) == b"Hello"
    with pytest.raises(InflateError) as caught:
        inflater.inflate(bytes.fromhex("f200110000"), final=True)
    assert caught.value.code == 1002


@each_inflater
def test_hint_that_is_not_agreed_keeps_the_window(library: Library) -> None:
    inflater, sender = Inflater(Agreement(library=library), LARGE), Sender(takeover=False)  # pmd-cnct-hint
    for _ in range(3):
        assert inflater.inflate(sender.send(b"message" * 50), final=True) == b"message" * 50


@each_inflater
def test_reference_beyond_the_agreed_window_is_corrupt(library: Library) -> None:
    sender, inflater = Sender(bits=15), Inflater(Agreement(library=library, client_max_window_bits=9), LARGE)
    assert inflater.inflate(sender.send(NOISE[:4000]), final=True) == NOISE[:4000]
    with pytest.raises(InflateError) as caught:
        inflater.inflate(sender.send(NOISE[:100]), final=True)
    assert caught.value.code == 1002


@each_inflater
@pytest.mark.parametrize("bits", range(8, 16))
def test_every_window_that_can_be_agreed_is_inflated(library: Library, bits: int) -> None:
    inflater = Inflater(Agreement(library=library, client_max_window_bits=bits), LARGE)
    sender = Sender(bits=max(9, bits))
    for _ in range(2):
        assert inflater.inflate(sender.send(b"abcdefg" * 20_000), final=True) == b"abcdefg" * 20_000


@each_inflater
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\xff" * 10, id="no such block type"),
        pytest.param(b"\x00\x05\x00\x00\x00", id="lengths that do not match"),
        pytest.param(b"x\x9c" + Sender().send(b"abc"), id="zlib header"),
        pytest.param(bytes.fromhex("f200110000"), id="reference to nothing"),
    ],
)
def test_corrupt_data_is_an_error(library: Library, payload: bytes) -> None:
    with pytest.raises(InflateError) as caught:
        inflate(library, payload)
    assert (caught.value.code, caught.value.reason) == (1002, "compressed data is corrupt")


@each_inflater
def test_message_of_just_the_greatest_size_passes(library: Library) -> None:
    inflater, sender = Inflater(Agreement(library=library), 1000), Sender()
    for _ in range(3):
        payload = sender.send(b"x" * 1000)
        assert inflater.inflate(payload[:5], final=False) + inflater.inflate(payload[5:], final=True) == b"x" * 1000
    with pytest.raises(InflateError) as caught:
        inflater.inflate(sender.send(b"x" * 1001), final=True)
    assert (caught.value.code, caught.value.reason) == (1009, "message larger than 1000 octets")


@each_inflater
def test_bomb_is_stopped_while_it_goes_off(library: Library) -> None:
    stream = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(stream.compress(bytes(1 << 20)) for _ in range(100)) + stream.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 110_000
    produced: list[int] = []

    class Counting:
        error = library.error

        def decompressobj(self, wbits: int) -> Counting:
            self.stream = library.inflates.decompressobj(wbits=wbits)
            return self

        def decompress(self, data: bytes, max_length: int) -> bytes:
            octets: bytes = self.stream.decompress(data, max_length)
            produced.append(len(octets))
            return octets

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

    inflater = Inflater(Agreement(library=library._replace(inflates=Counting())), 1 << 20)
    with pytest.raises(InflateError) as caught:
        inflater.inflate(bomb, final=True)
    assert caught.value.code == 1009
    assert sum(produced) == (1 << 20) + 1


@each_inflater
def test_bomb_behind_final_blocks_is_counted_as_one_message(library: Library) -> None:
    stream = zlib.compressobj(wbits=-15)
    block = stream.compress(bytes(600)) + stream.flush()
    assert inflate(library, block, 1000) == bytes(600)
    with pytest.raises(InflateError) as caught:
        inflate(library, block + block, 1000)
    assert caught.value.code == 1009


@each_inflater
def test_bomb_in_fragments_is_counted_as_one_message(library: Library) -> None:
    inflater, sender = Inflater(Agreement(library=library), 1000), Sender()
    assert inflater.inflate(sender.send(bytes(600)) + TAIL, final=False) == bytes(600)
    with pytest.raises(InflateError) as caught:
        inflater.inflate(sender.send(bytes(600)), final=False)
    assert caught.value.code == 1009


@each_inflater
def test_many_final_blocks_cost_no_more_than_they_are_long(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    piece = Inflater._piece

    def counted(self: Inflater, data: bytes) -> bytes:
        seen.append(len(data))
        return piece(self, data)

    monkeypatch.setattr(Inflater, "_piece", counted)
    block = zlib.compressobj(wbits=-15)
    final = block.compress(bytes(100)) + block.flush()
    assert inflate(library, final * 20_000) == bytes(2_000_000)
    assert len(seen) < 20_000 * 1.01, "once for each, and once more where a slice cuts it"
    assert max(seen) == 4096


@each_inflater
@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(9, 15), st.booleans(), st.data())
def test_what_zlib_compresses_is_inflated_wherever_it_is_cut(
    library: Library, messages: list[bytes], bits: int, takeover: bool, data: st.DataObject
) -> None:
    sender = Sender(bits=bits, takeover=takeover)
    inflater = Inflater(
        Agreement(library=library, client_max_window_bits=bits, client_no_context_takeover=not takeover), LARGE
    )
    for message in messages:
        payload = sender.send(message)
        cuts = data.draw(st.lists(st.integers(0, len(payload)), max_size=5).map(sorted))
        parts = [payload[a:b] for a, b in pairwise([0, *cuts])]
        found = b"".join(inflater.inflate(part, final=False) for part in parts)
        assert found + inflater.inflate(payload[cuts[-1] if cuts else 0 :], final=True) == message


@each_inflater
@given(st.lists(st.tuples(st.binary(max_size=200), st.booleans()), max_size=6), st.integers(1, 500))
def test_any_octets_give_bounded_octets_or_an_error(
    library: Library, parts: list[tuple[bytes, bool]], max_size: int
) -> None:
    inflater, size = Inflater(Agreement(library=library), max_size), 0
    try:
        for part, final in parts:
            size += len(inflater.inflate(part, final=final))
            assert size <= max_size
            size = 0 if final else size
    except InflateError as error:
        assert error.code in {1002, 1009}  # noqa: PT017 - either outcome is right


@given(st.lists(st.tuples(st.binary(max_size=200), st.booleans()), max_size=6), st.integers(1, 500))
def test_libraries_agree_on_any_octets(parts: list[tuple[bytes, bool]], max_size: int) -> None:
    outcomes: list[list[bytes | int]] = []
    for library in libraries():
        inflater, outcome = Inflater(Agreement(library=library), max_size), list[bytes | int]()
        outcomes.append(outcome)
        try:
            for part, final in parts:
                outcome.append(inflater.inflate(part, final=final))
        except InflateError as error:
            outcome.append(error.code)
    assert all(outcome == outcomes[0] for outcome in outcomes)


# Compressing


def receive(payloads: list[bytes], *, bits: int = 15, takeover: bool = True) -> list[bytes]:
    """Inflate as a client does that keeps to the agreement."""
    stream = zlib.decompressobj(-bits)
    messages = []
    for payload in payloads:
        messages.append(stream.decompress(payload + TAIL))
        if not takeover:
            stream = zlib.decompressobj(-bits)
    return messages


def compress(deflater: Deflater, *messages: bytes) -> list[bytes]:
    payloads = [deflater.deflate(message) for message in messages]
    return [payload for payload in payloads if payload is not None]


@each_library
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65])
def test_message_below_the_threshold_goes_as_it_is(library: Library, size: int) -> None:
    assert (Deflater(Agreement(library=library, threshold=64)).deflate(b"x" * size) is None) is (size < 64)


@each_library
def test_empty_message_is_never_compressed(library: Library) -> None:
    deflater = Deflater(Agreement(library=library, threshold=0))
    assert deflater.deflate(b"") is None
    assert compress(deflater, b"Hello") == [bytes.fromhex("f248cdc9c90700")]


@each_library
def test_context_is_taken_over_across_messages_that_are_not_compressed(library: Library) -> None:
    deflater = Deflater(Agreement(library=library, threshold=64))
    noise = NOISE[:200]
    first, second = compress(deflater, noise, b"short", noise)
    assert len(second) < 20 < len(first)
    assert receive([first, second]) == [noise, noise]


@each_library
def test_every_message_is_compressed_from_an_empty_window_if_agreed(library: Library) -> None:
    deflater = Deflater(Agreement(library=library, server_no_context_takeover=True))  # pmd-snct-effect
    first, second = compress(deflater, b"message" * 20, b"message" * 20)
    assert first == second
    assert receive([first, second], takeover=False) == [b"message" * 20] * 2


@each_library
@pytest.mark.parametrize("bits", range(9, 16))
def test_window_is_no_larger_than_agreed(library: Library, bits: int) -> None:
    agreement = Agreement(library=library, server_max_window_bits=bits)  # pmd-smwb-effect
    # Each message repeats what is as far behind as a window reaches, and farther.
    messages = [NOISE[:size] for size in (20_000, 500, 300, 40_000)]
    assert receive(compress(Deflater(agreement), *messages), bits=bits) == messages


@each_library
@given(st.lists(st.binary(min_size=1, max_size=500), max_size=5), _OPTIONS)
def test_what_is_compressed_goes_round(library: Library, messages: list[bytes], options: Deflate) -> None:
    agreement = negotiate([ExtensionOffer("permessage-deflate", (("client_max_window_bits", None),))], options)
    assert agreement is not None
    deflater = Deflater(agreement._replace(library=library))
    long = [message for message in messages if len(message) >= options.threshold]
    takeover = not agreement.server_no_context_takeover
    bits = agreement.server_max_window_bits or 15
    payloads = compress(deflater, *messages)
    assert receive(payloads, bits=bits, takeover=takeover) == long
    # The same parameters for the other direction: this side inflates what it compresses.
    mirrored = Agreement(library=library, client_max_window_bits=bits, client_no_context_takeover=not takeover)
    inflater = Inflater(mirrored, LARGE)
    assert [inflater.inflate(payload, final=True) for payload in payloads] == long


@each_library
@pytest.mark.parametrize("bits", [12, 15])
def test_libraries_compress_alike(library: Library, bits: int) -> None:
    """Within a tenth of zlib's default level; ISA-L within a quarter, which is its price."""
    messages = [json.dumps({"id": n, "name": f"item {n * n % 97}", "price": n / 7}).encode() * 2 for n in range(200)]
    sizes = [
        sum(map(len, compress(Deflater(Agreement(library=each, server_max_window_bits=bits)), *messages)))
        for each in (library, ZLIB)
    ]
    assert 0.8 < sizes[0] / sizes[1] < (1.25 if library.name == "isal" else 1.1)


# The library


def test_fastest_library_is_taken() -> None:
    agreement = negotiate(offers(NAME), Deflate())
    assert agreement is not None
    assert agreement.library is libraries()[-1]
    installed = [name for module, name in (("zlib_ng", "zlib-ng"), ("isal", "isal")) if find_spec(module) is not None]
    assert [library.name for library in libraries.__wrapped__()] == ["zlib", *installed]
    assert libraries.__wrapped__() == libraries()


@pytest.mark.parametrize(
    ("missing", "names", "inflates"),
    [
        (["zlib_ng", "isal"], ["zlib"], "zlib"),
        (["zlib_ng"], ["zlib", "isal"], "zlib"),
        (["isal"], ["zlib", "zlib-ng"], "zlib_ng.zlib_ng"),
    ],
)
def test_what_is_not_installed_is_not_missed(
    missing: list[str], names: list[str], inflates: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in {"zlib_ng", "isal"} - {*missing}:
        pytest.importorskip(module)
    for module in missing:
        monkeypatch.setitem(sys.modules, module, None)
    found = libraries.__wrapped__()
    assert [library.name for library in found] == names
    assert found[-1].inflates.__name__ == inflates


def test_they_are_imported_where_messages_are_compressed_only() -> None:
    code = "import sys, asgi_upgrade.websocket\nprint({'zlib_ng', 'isal'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], env=untraced(), capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
