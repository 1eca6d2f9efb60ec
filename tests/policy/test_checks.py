from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from itertools import chain
from typing import Any

import pytest

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy.checks import check_choice, check_flag, check_number, is_async, string_entries, takes
from asgi_upgrade.policy.websocket import WEBSOCKETS_MINIMUM, check_engine, has_websockets
from asgi_upgrade.text import nearest, suggest
from tests.oldest import PYPROJECT, constraints


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param(["a", "b"], id="list"),
        pytest.param(("a", "b"), id="tuple"),
        pytest.param({"a": 1, "b": 2}, id="keys"),
        pytest.param(iter(["a", "b"]), id="iterator"),
    ],
)
def test_entries_become_a_tuple(entries: Any) -> None:
    assert string_entries(entries, "x") == ("a", "b")


def test_no_entries_are_entries() -> None:
    assert string_entries([], "x") == ()


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        pytest.param("a", 'x="a": write a list, such as ["a"]', id="bare-str"),
        pytest.param(b"a", "x=b'a': write a list, such as [\"...\"]", id="bare-bytes"),
        pytest.param(None, 'x=None: write a list, such as ["..."]', id="none"),
        pytest.param(3, 'x=3: write a list, such as ["..."]', id="number"),
        pytest.param(["a", b"b"], "x=b'b': entries are str, not bytes", id="bytes-inside"),
        pytest.param([["a"]], "x=['a']: entries are str, not list", id="list-inside"),
    ],
)
def test_what_is_no_list_of_strings_is_refused(entries: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        string_entries(entries, "x")
    assert str(caught.value) == text


def test_text_says_where_none_is_a_value_too() -> None:
    for check in (
        lambda: string_entries(False, "x", optional=True),
        lambda: check_choice("x", False, ("a", "b"), optional=True),
        lambda: check_number("x", False, int, optional=True),
    ):
        with pytest.raises(ConfigurationError, match=r"x=False: write .*, or None$"):
            check()
    check_choice("x", None, ("a", "b"), optional=True)
    check_number("x", None, int, optional=True)


def test_a_long_string_for_a_list_is_quoted_in_part() -> None:
    with pytest.raises(ConfigurationError) as caught:
        string_entries("a" * 1_000_000, "x")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("strickt", "; did you mean 'strict'?", id="near"),
        pytest.param("strict", "; did you mean 'strict'?", id="equal"),
        pytest.param("xyz", "", id="far"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_nearest_spelling_is_suggested(name: str, hint: str) -> None:
    assert (nearest(name, iter(["strict", "lenient"])) or "") in hint
    assert suggest(name, iter(["strict", "lenient"])) == hint


@pytest.mark.parametrize("value", ["a", "b"])
def test_a_choice_is_accepted(value: str) -> None:
    check_choice("x", value, ("a", "b"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("aple", 'x="aple": write "apple" or "pear"; did you mean \'apple\'?', id="near"),
        pytest.param("plum", 'x="plum": write "apple" or "pear"', id="far"),
        pytest.param(None, 'x=None: write "apple" or "pear"', id="none"),
        pytest.param(["apple"], 'x=[\'apple\']: write "apple" or "pear"', id="unhashable"),
    ],
)
def test_another_choice_is_refused(value: object, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_choice("x", value, ("apple", "pear"))
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("value", [True, False])
def test_a_flag_is_accepted(value: bool) -> None:
    check_flag("x", value)


@pytest.mark.parametrize("value", [0, 1, None, "yes", "False", []])
def test_what_is_only_like_a_flag_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="write True or False"):
        check_flag("x", value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(int, 1), (int, 10**400), (float, 1), (float, 0.001), (float, 10**400)],
    ids=["int", "great-int", "int-for-float", "float", "great-int-for-float"],
)
def test_a_number_above_0_is_accepted(kind: type[int] | type[float], value: float) -> None:
    check_number("x", value, kind)


@pytest.mark.parametrize("value", [0, -1, True, None, "1", float("inf"), float("nan")], ids=repr)
@pytest.mark.parametrize(
    ("kind", "text"), [pytest.param(int, "a whole number", id="int"), pytest.param(float, "a number", id="float")]
)
def test_another_number_is_refused(kind: type[int] | type[float], value: object, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"write {text} above 0"):
        check_number("x", value, kind)


def test_a_fraction_is_no_whole_number() -> None:
    with pytest.raises(ConfigurationError, match="write a whole number above 0"):
        check_number("x", 1.5, int)


@pytest.fixture
def afresh() -> Iterator[None]:
    """Nothing is known yet, and will be when the test is over."""
    has_websockets.cache_clear()
    yield
    has_websockets.cache_clear()


@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize(
    ("version", "usable"),
    [("14.0", True), ("14.0rc1", True), ("15", True), ("100.1.2", True), ("13.1", False), ("9.1", False)],
)
def test_engine_needs_a_library_that_is_new_enough(version: str, usable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    assert has_websockets() is usable


@pytest.mark.usefixtures("afresh")
def test_engine_that_is_not_installed_is_refused_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    check_engine("engine", "websockets")
    has_websockets.cache_clear()
    monkeypatch.setattr(metadata, "version", missing)
    for name in ("auto", "wsproto"):
        check_engine("engine", name)
    with pytest.raises(ConfigurationError) as caught:
        check_engine("engine", "websockets")
    assert str(caught.value) == 'engine="websockets": install asgi-upgrade with its extra [speed]'


def test_oldest_library_is_the_one_that_the_extra_installs() -> None:
    assert constraints()["websockets"] == f"{WEBSOCKETS_MINIMUM}.0"


def test_everything_that_users_install_is_tested_in_its_oldest_version() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    requirements = chain(project["dependencies"], *(extras[name] for name in ("uvicorn", "speed", "testing", "check")))
    names = {re.split(r"[\[>]", line)[0] for line in requirements}
    assert names - {"asgi-upgrade"} <= constraints().keys()


async def asynchronous() -> None: ...


class Asynchronous:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("callback", "answer"),
    [
        pytest.param(asynchronous, True, id="function"),
        pytest.param(partial(asynchronous), True, id="partial"),
        pytest.param(Asynchronous(), True, id="object"),
        pytest.param(Asynchronous, False, id="class"),
        pytest.param(len, False, id="plain"),
        pytest.param(None, False, id="none"),
    ],
)
def test_asynchronous_callback_is_known(callback: object, answer: bool) -> None:
    assert is_async(callback) is answer


@pytest.mark.parametrize(
    ("callback", "count", "fits"),
    [
        (lambda a: a, 1, True),
        (lambda a: a, 2, False),
        (lambda a, b=1: (a, b), 1, True),
        (lambda *a: a, 7, True),
        (lambda a, *, b: (a, b), 1, False),
        (dict, 1, True),  # which does not tell
    ],
)
def test_number_of_arguments_is_known_before_the_call(callback: Callable[..., object], count: int, fits: bool) -> None:
    assert takes(callback, count) is fits
