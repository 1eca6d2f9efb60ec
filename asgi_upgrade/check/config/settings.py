"""What a project's pyproject.toml says of a check: the tables ``check``, ``policy`` and ``ignore``.

It knows how options are spelled in a file; what they mean is validated where they are defined.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asgi_upgrade.check.config.ignores import IgnoreEntry, read_ignores
from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.reports.outlet import Outlet, parse_outlets
from asgi_upgrade.check.result import FAIL_ON, FailOn
from asgi_upgrade.config import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    SECTION,
    STRING,
    STRINGS,
    TABLE,
    Kind,
    Table,
    load_policy,
    load_section,
)
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.checks import check_choice

FILE = "pyproject.toml"

OPTION_KEYS: Mapping[str, Kind] = {
    "server": STRING,
    "server-options": TABLE,
    "factory": BOOLEAN,
    "ws-paths": STRINGS,
    "http-paths": STRINGS,
    "origin": STRING,
    "subprotocols": STRINGS,
    "timeout": NUMBER,
    "wait": NUMBER,
    "jobs": INTEGER,
    "select": STRINGS,
    "ignore": STRINGS,
    "allow-hosts": STRINGS,
}
"""The fields of CheckOptions that a file can set, as it spells them; headers are secrets, and no file is the place."""

RUN_KEYS: Mapping[str, Kind] = {"app": STRING, "fail-on": STRING, "report": STRINGS, "source": STRING}
"""What is not of a check but of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a file says.

    Args:
        path: The file; None if there is none.
        options: Fields of CheckOptions that it sets.
        app: What is checked if no target is named.
        fail_on: The lowest level that fails a run.
        report: Reports to be written, as the command line has them.
        source: Where findings are pinned to.
        policy: The policy, if the file has one.
        ignores: What is ignored.
    """

    path: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    app: str | None = None
    fail_on: FailOn | None = None
    report: tuple[str, ...] = ()
    source: str | None = None
    policy: UpgradePolicy | None = None
    ignores: tuple[IgnoreEntry, ...] = ()

    def outlets(self) -> tuple[Outlet, ...]:
        """Return the reports to be written: those in files, beside this file or where it says from there."""
        folder = Path() if self.path is None else self.path.parent
        return tuple(replace(each, path=each.path and folder / each.path) for each in parse_outlets(self.report))

    def keep_within(self) -> None:
        """Refuse reports outside of this file's folder: who checks a URL need not know whose file was found there.

        Raises:
            ConfigurationError: There is one.
        """
        for outlet in self.outlets():
            if outlet.path and self.path and not outlet.path.resolve().is_relative_to(self.path.parent.resolve()):
                remedy = f"it is outside of the folder of {self.path}, which was found and not named; add --config"
                raise ConfigurationError("report", outlet.path, remedy)


def find_settings(folder: Path) -> Path | None:
    """Return the nearest pyproject.toml, from a folder upwards, that has a table ``[tool.asgi-upgrade]``.

    Args:
        folder: Where to begin.

    Returns:
        Its path. One that is not TOML is returned too, so that whoever reads it says what is wrong.
    """
    for place in (folder, *folder.parents):
        path = place / FILE
        if path.is_file() and _is_ours(path):
            return path
    return None


def _is_ours(path: Path) -> bool:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True
    tools = document.get("tool")
    return isinstance(tools, dict) and SECTION in tools


def load_settings(path: Path) -> Settings:
    """Read the settings in a file.

    Args:
        path: The pyproject.toml.

    Returns:
        The settings; what is left out has its default.

    Raises:
        ConfigurationError: The file cannot be read or is not TOML, a table or key is unknown (the text suggests the
            nearest), or a value cannot mean what was written.
    """
    section = load_section(path)
    ignores = section.table("ignore")
    policy = load_policy(path) if section.table("policy") is not None else None
    table = section.table("check")
    values = {} if table is None else table.read({**RUN_KEYS, **OPTION_KEYS})
    if table is not None:
        _check(table, values)
    # No path at all is a statement: no upgrade is meant anywhere.
    http_only = {"http_only": True} if values.get("ws_paths") == [] else {}
    run = {key.replace("-", "_") for key in RUN_KEYS}
    return Settings(
        path=path,
        options={**{key: _frozen(value) for key, value in values.items() if key not in run}, **http_only},
        app=values.get("app"),
        fail_on=values.get("fail_on"),
        report=tuple(values.get("report", ())),
        source=values.get("source"),
        policy=policy,
        ignores=() if ignores is None else read_ignores(ignores),
    )


def _check(table: Table, values: Mapping[str, Any]) -> None:
    """Validate here what the file says, so that the error names the file and the key."""
    names = {key.replace("-", "_") for key in OPTION_KEYS}
    try:
        if "fail_on" in values:
            check_choice("fail_on", values["fail_on"], FAIL_ON)
        parse_outlets(values.get("report", ()))
        CheckOptions(**{name: value for name, value in values.items() if name in names})
    except ConfigurationError as error:
        key = error.option.replace("_", "-")
        remedy = error.remedy if key == "report" else error.remedy.replace(error.option, key)
        raise table.error(key, error.value, remedy) from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
