from __future__ import annotations

from typing import Any

import pytest

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.probes.catalogue import CONTROL, PROBES
from asgi_upgrade.errors import ConfigurationError


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"server": "uvcorn"}, "did you mean 'uvicorn'"),
        ({"factory": 1}, "write True or False"),
        ({"timeout": 0}, "a number above 0"),
        ({"jobs": 1.5}, "a whole number above 0"),
        ({"select": "ws-*"}, "write a list"),
        ({"select": ("ws-key-presnt",)}, "there is no such rule; did you mean 'ws-key-present'?"),
        ({"select": ("ws-key-presnt*",)}, "no rule matches; did you mean 'ws-key-present'?"),
        ({"ignore": ("zzzzzzzz",)}, "there is no such rule"),
        ({"ignore": ("ws-version-mismatch[9]",)}, "there is no such probe; did you mean 'ws-version-mismatch[99]'?"),
        ({"ignore": ("*",)}, "nothing is left to check"),
        ({"select": ("asgi-no-101",)}, "nothing is left to check"),
        ({"ws_paths": ("ws",)}, 'write "/ws"'),
        ({"http_paths": ("/a b",)}, "percent-encoded"),
        ({"ws_paths": ("/\u00e9",)}, "percent-encoded"),
        ({"ws_paths": ("/#top",)}, "percent-encoded"),
        ({"ws_paths": ("/a", "/b"), "http_paths": ("/b",)}, "name it as one of the two"),
        ({"subprotocols": ("a b",)}, "a subprotocol name is a token"),
        ({"headers": (("A b", "c"),)}, "where the name is a token"),
        ({"headers": (("SEC-WebSocket-Key", "c"),)}, "the probes write this field themselves"),
        ({"headers": (("Host", "c"),)}, "a host of allowed-hosts in [tool.asgi-upgrade.policy]"),
        ({"headers": (("Cookie", "a\r\nb"),)}, "control or wide character"),
        ({"headers": (("Cookie", "\u20ac"),)}, "control or wide character"),
        ({"origin": ""}, "write an origin"),
        ({"origin": "a\n"}, "write an origin"),
        ({"origin": "ht tp"}, "write an origin"),
        ({"origin": "https://shop.example/"}, "write an origin"),
        ({"origin": "https://\u20ac"}, "write an origin"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CheckOptions(**options)
    assert remedy in str(caught.value)


def test_the_value_of_a_secret_field_is_not_in_the_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        CheckOptions(headers=(("Cookie", "session=0123\n"),))
    assert "0123" not in str(caught.value)


def test_everything_is_checked_by_default() -> None:
    assert CheckOptions().probes() == PROBES


def test_rules_are_selected_and_left_out_by_globs() -> None:
    options = CheckOptions(select=("ws-key-*", "host-missing"), ignore=("ws-key-single",))
    assert {probe.rule.id for probe in options.probes()} == {
        *("ws-key-present", "ws-key-16-bytes", "ws-key-alphabet", "host-missing")
    }


def test_single_probes_are_selected_and_left_out_by_their_names() -> None:
    options = CheckOptions(select=("ws-version-mismatch[99]", "ws-version-single"))
    assert {probe.name for probe in options.probes()} == {"ws-version-mismatch[99]", "ws-version-single"}
    left = CheckOptions(select=("ws-version-mismatch",), ignore=("ws-version-mismatch[99]",)).probes()
    assert {probe.rule.id for probe in left} == {"ws-version-mismatch"}
    assert "ws-version-mismatch[99]" not in {probe.name for probe in left}


def test_lists_are_kept_as_tuples() -> None:
    assert CheckOptions(ws_paths=["/ws"]).ws_paths == ("/ws",)  # type: ignore[arg-type] # what a file holds


def test_the_control_comes_first() -> None:
    assert PROBES[0] is CONTROL


def test_every_probe_has_a_name_of_its_own_and_says_what_it_is() -> None:
    names = [probe.name for probe in PROBES]
    assert len(names) == len(set(names))
    assert names[:2] == ["ws-101-status", "ws-101-upgrade"]
    assert "ws-key-present[missing]" in names
    for probe in PROBES:
        assert probe.title == probe.title.strip() != ""
        assert probe.expected == probe.expected.strip() != ""
