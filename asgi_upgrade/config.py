"""Configuration out of a pyproject.toml that is named: ``[tool.asgi-upgrade.policy]`` becomes an UpgradePolicy.

It knows how options are spelled and typed in a file; what they mean is validated where they are defined. Nothing is
read unless its path is given, and no value is interpreted here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.checks import OR_NONE
from asgi_upgrade.policy.websocket import Deflate, WebSocketOptions
from asgi_upgrade.text import quote, suggest

__all__ = ["load_policy"]

T = TypeVar("T")

SECTION = "asgi-upgrade"
TABLES = ("check", "ignore", "policy")
"""What may stand in ``[tool.asgi-upgrade]``."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")


class Kind(NamedTuple):
    """A type of value: its name, an example, and the test for it."""

    name: str
    example: str
    admits: Callable[[object], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


BOOLEAN = Kind("true or false", "true", lambda value: isinstance(value, bool))
STRING = Kind("a string", '"..."', lambda value: isinstance(value, str))
STRINGS = Kind(
    "an array of strings",
    '["..."]',
    lambda value: isinstance(value, list) and all(isinstance(entry, str) for entry in value),
)
INTEGER = Kind("an integer", "65536", lambda value: isinstance(value, int) and not isinstance(value, bool))
NUMBER = Kind("a number", "20.0", _is_number)
NUMBER_OR_FALSE = Kind("a number, or false for never", "20.0", lambda value: value is False or _is_number(value))
TABLE_OR_BOOLEAN = Kind("true, false or a table", "true", lambda value: isinstance(value, bool | dict))
TABLE = Kind("a table", "{ }", lambda value: isinstance(value, dict))
ANY = Kind("a value", '"..."', lambda _: True)

POLICY_KEYS: Mapping[str, Kind] = {
    "mode": STRING,
    "allow-origins": STRINGS,
    "allow-origin-regex": STRING,
    "allow-missing-origin": BOOLEAN,
    "check-origin": ANY,  # false only; anything else is told where functions are written
    "allowed-hosts": STRINGS,
    "trusted-proxies": STRINGS,
    "subprotocols": STRINGS,
    "require-subprotocol": BOOLEAN,
    "h2c": STRING,
    "unknown-protocols": STRING,
    "websocket-only": STRINGS,
    "max-head-size": INTEGER,
    "max-body-size": INTEGER,
    "guard-responses": BOOLEAN,
    "max-connections": INTEGER,
    "max-connections-per-client": INTEGER,
    "report-only": BOOLEAN,
    "websocket": TABLE,
}
"""The fields of UpgradePolicy, as a file spells them."""

WEBSOCKET_KEYS: Mapping[str, Kind] = {
    "max-size": INTEGER,
    "max-queue": INTEGER,
    "open-timeout": NUMBER,
    "close-timeout": NUMBER,
    "ping-interval": NUMBER_OR_FALSE,  # TOML has no None
    "ping-timeout": NUMBER_OR_FALSE,
    "engine": STRING,
    "compression": TABLE_OR_BOOLEAN,
}
"""The fields of WebSocketOptions, as a file spells them."""

COMPRESSION_KEYS: Mapping[str, Kind] = {
    "server-max-window-bits": INTEGER,
    "client-max-window-bits": INTEGER,
    "server-no-context-takeover": BOOLEAN,
    "client-no-context-takeover": BOOLEAN,
    "threshold": INTEGER,
}
"""The fields of Deflate, as a file spells them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of a file.

    Args:
        path: The file, for errors.
        name: The dotted name of the table, for errors.
        values: What is in it.
    """

    path: str
    name: str
    values: Mapping[str, Any]

    def error(self, key: str, value: object, remedy: str) -> ConfigurationError:
        """Return the error for a value, which names the file, the table and the key.

        Args:
            key: The key.
            value: Its value.
            remedy: What to write instead.

        Returns:
            The error, to be raised.
        """
        spelled = key if _BARE_KEY.fullmatch(key) else quote(key)
        return ConfigurationError(f"{quote(self.path)[1:-1]}: {self.name}.{spelled}", value, remedy, _written(value))

    def require_known(self, known: Iterable[str]) -> None:
        """Refuse keys that nobody reads.

        Args:
            known: The keys that are read.

        Raises:
            ConfigurationError: There is another key; the text suggests the nearest, or lists all.
        """
        keys = tuple(known)
        for key, value in self.values.items():
            if key not in keys:
                hint = suggest(key.lower().replace("_", "-"), keys) or f"; the keys are {', '.join(keys)}"
                raise self.error(key, value, f"there is no such key{hint}")

    def read(self, kinds: Mapping[str, Kind]) -> dict[str, Any]:
        """Check keys and types.

        Args:
            kinds: The keys that are read, and the type of each.

        Returns:
            The values under the names that Python uses: ``allow_origins`` for ``allow-origins``.

        Raises:
            ConfigurationError: A key is unknown or a value of the wrong type.
        """
        self.require_known(kinds)
        for key, value in self.values.items():
            kind = kinds[key]
            if not kind.admits(value):
                raise self.error(key, value, f"write {kind.name}, such as {key} = {kind.example}")
        return {key.replace("-", "_"): value for key, value in self.values.items()}

    def table(self, key: str) -> Table | None:
        """Return a table in this one.

        Args:
            key: Its key.

        Returns:
            The table, or None if there is none.

        Raises:
            ConfigurationError: It is not a table, or it is there in snake case.
        """
        name, snake = f"{self.name}.{key}", key.replace("-", "_")
        if key not in self.values:
            if snake in self.values:
                raise self.error(snake, self.values[snake], f"write [{name}]")
            return None
        value = self.values[key]
        if not isinstance(value, dict):
            raise self.error(key, value, f"write a table, [{name}]")
        return Table(path=self.path, name=name, values=value)


def _written(value: object) -> str | None:
    """Return a value as a file has it where Python writes it otherwise."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, date | time) else None


def load_section(path: str | Path) -> Table:
    """Read ``[tool.asgi-upgrade]`` with all its tables.

    Args:
        path: The file.

    Returns:
        The table; an empty one if the file has none.

    Raises:
        ConfigurationError: The file cannot be read, is not TOML, or has a table there that is not one of TABLES.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError("path", name, f"cannot be read ({error.strerror}); name a pyproject.toml") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or nested beyond any sense
        raise ConfigurationError("path", name, f"is not valid TOML: {quote(error)}") from error
    if not isinstance(document.get("tool", {}), dict):
        raise ConfigurationError("path", name, f"tool is not a table; write [tool.{SECTION}.policy]")
    tools = Table(path=name, name="tool", values=document.get("tool", {}))
    section = tools.table(SECTION) or Table(path=name, name=f"tool.{SECTION}", values={})
    section.require_known(TABLES)
    return section


def load_policy(path: str | Path) -> UpgradePolicy:
    r"""Read the policy in ``[tool.asgi-upgrade.policy]``.

    The keys are the fields of UpgradePolicy in kebab case, and those of WebSocketOptions in its table ``websocket``,
    where ``ping-interval = false`` stands for None. ``compression`` is true, false, or a table with the fields of
    Deflate. What is left out has its default.

    Args:
        path: The pyproject.toml to read.

    Returns:
        The policy. ``dataclasses.replace`` adds what no file can hold, such as a ``check_origin`` function.

    Raises:
        ConfigurationError: The file cannot be read or is not TOML, the table is missing, a key is unknown (the text
            suggests the nearest), or a value cannot mean what was written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from asgi_upgrade.config import load_policy
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "pyproject.toml")
        ...     _ = path.write_text('[tool.asgi-upgrade.policy]\nsubprotocols = ["chat"]\n')
        ...     load_policy(path).subprotocols
        ('chat',)
    """
    section = load_section(path)
    table = section.table("policy")
    if table is None:
        raise ConfigurationError("path", section.path, f"has no table [{section.name}.policy]; add it")
    for key in table.values:
        # Before the nearest key is suggested: that of max-size would be max-head-size.
        if key.replace("_", "-") in WEBSOCKET_KEYS:
            raise table.error(key, table.values[key], f"write it in [{table.name}.websocket]")
    options = table.read(POLICY_KEYS)
    if options.get("check_origin", False) is not False:
        remedy = "write false; a function is given in Python: dataclasses.replace(load_policy(...), check_origin=...)"
        raise table.error("check-origin", options["check_origin"], remedy)
    websocket = table.table("websocket")
    if websocket is not None:
        options["websocket"] = _websocket_options(websocket)
    return _translated(table, lambda: UpgradePolicy.of(options))


def _websocket_options(table: Table) -> WebSocketOptions:
    options = table.read(WEBSOCKET_KEYS)
    for name in ("ping_interval", "ping_timeout"):
        if options.get(name) is False:
            options[name] = None
    if "compression" in options:
        options["compression"] = _compression(table, options["compression"])
    return _translated(table, lambda: WebSocketOptions(**options))


def _compression(websocket: Table, value: object) -> Deflate | None:
    if isinstance(value, bool):
        return Deflate() if value else None
    table = Table(path=websocket.path, name=f"{websocket.name}.compression", values=websocket.values["compression"])
    options = table.read(COMPRESSION_KEYS)
    return _translated(table, lambda: Deflate(**options))


def _translated(table: Table, make: Callable[[], T]) -> T:
    """Make an object; an error about one of its options becomes one about the key in the file."""
    try:
        return make()
    except ConfigurationError as error:
        key = error.option.replace("_", "-")
        otherwise = ", or false" if WEBSOCKET_KEYS.get(key) is NUMBER_OR_FALSE else ", or leave it out"
        remedy = error.remedy.replace(error.option, key).replace(OR_NONE, otherwise)
        raise table.error(key, error.value, remedy) from error
