"""What must not be seen is not, however a server spells it; and what has to be read can be."""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.check.wire.redaction import credentials, redact, redact_text, secrets

COOKIE = b'sid=ckvalue99; t="q77uoted"; lang=en; mode=websocket'
TOKEN = b"Bearer h\xfbnter2/+&x"


def after(value: bytes, octets: bytes, *, cut: bool = False) -> bytes:
    return redact(octets, secrets([value]), cut=cut)


@pytest.mark.parametrize(
    ("value", "octets", "rest"),
    [
        pytest.param(b"hunter2", b"a hunter2 b", b"a [redacted] b", id="whole"),
        pytest.param(COOKIE, b"a ckvalue99 b q77uoted", b"a [redacted] b [redacted]", id="parts"),
        pytest.param(COOKIE, b'{"sid": "ckvalue99"}', b'{"sid": "[redacted]"}', id="names-are-none"),
        pytest.param(COOKIE, b"Upgrade: websocket", b"Upgrade: websocket", id="common-words-are-none"),
        pytest.param(b"Basic alice:hunter2", b"WWW-Authenticate: Basic", b"WWW-Authenticate: Basic", id="scheme"),
        pytest.param(b"Basic alice:hunter2", b"hunter2 alice", b"[redacted] [redacted]", id="two-parts"),
        pytest.param(b"Hunter2", b"HUNTER2 hunter2", b"[redacted] [redacted]", id="case"),
        pytest.param(b"abc", b"abc", b"abc", id="too-short"),
        pytest.param(b"a b c d", b"a b c d, a b", b"[redacted], a b", id="short-words"),
        pytest.param(b"", b"abc", b"abc", id="empty"),
        pytest.param(b"hunter2", b"hunter2hunter2", b"[redacted][redacted]", id="adjacent"),
        pytest.param(b"aaaaa", b"xaaaaaaay", b"x[redacted]y", id="overlapping"),
        pytest.param(b"hunter2", b"4\r\nhunt\r\n3\r\ner2\r\n0\r\n\r\n", b"4\r\n[redacted]\r\n0\r\n\r\n", id="chunks"),
        pytest.param(
            b"hunter2", b"1\r\nh\r\n5;a=b\r\nunter\r\n1\r\n2\r\n", b"1\r\n[redacted]\r\n", id="chunks-with-extensions"
        ),
    ],
)
def test_secrets_are_taken_out(value: bytes, octets: bytes, rest: bytes) -> None:
    assert after(value, octets) == rest


@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param(quote(TOKEN, safe="").encode(), id="percent"),
        pytest.param(quote(TOKEN.decode("latin-1")).encode(), id="percent-utf-8"),
        pytest.param(quote_plus(TOKEN.decode("latin-1")).encode(), id="form"),
        pytest.param(json.dumps(TOKEN.decode("latin-1")).encode(), id="json"),
        pytest.param(json.dumps(TOKEN.decode("latin-1"), ensure_ascii=False).encode(), id="json-utf-8"),
        pytest.param(html.escape(TOKEN.decode("latin-1")).encode("latin-1", "xmlcharrefreplace"), id="html"),
        pytest.param(repr(TOKEN).encode(), id="repr"),
        pytest.param(base64.b64encode(TOKEN), id="base64"),
        pytest.param(base64.urlsafe_b64encode(TOKEN), id="base64-url"),
        pytest.param(TOKEN.upper(), id="upper-case"),
    ],
)
def test_the_usual_spellings_of_a_secret_are_secret(spelled: bytes) -> None:
    rest = after(TOKEN, b"it is " + spelled + b".")
    assert b"nter2" not in rest.lower()
    assert spelled not in rest
    assert rest.startswith(b"it is ")


SECRET = b"hunter2/+&x"


@pytest.mark.parametrize("before", [b"", b"G", b"GE"], ids=["at-0", "at-1", "at-2"])
@pytest.mark.parametrize(
    "dump",
    [
        pytest.param(base64.b64encode, id="base64"),
        pytest.param(base64.urlsafe_b64encode, id="base64-url"),
        pytest.param(base64.encodebytes, id="base64-lines"),
        pytest.param(lambda octets: octets.hex().encode(), id="hex"),
        pytest.param(lambda octets: octets.hex().upper().encode(), id="hex-upper"),
        pytest.param(lambda octets: octets.hex(" ").encode(), id="hex-spaces"),
        pytest.param(lambda octets: octets.hex(":").encode(), id="hex-colons"),
        pytest.param(lambda octets: "".join(f"%{each:02x}" for each in octets).encode(), id="every-octet-percent"),
        pytest.param(lambda octets: "".join(f"\\x{each:02x}" for each in octets).encode(), id="every-octet-x"),
        pytest.param(lambda octets: str(list(octets)).encode(), id="numbers"),
        pytest.param(lambda octets: octets[::-1], id="reversed"),
    ],
)
def test_no_dump_of_a_whole_head_tells_a_secret_in_it(dump: Callable[[bytes], bytes], before: bytes) -> None:
    head = before + b"GET / HTTP/1.1\r\nAuthorization: Bearer " + SECRET + b"\r\nAccept: */*\r\n\r\n"
    rest = after(b"Bearer " + SECRET, dump(head))
    assert b"[redacted]" in rest
    assert dump(SECRET).strip() not in rest
    assert b"nter2" not in rest
    assert b"2retn" not in rest
    # What is left of the characters tells an octet at its ends, and no more.
    longest = max((found for size in range(2, 9) for found in _parts(rest, dump, size)), key=len, default=b"")
    assert len(longest) <= 2


def _parts(rest: bytes, dump: Callable[[bytes], bytes], size: int) -> list[bytes]:
    parts = [SECRET[at : at + size] for at in range(len(SECRET) - size + 1)]
    return [part for part in parts if len(dump(part).strip(b"[]\n=")) > 3 and dump(part).strip(b"[]\n=") in rest]


def test_looking_for_dumps_takes_linear_time() -> None:
    hidden = secrets([SECRET])
    for octets in (b"a" * 300_000, b"1 " * 150_000, b"4a:" * 100_000, b"\r\n" * 150_000):
        began = time.process_time()
        assert redact(octets, hidden) == octets
        assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("octets", "cut", "rest"),
    [
        (b"a hunter2 hunt", True, b"a [redacted] "),
        (b"a hunter2 hunt", False, b"a [redacted] hunt"),
        (b"nothing", True, b"nothing"),
    ],
)
def test_the_beginning_of_a_secret_is_taken_out_where_the_octets_are_cut(octets: bytes, cut: bool, rest: bytes) -> None:
    assert after(b"hunter2", octets, cut=cut) == rest


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ('it says "hunter2", not \u20ac', 'it says "[redacted]", not \u20ac'),
        ('it says "xhunt..." and "hunt"', 'it says "x..." and "hunt"'),
        ("\ud800 hunter2", "\\ud800 [redacted]"),
    ],
)
def test_secrets_are_taken_out_of_text(text: str, rest: str) -> None:
    assert redact_text(text, secrets([b"hunter2"])) == rest
    assert redact_text(text, ()) == text


LONG = "a1" * 16


def test_long_subprotocols_that_the_policy_does_not_list_are_credentials() -> None:
    names = ("chat", f"base64url.bearer.{LONG}", "graphql-transport-ws", "b" * 30)
    assert credentials(names, ("b" * 30,)) == (f"base64url.bearer.{LONG}".encode(), LONG.encode())


@given(
    st.binary(min_size=4, max_size=12).filter(lambda each: not each.isspace()),
    st.binary(max_size=20),
    st.binary(max_size=20),
)
def test_no_value_is_left_whatever_is_around_it(value: bytes, before: bytes, behind: bytes) -> None:
    rest = redact(before + value + behind, secrets([value]))
    assert all(value not in part for part in rest.split(b"[redacted]"))
