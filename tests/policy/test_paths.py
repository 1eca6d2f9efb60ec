from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette import routing
from starlette._utils import get_route_path

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy.paths import compile_path, compile_paths, route_path

UUID = "0f1e2d3c-4b5a-6978-8796-A5B4C3D2E1F0"


def starlette_matches(pattern: str, path: str) -> bool:
    regex, _, _ = routing.compile_path(pattern)
    return regex.match(path) is not None


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        # realistic
        pytest.param("/ws", "/ws", True, id="literal"),
        pytest.param("/ws", "/ws/", False, id="literal-with-slash"),
        pytest.param("/ws", "/wss", False, id="literal-prefix"),
        pytest.param("/ws", "/a/ws", False, id="literal-suffix"),
        pytest.param("/ws", "/WS", False, id="case"),
        pytest.param("/", "/", True, id="root"),
        pytest.param("/ws/{room}", "/ws/blue", True, id="str"),
        pytest.param("/ws/{room:str}", "/ws/blue", True, id="str-written-out"),
        pytest.param("/ws/{room}", "/ws/", False, id="str-empty"),
        pytest.param("/ws/{room}", "/ws/blue/green", False, id="str-no-slash"),
        pytest.param("/ws/{room}/{seat}", "/ws/blue/7", True, id="two-parameters"),
        pytest.param("/files/{path:path}", "/files/a/b", True, id="path"),
        pytest.param("/files/{path:path}", "/files/", True, id="path-empty"),
        pytest.param("/files/{path:path}", "/files", False, id="path-needs-its-slash"),
        pytest.param("/n/{n:int}", "/n/007", True, id="int"),
        pytest.param("/n/{n:int}", "/n/-7", False, id="int-negative"),
        pytest.param("/n/{n:int}", "/n/7.5", False, id="int-fraction"),
        pytest.param("/n/{n:float}", "/n/7", True, id="float-whole"),
        pytest.param("/n/{n:float}", "/n/7.5", True, id="float"),
        pytest.param("/n/{n:float}", "/n/7.", False, id="float-nothing-behind-the-point"),
        pytest.param("/n/{n:float}", "/n/.5", False, id="float-nothing-before-the-point"),
        pytest.param("/u/{u:uuid}", f"/u/{UUID}", True, id="uuid"),
        pytest.param("/u/{u:uuid}", f"/u/{UUID.replace('-', '')}", True, id="uuid-without-hyphens"),
        pytest.param("/u/{u:uuid}", f"/u/{UUID}0", False, id="uuid-too-long"),
        pytest.param("/u/{u:uuid}", f"/u/{UUID[:-1]}", False, id="uuid-too-short"),
        # synthetic
        pytest.param("/a.b", "/axb", False, id="dot-is-a-dot"),
        pytest.param("/a.b+(c)", "/a.b+(c)", True, id="nothing-is-special"),
        pytest.param("/{a}-{b}", "/x-y-z", True, id="two-in-a-segment"),
        pytest.param("/{a}-{b:int}", "/x-1-2", True, id="the-last-hyphen-counts"),
        pytest.param("/{a}{b}", "/x", False, id="adjacent-too-short"),
        pytest.param("/{a}{b}", "/xy", True, id="adjacent"),
        pytest.param("/{a:path}/end", "/x/end/end", True, id="path-runs-over-its-end"),
        pytest.param("/{a:path}/b/{c:path}", "/x/b/b/y", True, id="two-paths"),
        pytest.param("/{a:float}.{b:int}", "/1.2.3", True, id="float-then-point"),
        pytest.param("/{a:float}.{b:int}", "/1.2", True, id="float-gives-the-point-back"),
        pytest.param("/{a:uuid}{b:path}", f"/{UUID}/x", True, id="uuid-then-path"),
        pytest.param("/{room}", "/\u00fc\u4e2d", True, id="unicode"),
        pytest.param("/n/{n:int}", "/n/\u0661", False, id="arabic-digit"),
        # pathological
        pytest.param("/ws", "", False, id="empty-path"),
        pytest.param("/ws", "/ws\n", True, id="line-feed-at-the-end"),
        pytest.param("/ws", "/ws\n\n", False, id="two-line-feeds"),
        pytest.param("/ws", "/ws\r", False, id="carriage-return"),
        pytest.param("/ws/{room}", "/ws/a\nb", True, id="line-feed-within-str"),
        pytest.param("/files/{path:path}", "/files/a\nb", False, id="line-feed-within-path"),
        pytest.param("/files/{path:path}", "/files/a\n", True, id="line-feed-after-path"),
        pytest.param("/files/{path:path}x", "/files/a\nx", False, id="path-stops-at-line-feed"),
        pytest.param("/ws", "/ws\x00", False, id="nul"),
    ],
)
@pytest.mark.newest  # the router of the newest Starlette is the one to agree with
def test_pattern_matches_as_the_router_does(pattern: str, path: str, matches: bool) -> None:
    assert compile_path(pattern, "websocket_only").matches(path) is matches
    assert starlette_matches(pattern, path) is matches


PARTS = st.sampled_from(
    ["/", "a", "-", ".", "1", "{}", "{:str}", "{:path}", "{:int}", "{:float}", "{:uuid}", "\n", "+", "$"]
)
VALUES = st.sampled_from(["/", "a", "-", ".", "1", "12", "\n", "+", "$", "", UUID, UUID.replace("-", ""), "\u0661"])


def named(parts: list[str]) -> str:
    return "/" + "".join(part.replace("{", f"{{p{index}") for index, part in enumerate(parts))


@given(st.lists(PARTS, max_size=6).map(named), st.lists(VALUES, max_size=8).map("".join))
@pytest.mark.newest  # the router of the newest Starlette is the one to agree with
def test_every_pattern_agrees_with_the_router(pattern: str, rest: str) -> None:
    for path in (rest, f"/{rest}"):
        assert compile_path(pattern, "websocket_only").matches(path) is starlette_matches(pattern, path)


@given(st.lists(PARTS, max_size=5).map(named), st.data())
def test_path_made_of_a_pattern_matches_it(pattern: str, data: st.DataObject) -> None:
    regex, _, _ = routing.compile_path(pattern)
    path = data.draw(st.from_regex(regex))
    assert compile_path(pattern, "websocket_only").matches(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        pytest.param("/{a}-{b}/x", "/" + "-" * 200_000 + "/", id="two-in-a-segment"),
        pytest.param("/{a}{b}{c}{d}/x", "/" + "a" * 200_000, id="adjacent"),
        pytest.param("/{a:path}/b/{b:path}/c", "/b" * 100_000, id="two-paths"),
        pytest.param("/{a:path}{b:path}{c:path}x", "/" + "a" * 200_000, id="adjacent-paths"),
        pytest.param("/{a:int}{b:float}{c:int}x", "/" + "1" * 200_000 + ".", id="digits"),
    ],
)
def test_long_path_is_judged_where_going_back_would_take_hours(pattern: str, path: str) -> None:
    compiled = compile_path(pattern, "websocket_only")
    assert not compiled.matches(path)
    assert compile_path("/{path:path}", "websocket_only").matches(path)


@pytest.mark.parametrize(
    ("pattern", "ends"),
    [
        pytest.param("/{a}", 1, id="at-the-end"),
        pytest.param("/{a}/ws", 1, id="a-segment"),
        pytest.param("/{a:int}/ws", 1, id="digits"),
        pytest.param("/{a:path}", 1, id="everything"),
        pytest.param("/{a:path}/ws", 5001, id="up-to-a-name"),
        pytest.param("/{a}-{b}", 5000, id="part-of-a-segment"),
        pytest.param("/{a:int}{b}", 5000, id="digits-before-anything"),
    ],
)
def test_only_those_ends_of_a_parameter_are_looked_at_behind_which_the_pattern_can_go_on(
    pattern: str, ends: int
) -> None:
    _, parameter, *_ = compile_path(pattern, "websocket_only").steps
    assert len(parameter("/" + "1" * 5000, {1})) == ends


# Configuration


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        pytest.param("ws", 'write "/ws"', id="no-slash"),
        pytest.param("", 'write "/"', id="empty"),
        pytest.param("/admin/*", '"*" stands for nothing in a path pattern: write "/admin/{path:path}"', id="asterisk"),
        pytest.param("/a/**", '"*" stands for nothing in a path pattern: write "/a/{path:path}"', id="two-asterisks"),
        pytest.param("*", '"*" stands for nothing in a path pattern: write "/{path:path}"', id="asterisk-alone"),
        pytest.param(
            "/*/b", '"*" stands for nothing in a path pattern: write "/{path:path}/b"', id="asterisk-in-the-middle"
        ),
        pytest.param(
            "/{a:uid}",
            "there is no convertor \"uid\", only str, path, int, float, uuid; did you mean 'uuid'?",
            id="convertor-nearly-right",
        ),
        pytest.param(
            "/{a:zzz}", 'there is no convertor "zzz", only str, path, int, float, uuid', id="convertor-unknown"
        ),
        pytest.param("/{a}/{a}", 'name each parameter once; "a" is there twice', id="repeated-name"),
        pytest.param("/{a", 'write a parameter as "{name}" or "{name:convertor}"', id="open-brace"),
        pytest.param("/a}", 'write a parameter as "{name}" or "{name:convertor}"', id="closing-brace"),
        pytest.param("/{a}}/b", 'write a parameter as "{name}" or "{name:convertor}"', id="two-closing-braces"),
        pytest.param("/{{a}", 'write a parameter as "{name}" or "{name:convertor}"', id="two-open-braces"),
        pytest.param("/}/{a}", 'write a parameter as "{name}" or "{name:convertor}"', id="brace-before-parameter"),
        pytest.param("/{}", 'write a parameter as "{name}" or "{name:convertor}"', id="no-name"),
        pytest.param("/{a:}", 'write a parameter as "{name}" or "{name:convertor}"', id="no-convertor"),
        pytest.param("/{1a}", 'write a parameter as "{name}" or "{name:convertor}"', id="name-starts-with-digit"),
        pytest.param("/{a }", 'write a parameter as "{name}" or "{name:convertor}"', id="space-in-name"),
        pytest.param("/{a:int:str}", 'write a parameter as "{name}" or "{name:convertor}"', id="two-convertors"),
    ],
)
def test_wrong_pattern_is_a_configuration_error_with_its_remedy(pattern: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_path(pattern, "websocket_only")
    assert caught.value.option == "websocket_only"
    assert caught.value.value == pattern
    assert caught.value.remedy == remedy


def test_patterns_are_compiled_in_order() -> None:
    compiled = compile_paths(iter(["/ws", "/ws/{room}"]), "websocket_only")
    assert [pattern.pattern for pattern in compiled] == ["/ws", "/ws/{room}"]
    assert compile_paths([], "websocket_only") == ()


def test_same_patterns_are_equal_and_hashable() -> None:
    assert compile_path("/ws/{room}", "a") == compile_path("/ws/{room}", "b")
    assert len({compile_path("/ws", "a"), compile_path("/ws", "a"), compile_path("/wss", "a")}) == 2


@pytest.mark.parametrize(
    ("patterns", "remedy"),
    [
        pytest.param("/ws", 'write a list, such as ["/ws"]', id="bare-str"),
        pytest.param([re.compile("/ws")], "entries are str, not Pattern", id="regular-expression"),
    ],
)
def test_what_is_not_a_list_of_str_is_a_configuration_error(patterns: Any, remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(remedy)):
        compile_paths(patterns, "websocket_only")


# Root path


@pytest.mark.parametrize(
    ("path", "root", "rest"),
    [
        pytest.param("/ws", "", "/ws", id="no-root"),
        pytest.param("/api/ws", "/api", "/ws", id="below"),
        pytest.param("/api", "/api", "", id="root-itself"),
        pytest.param("/api/", "/api", "/", id="root-with-slash"),
        pytest.param("/ws", "/api", "/ws", id="not-below"),
        pytest.param("/apiws", "/api", "/apiws", id="no-segment-border"),
        pytest.param("/api/ws", "/api/", "/api/ws", id="root-ends-in-slash"),
        pytest.param("/api/api/ws", "/api", "/api/ws", id="once-only"),
        pytest.param("", "", "", id="empty"),
        pytest.param("*", "", "*", id="asterisk-form"),
    ],
)
@pytest.mark.newest  # the router of the newest Starlette is the one to agree with
def test_route_path_is_what_the_router_sees(path: str, root: str, rest: str) -> None:
    assert route_path(path, root) == rest
    assert get_route_path({"path": path, "root_path": root}) == rest


@given(st.text("/ab"), st.text("/ab"))
@pytest.mark.newest  # the router of the newest Starlette is the one to agree with
def test_every_route_path_agrees_with_the_router(path: str, root: str) -> None:
    for whole in (path, root + path):
        assert route_path(whole, root) == get_route_path({"path": whole, "root_path": root})
