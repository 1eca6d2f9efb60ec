"""What may stand in ``routes``, what the errors say about the rest, and which policies hold for a path."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.paths import compile_path
from asgi_upgrade.policy.routes import Route, chosen, compile_routes

POLICY = UpgradePolicy(mode="lenient")


def test_no_routes_are_none() -> None:
    assert compile_routes(None) == ()


def test_routes_keep_their_order() -> None:
    compiled = compile_routes({"/admin/{path:path}": POLICY, "/api/{name}": None})
    assert [(route.pattern.pattern, route.policy) for route in compiled] == [
        ("/admin/{path:path}", POLICY),
        ("/api/{name}", None),
    ]
    assert isinstance(compiled[0], Route)
    assert compiled[0].pattern.matches("/admin/a/b")


@pytest.mark.parametrize(
    ("routes", "error"),
    [
        pytest.param(["/admin"], "routes=['/admin']: write {\"/path/{name}\": UpgradePolicy(...)}", id="no-mapping"),
        pytest.param({1: None}, "routes=1: patterns are str, not int", id="no-str"),
        pytest.param({"admin": None}, 'routes="admin": write "/admin"', id="no-slash"),
        pytest.param(
            {"/admin/*": None},
            'routes="/admin/*": "*" stands for nothing in a path pattern: write "/admin/{path:path}"',
            id="asterisk",
        ),
        pytest.param(
            {"/{path:pth}": None},
            'routes="/{path:pth}": there is no convertor "pth", '
            "only str, path, int, float, uuid; did you mean 'path'?",
            id="convertor",
        ),
        pytest.param(
            {"/a": False}, "routes=False: write UpgradePolicy(...), or None for no upgrade at all", id="no-policy"
        ),
        pytest.param(
            {"/a": {"mode": "lenient"}},
            "routes={'mode': 'lenient'}: write UpgradePolicy(...), or None for no upgrade at all",
            id="fields",
        ),
    ],
)
def test_mistake_says_what_to_write(routes: Any, error: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_routes(routes)
    assert str(caught.value) == error


# Which policies hold for a path

PATTERNS = (
    "/admin/{path:path}",
    "/feed/{name}",
    "/ws",
    "/in/",
    "/pub/open",
    "/pub/{path:path}",
    "/files/{path:path}/x",
)
NAMED = [(compile_path(pattern, "routes"), pattern) for pattern in PATTERNS]


def holding(path: str, root_path: str = "") -> set[str]:
    choices = chosen(NAMED, "elsewhere", path, root_path)
    assert len(choices) == len(set(choices))
    return set(choices)


@pytest.mark.parametrize(
    ("path", "choices"),
    [
        # realistic
        pytest.param("/admin/ws", {"/admin/{path:path}"}, id="below"),
        pytest.param("/admin/a/b/", {"/admin/{path:path}"}, id="further-below"),
        pytest.param("/feed/a", {"/feed/{name}"}, id="parameter"),
        pytest.param("/ws", {"/ws"}, id="literal"),
        pytest.param("/in/", {"/in/"}, id="literal-with-slash"),
        pytest.param("/pub/open", {"/pub/open"}, id="exception"),
        pytest.param("/pub/closed", {"/pub/{path:path}"}, id="beside-the-exception"),
        pytest.param("/other", {"elsewhere"}, id="elsewhere"),
        pytest.param("/ADMIN/ws", {"elsewhere"}, id="case-counts"),
        # a final slash more or less
        pytest.param("/admin", {"elsewhere", "/admin/{path:path}"}, id="without-slash"),
        pytest.param("/feed/a/", {"elsewhere", "/feed/{name}"}, id="with-slash"),
        pytest.param("/ws/", {"elsewhere", "/ws"}, id="literal-and-a-slash"),
        pytest.param("/in", {"elsewhere", "/in/"}, id="literal-without-its-slash"),
        pytest.param("/pub/open/", {"/pub/{path:path}", "/pub/open"}, id="exception-and-a-slash"),
        # more slashes than one
        pytest.param("//admin/ws", {"elsewhere", "/admin/{path:path}"}, id="slashes-in-front"),
        pytest.param("////admin////ws", {"elsewhere", "/admin/{path:path}"}, id="slashes-everywhere"),
        pytest.param("/admin//", {"/admin/{path:path}"}, id="slashes-at-the-end"),
        pytest.param("/ws//", {"elsewhere", "/ws"}, id="literal-and-slashes"),
        pytest.param("//admin", {"elsewhere", "/admin/{path:path}"}, id="slashes-in-front-and-none-behind"),
        pytest.param("//pub/open", {"elsewhere", "/pub/open", "/pub/{path:path}"}, id="slashes-before-the-exception"),
        pytest.param("/files//x", {"elsewhere", "/files/{path:path}/x"}, id="pattern-that-needs-both-slashes"),
        # a line feed at the end
        pytest.param("/ws\n", {"/ws"}, id="line-feed"),
        pytest.param("//ws/\n", {"elsewhere", "/ws"}, id="line-feed-behind-a-slash"),
        pytest.param("/admin\n", {"elsewhere", "/admin/{path:path}"}, id="line-feed-without-slash"),
        pytest.param("/ws\n\n", {"elsewhere", "/ws"}, id="two-line-feeds"),
        # pathological
        pytest.param("", {"elsewhere"}, id="empty"),
        pytest.param("/", {"elsewhere"}, id="root"),
        pytest.param("//", {"elsewhere"}, id="slashes-alone"),
        pytest.param("*", {"elsewhere"}, id="asterisk-form"),
        pytest.param("/feed/{name}", {"/feed/{name}"}, id="braces"),
        pytest.param("/" * 100_000 + "admin" + "/" * 100_000, {"elsewhere", "/admin/{path:path}"}, id="long"),
    ],
)
def test_path_is_looked_up_in_every_spelling(path: str, choices: set[str]) -> None:
    assert holding(path) == choices
    if path:
        assert holding("/root" + path, "/root") == choices | ({"elsewhere"} if path == "*" else set())


@pytest.mark.parametrize(
    ("path", "root_path", "choices"),
    [
        pytest.param("/root", "/root", {"elsewhere"}, id="root-itself"),
        pytest.param("/ws", "/root", {"/ws"}, id="proxy-has-taken-it-off"),
        pytest.param("//root//ws", "/root", {"elsewhere", "/ws"}, id="slashes-before-the-root"),
        pytest.param("/root//ws", "/root/", {"/ws"}, id="root-that-ends-in-a-slash"),
        pytest.param("/a//b/ws", "/a/b", {"elsewhere", "/ws"}, id="slashes-within-the-root"),
        # Channels and Quart
        pytest.param("/rootadmin/ws", "/root", {"elsewhere", "/admin/{path:path}"}, id="no-segment-ends"),
        # Litestar
        pytest.param("/x/root/ws", "/root", {"elsewhere", "/ws"}, id="something-before-the-root"),
        pytest.param("/x/root", "/root", {"elsewhere"}, id="something-before-the-root-and-nothing-behind"),
        pytest.param("/root/root/ws", "/root", {"elsewhere"}, id="taken-off-once"),
    ],
)
def test_root_path_is_taken_off_in_every_way(path: str, root_path: str, choices: set[str]) -> None:
    assert holding(path, root_path) == choices


def test_choice_for_the_path_as_received_comes_first() -> None:
    assert chosen(NAMED, "elsewhere", "//admin/x", "") == ["elsewhere", "/admin/{path:path}"]
    assert chosen(NAMED, "elsewhere", "/pub/open/", "") == ["/pub/{path:path}", "/pub/open"]


def test_without_routes_one_policy_holds_everywhere() -> None:
    assert chosen([], "elsewhere", "//admin", "/x") == ["elsewhere"]


def test_policies_that_are_equal_are_told_apart() -> None:
    one, other = UpgradePolicy(max_connections=1), UpgradePolicy(max_connections=1)
    assert one == other
    routes = compile_routes({"/a/{path:path}": one})
    first, second = chosen(routes, other, "//a/b", "")
    assert first is other
    assert second is one
    assert chosen(routes, one, "//a/b", "") == [one]


def folded(path: str, root_path: str) -> list[str]:
    """Return what the routers of the frameworks look up for a path, as their sources say."""
    below = path.removeprefix(root_path)
    after = path.split(root_path, maxsplit=1)[-1] if root_path else path
    stripped = re.sub("/+", "/", f"/{after.strip('/')}")
    return [
        f"/{below.lstrip('/')}",  # Channels
        re.sub("/+", "/", f"/{below.lstrip('/')}"),  # Quart (Werkzeug)
        stripped,  # Litestar, for a handler whose path was written without a final slash
        f"{stripped}/",  # and with one
    ]


PARTS = st.lists(st.sampled_from(["/", "//", "admin", "ws", "feed", "pub", "open", "root", "\n"]), max_size=8)


@given(PARTS.map(lambda parts: "/" + "".join(parts)), st.sampled_from(["", "/root", "/root/admin", "/root/"]))
def test_no_router_finds_a_way_past_a_closed_path(path: str, root_path: str) -> None:
    for whole in (path, root_path + path):
        choices = holding(whole, root_path)
        if choices & {"/ws", "/in/", "/pub/open"} and len(choices) == 1:
            continue  # named to the letter
        for spelling in folded(whole, root_path):
            for pattern, name in NAMED:
                # Of two patterns the first counts, here and in a router.
                if pattern.matches(spelling):
                    assert name in choices, spelling
                    break
