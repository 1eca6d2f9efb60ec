"""Patterns of request paths, in the syntax and with the meaning of Starlette's router.

A pattern decides whether the router behind would serve a path, so it agrees with that router even where a stricter
reading is thinkable (one line feed at the end of a path is overlooked): a path that the one matches and the other does
not would slip past the policy. Nothing is imported from Starlette, and no parameter is converted.

Starlette compiles a pattern to one regular expression, which can take time that grows with a power of the path's
length. Here the set of positions that each part of the pattern can end at is carried along instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy.checks import string_entries
from asgi_upgrade.text import quote, suggest

Step: TypeAlias = Callable[[str, set[int]], set[int]]
"""From a path and the positions where a part may start to those where it may end."""

_PARAMETER = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)(?::([a-zA-Z_][a-zA-Z0-9_]*))?\}")
_UUID = re.compile("[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}")


def _literal(text: str) -> Step:
    def step(path: str, starts: set[int]) -> set[int]:
        return {start + len(text) for start in starts if path.startswith(text, start)}

    return step


def _run(outside: str, at_least: int, *, whole: bool = False) -> Step:
    """Return the step of ``[^outside]`` repeated; each position is scanned once, however many starts there are.

    ``whole`` leaves out all ends but the last of a run, where nothing that follows can begin at another: a run in a
    path of 60,000 octets has as many ends.
    """
    border = re.compile(outside)

    def step(path: str, starts: set[int]) -> set[int]:
        ends: set[int] = set()
        reached = -1
        for start in sorted(starts):
            if start >= reached:
                end = border.search(path, start)
                reached = end.start() if end else len(path)
                if not whole:
                    ends.update(range(start + at_least, reached + 1))
            if whole and start + at_least <= reached:
                ends.add(reached)
        return ends

    return step


_digits = _run("[^0-9]", 1)
_point = _literal(".")


def _float(path: str, starts: set[int]) -> set[int]:
    whole = _digits(path, starts)
    return whole | _digits(path, _point(path, whole))


def _uuid(path: str, starts: set[int]) -> set[int]:
    return {match.end() for start in starts if (match := _UUID.match(path, start))}


_RUNS = {"str": ("/", 1), "path": (r"\n", 0), "int": ("[^0-9]", 1)}
_OTHERS: dict[str, Step] = {"float": _float, "uuid": _uuid}
_CONVERTORS = (*_RUNS, *_OTHERS)


def _convertor(name: str, behind: str) -> Step:
    """Return the step of a parameter, by what stands behind it in the pattern."""
    if name in _OTHERS:
        return _OTHERS[name]
    outside, at_least = _RUNS[name]
    ends_there = not behind or (behind[0] != "{" and re.match(outside, behind) is not None)
    return _run(outside, at_least, whole=ends_there)


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A compiled pattern; made by ``compile_path``.

    Args:
        pattern: The pattern as written.
        steps: Its parts, in order.
    """

    pattern: str
    steps: tuple[Step, ...] = field(repr=False, compare=False)

    def matches(self, path: str) -> bool:
        """Tell whether the pattern matches a path as a whole; time is linear in the path's length.

        Args:
            path: The decoded path below the root path, as ``route_path`` returns it.

        Returns:
            Whether Starlette's router would match it.
        """
        positions = {0}
        for step in self.steps:
            positions = step(path, positions)
            if not positions:
                return False
        # "$" in Starlette's expression also matches before a final line feed.
        return len(path) in positions or (path.endswith("\n") and len(path) - 1 in positions)


def compile_path(pattern: str, option: str) -> PathPattern:
    """Compile a path pattern.

    Args:
        pattern: A path whose parts may be ``{name}`` or ``{name:convertor}``, with the convertors str (default, no
            slash), path, int, float and uuid.
        option: The name of the option, for errors.

    Returns:
        The pattern.

    Raises:
        ConfigurationError: It does not start with a slash, names an unknown convertor, has an asterisk, a brace that
            belongs to no parameter, or the same name twice; the text says what to write.
    """
    if "*" in pattern:
        # To Starlette it is an octet like any other, so the pattern would never match what its author means by it.
        spelling = "/" + re.sub(r"\*+", "{path:path}", pattern).lstrip("/")
        raise ConfigurationError(option, pattern, f'"*" stands for nothing in a path pattern: write {quote(spelling)}')
    if not pattern.startswith("/"):
        raise ConfigurationError(option, pattern, f"write {quote('/' + pattern)}")
    steps: list[Step] = []
    names: set[str] = set()
    position = 0
    for match in _PARAMETER.finditer(pattern):
        name, convertor = match[1], match[2] or "str"
        if convertor not in _CONVERTORS:
            raise ConfigurationError(option, pattern, _convertor_remedy(convertor))
        if name in names:
            raise ConfigurationError(option, pattern, f"name each parameter once; {quote(name)} is there twice")
        names.add(name)
        steps += _literals(pattern, pattern[position : match.start()], option)
        steps.append(_convertor(convertor, pattern[match.end() :]))
        position = match.end()
    steps += _literals(pattern, pattern[position:], option)
    return PathPattern(pattern, tuple(steps))


def compile_paths(patterns: Iterable[str], option: str) -> tuple[PathPattern, ...]:
    """Compile path patterns.

    Args:
        patterns: The patterns.
        option: The name of the option, for errors.

    Returns:
        The patterns, in order.

    Raises:
        ConfigurationError: One of them is wrong, or it is not a list of strings.
    """
    return tuple(compile_path(pattern, option) for pattern in string_entries(patterns, option))


def route_path(scope_path: str, root_path: str) -> str:
    """Return the path below the root path, as Starlette's router sees it.

    Args:
        scope_path: ``scope["path"]``.
        root_path: ``scope["root_path"]``; empty if there is none.

    Returns:
        The rest of the path, which may be empty; the whole path if it is not below the root path.
    """
    rest = scope_path.removeprefix(root_path)
    return scope_path if rest and not rest.startswith("/") else rest


def _literals(pattern: str, text: str, option: str) -> list[Step]:
    if "{" in text or "}" in text:
        raise ConfigurationError(option, pattern, 'write a parameter as "{name}" or "{name:convertor}"')
    return [_literal(text)] if text else []


def _convertor_remedy(convertor: str) -> str:
    known = ", ".join(_CONVERTORS)
    return f"there is no convertor {quote(convertor)}, only {known}{suggest(convertor, _CONVERTORS)}"
