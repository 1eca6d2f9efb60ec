from __future__ import annotations

import pickle
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_upgrade.errors import ClientDisconnected, ConfigurationError, HandshakeViolation, UpgradeError
from asgi_upgrade.text import callback_name, quote, whose

# Quoting what was received


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        # realistic
        pytest.param(b"websocket", '"websocket"', id="octets"),
        pytest.param(bytearray(b"websocket"), '"websocket"', id="bytearray"),
        pytest.param("https://shop.example", '"https://shop.example"', id="str"),
        pytest.param(13, '"13"', id="number"),
        pytest.param(None, '"None"', id="none"),
        pytest.param(["a"], "\"['a']\"", id="list"),
        pytest.param(b"", '""', id="empty"),
        # synthetic
        pytest.param(b'"x"', '"\\x22x\\x22"', id="quotes"),
        pytest.param(b"a\r\nb", '"a\\x0d\\x0ab"', id="line-end"),
        pytest.param(b"\x00\t\x7f", '"\\x00\\x09\\x7f"', id="control-octets"),
        pytest.param(b"caf\xe9", '"caf\\xe9"', id="octets-are-latin-1"),
        pytest.param("caf\xe9", '"caf\\xe9"', id="latin-1"),
        pytest.param("\N{SNOWMAN}", '"\\u2603"', id="beyond-latin-1"),
        pytest.param("\N{LINE SEPARATOR}", '"\\u2028"', id="unicode-line-end"),
        pytest.param("\N{PILE OF POO}", '"\\U0001f4a9"', id="beyond-the-bmp"),
        pytest.param("\ud800", '"\\ud800"', id="lone-surrogate"),
        pytest.param("\x1b[31m", '"\\x1b[31m"', id="terminal-escape"),
        # pathological
        pytest.param(b"a" * 200, '"' + "a" * 200 + '"', id="at-the-limit"),
        pytest.param(b"a" * 201, '"' + "a" * 197 + '..."', id="above-the-limit"),
        pytest.param(b"a" * (1 << 20), '"' + "a" * 197 + '..."', id="far-above-the-limit"),
        pytest.param("a" * (1 << 20), '"' + "a" * 197 + '..."', id="far-above-the-limit-str"),
        pytest.param(b"\n" * 60, '"' + ("\\x0a" * 60)[:197] + '..."', id="escapes-count"),
    ],
)
def test_value_is_quoted(value: object, quoted: str) -> None:
    assert quote(value) == quoted


def test_the_limit_can_be_chosen() -> None:
    assert quote(b"abcdefghij", 10) == '"abcdefghij"'
    assert quote(b"abcdefghijk", 10) == '"abcdefg..."'


@given(st.binary(max_size=300) | st.text(max_size=300), st.integers(3, 300))
@example(b"\xff" * 50, 200)
@example("\U0001f4a9" * 20, 200)
def test_a_quoted_value_is_bounded_printable_ascii_that_cannot_end_its_quotes(value: bytes | str, limit: int) -> None:
    quoted = quote(value, limit)
    assert len(quoted) <= limit + 2
    assert quoted.isascii()
    assert quoted.isprintable()
    assert quoted[0] == quoted[-1] == '"'
    assert '"' not in quoted[1:-1]


# The exceptions


@pytest.mark.parametrize(
    ("error", "text", "attributes"),
    [
        pytest.param(
            ConfigurationError("h2c", "yes\n", 'write "ignore" or "reject"'),
            'h2c="yes\\x0a": write "ignore" or "reject"',
            {"option": "h2c", "value": "yes\n", "remedy": 'write "ignore" or "reject"'},
            id="configuration",
        ),
        pytest.param(
            ConfigurationError("jobs", 0, "write a number"), "jobs=0: write a number", {"value": 0}, id="number"
        ),
        pytest.param(ConfigurationError("jobs", "0", "write"), 'jobs="0": write', {"value": "0"}, id="number-as-str"),
        pytest.param(ConfigurationError("jobs", b"0\n", "write"), "jobs=b'0\\x5cn': write", {}, id="octets"),
        pytest.param(
            ConfigurationError("jobs", True, "write", "true"),
            "jobs=true: write",
            {"value": True},
            id="another-notation",
        ),
        pytest.param(
            ConfigurationError("jobs", [0] * 99, "write"), f"jobs=[{'0, ' * 65}0...: write", {}, id="long-list"
        ),
        pytest.param(
            HandshakeViolation("asgi-no-101", "status 101"),
            "status 101 [asgi-no-101]",
            {"rule": "asgi-no-101", "what": "status 101"},
            id="handshake",
        ),
        pytest.param(ClientDisconnected(), "the connection is closed", {}, id="disconnected"),
    ],
)
def test_exception_says_what_it_holds(error: UpgradeError, text: str, attributes: dict[str, str]) -> None:
    assert str(error) == text
    assert {name: getattr(error, name) for name in attributes} == attributes


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        pytest.param(ConfigurationError, ValueError, id="configuration"),
        pytest.param(HandshakeViolation, RuntimeError, id="handshake"),
        pytest.param(ClientDisconnected, OSError, id="disconnected"),
    ],
)
def test_exception_is_caught_by_its_name_and_by_the_built_in_one(kind: type[Exception], base: type[Exception]) -> None:
    assert issubclass(kind, UpgradeError)
    assert issubclass(kind, base)


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("h2c", True, "write it", "true"),
        HandshakeViolation("asgi-no-101", "101"),
        ClientDisconnected(),
    ],
    ids=["configuration", "handshake", "disconnected"],
)
def test_exception_survives_pickling(error: UpgradeError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled the line before
    assert type(again) is type(error)
    assert str(again) == str(error)


@pytest.mark.parametrize(
    ("client", "name"),
    [
        pytest.param(("192.0.2.1", 5000), "192.0.2.1:5000", id="address"),
        pytest.param(("2001:db8::1", 5000), "2001:db8::1:5000", id="ipv6"),
        pytest.param("unix", "unix", id="unix"),
        pytest.param(None, "unknown", id="unknown"),
        pytest.param(("a\nrejected", 1), '"a\\x0arejected:1"', id="forged"),
        pytest.param(("a",), "\"('a',)\"", id="odd"),
    ],
)
def test_other_end_is_named_without_trusting_it(client: object, name: str) -> None:
    assert whose(client) == name


class Callback:
    def __call__(self) -> None: ...

    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("callback", "name"),
    [
        pytest.param(len, "len", id="builtin"),
        pytest.param(Callback().method, "Callback.method", id="method"),
        pytest.param(partial(Callback().method), "Callback.method", id="partial"),
        pytest.param(Callback(), "Callback", id="object"),
        pytest.param("text", "str", id="not-callable"),
    ],
)
def test_callback_is_named(callback: object, name: str) -> None:
    assert callback_name(callback) == name
