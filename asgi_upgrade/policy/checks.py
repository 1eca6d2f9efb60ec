"""Checks of option values: each returns quietly or raises with what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.text import quote, suggest

OR_NONE = ", or None"
"""What the text says of an option that may be None as well."""


def string_entries(entries: object, option: str, *, optional: bool = False) -> tuple[str, ...]:
    """Return the entries of an option that is a list of strings.

    Args:
        entries: What the user gave, but not None where that is a value of its own.
        option: The name of the option, for errors.
        optional: Whether None is such a value, which the text then says.

    Returns:
        The entries.

    Raises:
        ConfigurationError: It is a bare string, cannot be iterated, or holds something else than strings.
    """
    if isinstance(entries, str | bytes) or not isinstance(entries, Iterable):
        example = entries if isinstance(entries, str) else "..."
        remedy = f"write a list, such as [{quote(example)}]"
        raise ConfigurationError(option, entries, remedy + OR_NONE * optional)
    checked: list[str] = []
    for entry in entries:
        if not isinstance(entry, str):
            raise ConfigurationError(option, entry, f"entries are str, not {type(entry).__name__}")
        checked.append(entry)
    return tuple(checked)


def check_options(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise TypeError for the first name that is no option; the text suggests the nearest."""
    options = list(known)
    for name in names:
        if name not in options:
            raise TypeError(f"there is no option {name!r}{suggest(name.replace('-', '_'), options)}")


def check_choice(name: str, value: object, choices: tuple[str, ...], *, optional: bool = False) -> None:
    """Raise unless the value is one of the choices, or None if it is optional; the text suggests the nearest."""
    if value not in choices and not (optional and value is None):
        known = " or ".join(f'"{choice}"' for choice in choices)
        raise ConfigurationError(name, value, f"write {known}{OR_NONE * optional}{suggest(str(value), choices)}")


def check_flag(name: str, value: object) -> None:
    """Raise unless the value is True or False."""
    if not isinstance(value, bool):
        raise ConfigurationError(name, value, "write True or False")


def check_number(name: str, value: object, kind: type[int] | type[float], *, optional: bool = False) -> None:
    """Raise unless the value is a finite number of this kind above 0, or None if it is optional."""
    if optional and value is None:
        return
    kinds = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < float("inf"):
        remedy = f"write {'a whole' if kind is int else 'a'} number above 0"
        raise ConfigurationError(name, value, remedy + OR_NONE * optional)


def is_async(callback: object) -> bool:
    """Tell whether calling this makes a coroutine."""
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(type(callback).__call__)


def takes(callback: Callable[..., object], count: int) -> bool:
    """Tell whether this can be called with so many arguments; True for what does not tell."""
    try:
        signature = inspect.signature(callback)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
