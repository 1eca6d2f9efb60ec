"""Which way the arrows run: read from the import statements, so that nothing has to be imported to be checked."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import pytest

import asgi_upgrade

PACKAGE = Path(asgi_upgrade.__file__).parent
ROOT = "asgi_upgrade"

FLOORS: tuple[Set[str], ...] = (
    {"types", "errors", "throttle", "signals", "parts"},
    {"rule", "headers", "stream", "options"},
    {"rules_request", "rules_response", "rules_websocket", "rules_connection", "extension"},
    {"rules_wire"},
    {"exchange"},
    {"rules", "deflate"},
    {"paths", "origin", "guard", "limits"},
    {"forwarded"},
    {"policy", "frames", "keepalive", "verdict"},
    {"view", "config", "decision", "routes"},
    {"admission"},
    {"opening"},
    {"handshake"},
    {"rejection", "scopes", "content", "outside", "capacity"},
    {"denial", "request", "journal"},
    {"bridge", "protocols", "gate"},
    {"websocket"},
    {"responder"},
    {"native"},
    {"middleware"},
    {"__init__"},
    {"check"},
    {"cli", "pytest_plugin"},
    {"__main__"},
)
"""From the ground up; a room imports from lower floors only. Some rooms are not built yet."""

SERVERS = {"uvicorn", "testing"}
"""Server sides of the contract, beside the house: they know neither the grammar nor the middleware."""

SERVER_STANDS_ON = {"stream", "extension", "exchange", "types", "errors"}

MAY_SERVE = {"check", "cli", "pytest_plugin", "__main__"}
"""Rooms that may start a server."""

SPLIT_ROOMS = {"frames_": "frames", "cli_": "cli"}
"""Rooms of several modules, by the prefix of their names; within a room imports run freely."""

PURE = {
    *("types", "errors", "limits", "options", "parts", "headers", "deflate"),
    *("rule", "rules", "rules_request", "rules_response", "rules_websocket", "rules_connection", "rules_wire"),
    *("origin", "forwarded", "paths", "guard", "policy", "verdict"),
    *("routes", "decision", "throttle", "view", "admission", "opening", "handshake", "rejection"),
}

IMPURE = {
    *("asyncio", "concurrent", "contextvars", "logging", "multiprocessing", "os", "pathlib", "queue", "random"),
    *("secrets", "select", "selectors", "signal", "socket", "ssl", "subprocess", "sys", "threading", "time"),
}


def room(module: str) -> str:
    """Return the room a module belongs to: ``check`` for ``check.probes``, ``frames`` for its engines, and so on."""
    first = module.partition(".")[0]
    return next((name for prefix, name in SPLIT_ROOMS.items() if first.startswith(prefix)), first)


def module_names() -> dict[str, Path]:
    paths = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name if name == "__init__" else name.removesuffix(".__init__"): path for name, path in paths.items()}


MODULES = module_names()


def imports_in(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted name of everything a module imports, wherever in it the statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{source}.{alias.name}".removeprefix(f"{ROOT}.")
                yield f"{source}.{alias.name}" if source.startswith(ROOT) and inner in MODULES else source


def own_rooms(imported: Set[str]) -> set[str]:
    """Return the rooms of this package among dotted names."""
    own = {name for name in imported if name == ROOT or name.startswith(f"{ROOT}.")}
    return {room(name.removeprefix(ROOT).removeprefix(".") or "__init__") for name in own}


def foreign(imported: Set[str]) -> set[str]:
    """Return the top-level names of what is not of this package."""
    return {name.partition(".")[0] for name in imported} - {ROOT}


IMPORTS: Mapping[str, set[str]] = {
    name: set(imports_in(ast.parse(path.read_text(encoding="utf-8")))) for name, path in MODULES.items()
}


def floor_of(name: str) -> int | None:
    return next((floor for floor, rooms in enumerate(FLOORS) if name in rooms), None)


def is_wrong(source: str, target: str) -> bool:
    """Tell whether one room may not import from another."""
    if source == target:
        return False
    if source in SERVERS:
        return target not in SERVER_STANDS_ON
    if target in SERVERS:
        return source not in MAY_SERVE
    below, here = floor_of(target), floor_of(source)
    return below is None or here is None or below >= here


# The check itself


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("check.probes", "check"),
        ("uvicorn.base", "uvicorn"),
        ("frames_wsproto", "frames"),
        ("cli_check", "cli"),
        ("rules_request",) * 2,
    ],
)
def test_a_module_belongs_to_one_room(module: str, name: str) -> None:
    assert room(module) == name


@pytest.mark.parametrize(
    ("source", "target", "wrong"),
    [
        pytest.param("handshake", "policy", False, id="down"),
        pytest.param("middleware", "types", False, id="far-down"),
        pytest.param("check", "check", False, id="within-a-room"),
        pytest.param("uvicorn", "stream", False, id="server-on-the-contract"),
        pytest.param("check", "uvicorn", False, id="check-serves"),
        pytest.param("policy", "handshake", True, id="up"),
        pytest.param("errors", "types", True, id="sideways"),
        pytest.param("headers", "__init__", True, id="on-the-public-names"),
        pytest.param("uvicorn", "headers", True, id="server-on-the-grammar"),
        pytest.param("uvicorn", "testing", True, id="server-on-server"),
        pytest.param("middleware", "uvicorn", True, id="on-a-server"),
        pytest.param("middleware", "check", True, id="on-the-checker"),
        pytest.param("middleware", "elsewhere", True, id="on-a-room-without-floor"),
        pytest.param("elsewhere", "types", True, id="from-a-room-without-floor"),
    ],
)
def test_a_wrong_arrow_is_seen(source: str, target: str, wrong: bool) -> None:
    assert is_wrong(source, target) is wrong


def test_every_way_to_import_is_seen() -> None:
    text = """
import asyncio, os.path
import asgi_upgrade.origin
from asgi_upgrade import headers, evaluate
from asgi_upgrade.types import Scope
from . import paths
if TYPE_CHECKING:
    from uvicorn.config import Config
def lazily():
    import wsproto
"""
    imported = set(imports_in(ast.parse(text)))
    assert own_rooms(imported) == {"origin", "headers", "__init__", "types"}
    assert foreign(imported) == {"asyncio", "os", "uvicorn", "wsproto", ""}


# The package


def test_every_room_has_one_floor() -> None:
    rooms = [name for floor in FLOORS for name in floor]
    assert len(rooms) == len(set(rooms))
    assert {room(name) for name in MODULES} - set(rooms) - SERVERS == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_come_from_lower_floors(module: str) -> None:
    targets = own_rooms(IMPORTS[module])
    assert {target for target in targets if is_wrong(room(module), target)} == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_are_absolute(module: str) -> None:
    assert [name for name in IMPORTS[module] if name.startswith(".")] == []


@pytest.mark.parametrize("module", sorted(PURE))
def test_the_pure_half_has_no_input_output_and_no_third_party(module: str) -> None:
    names = foreign(IMPORTS[module])
    assert names - sys.stdlib_module_names == set()
    assert names & IMPURE == set()
    assert own_rooms(IMPORTS[module]) <= PURE


# Importing the package


def run_isolated(*options: str, code: str) -> dict[str, list[str]]:
    """Run code in another interpreter that finds this package; return what it prints as JSON."""
    head = f"import json, sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
    command = [sys.executable, "-I", *options, "-W", "error", "-c", head + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, list[str]] = json.loads(done.stdout)
    return result


def test_the_package_can_be_imported_where_nothing_else_is_installed() -> None:
    code = """
from importlib.util import find_spec
third_parties = ["wsproto", "uvicorn", "httpx", "h11", "starlette"]
from asgi_upgrade import *
import asgi_upgrade, asgi_upgrade.config
public = [name for name in asgi_upgrade.__all__ if name not in globals()]
print(json.dumps({"found": [name for name in third_parties if find_spec(name)], "missing": public}))
"""
    # -S leaves out site-packages, and with it every distribution but the standard library.
    assert run_isolated("-S", code=code) == {"found": [], "missing": []}


def test_importing_the_package_loads_no_third_party() -> None:
    code = """
before = set(sys.modules)
import asgi_upgrade
roots = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps({"roots": sorted(roots - sys.stdlib_module_names)}))
"""
    assert run_isolated(code=code) == {"roots": [ROOT]}
