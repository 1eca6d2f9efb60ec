"""Which way the arrows run: the table of rooms, read against the import statements, so that nothing is imported."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Set
from functools import cache
from pathlib import Path

import pytest

import asgi_upgrade
from tests.support.processes import untraced

PACKAGE = Path(asgi_upgrade.__file__).parent
ROOT = "asgi_upgrade"
NAMES = "__init__"
"""The package itself: public names, imported when they are first used."""

MAY_IMPORT: Mapping[str, Set[str]] = {
    # The ground: every room may import these three.
    "types": set(),
    "text": set(),
    "errors": {"text"},
    # The pure half.
    "grammar": set(),
    "rules": set(),
    "policy": {"grammar"},
    "handshake": {"policy", "rules", "grammar"},
    # What runs.
    "extension": set(),
    "websocket": {"extension", "handshake", "policy", "grammar"},
    "middleware": {"websocket", "handshake", "extension", "policy", "rules", "grammar"},
    "uvicorn": {"extension"},
    "testing": {"extension"},
    # The checker and its faces.
    "config": {"policy"},
    "check": {
        *("config", "middleware", "websocket", "handshake", "extension", "policy", "rules", "grammar"),
        *("uvicorn", "testing", NAMES),
    },
    "cli": {"check", "config", "rules", NAMES},
    "pytest_plugin": {"check", "config"},
    "__main__": {"cli"},
    NAMES: {"middleware", "handshake", "extension", "policy", "rules"},
}
"""The rooms, and what each may import beside itself and the ground: the table of DESIGN.md."""

GROUND = {"types", "text", "errors"}

PURE = {"types", "text", "errors", "grammar", "rules", "policy", "handshake"}

IMPURE = {
    *("asyncio", "concurrent", "contextvars", "logging", "multiprocessing", "os", "pathlib", "queue", "random"),
    *("secrets", "select", "selectors", "signal", "socket", "ssl", "subprocess", "sys", "threading", "time"),
}


def room(module: str) -> str:
    """Return the room a module belongs to: ``check`` for ``check.probes.accept``."""
    return module.partition(".")[0]


def module_names() -> dict[str, Path]:
    paths = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name if name == NAMES else name.removesuffix(f".{NAMES}"): path for name, path in paths.items()}


MODULES = module_names()


def imports_in(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted name of everything a module imports, wherever in it the statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{source}.{alias.name}".removeprefix(f"{ROOT}.")
                yield f"{source}.{alias.name}" if source.startswith(ROOT) and inner in MODULES else source


def loaded_by(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports, and the package too out of which it imports a module."""
    yield from imports_in(tree)
    yield from (node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module)


def own_modules(imported: Set[str]) -> set[str]:
    """Return the modules of this package among dotted names."""
    own = {name for name in imported if name == ROOT or name.startswith(f"{ROOT}.")}
    return {name.removeprefix(ROOT).removeprefix(".") or NAMES for name in own}


def foreign(imported: Set[str]) -> set[str]:
    """Return the top-level names of what is not of this package."""
    return {name.partition(".")[0] for name in imported} - {ROOT}


def without_type_checking(tree: ast.Module) -> ast.Module:
    """Leave out what only a type checker imports: it cannot make a circle when the package runs."""
    body = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))]
    return ast.Module(body, [])


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> Set[str]:
    return set(imports_in(tree(module)))


def at_run_time(module: str) -> set[str]:
    """Return the other modules of this package that a module imports when the package runs."""
    return own_modules(set(imports_in(without_type_checking(tree(module))))) - {module}


def is_wrong(source: str, target: str) -> bool:
    """Tell whether one room may not import from another."""
    allowed = MAY_IMPORT[source] if source in GROUND else MAY_IMPORT[source] | GROUND
    return source != target and target not in allowed


def circles(arrows: Mapping[str, Set[str]]) -> set[str]:
    """Return the files from which the arrows lead back to them."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for name in arrows.get(ahead.pop(), ()):
                if name not in seen:
                    seen.add(name)
                    ahead.append(name)
        return seen

    return {name for name in arrows if name in reached(name)}


# The check itself


@pytest.mark.parametrize(
    ("source", "target", "wrong"),
    [
        pytest.param("handshake", "policy", False, id="down"),
        pytest.param("middleware", "types", False, id="the-ground"),
        pytest.param("check", "check", False, id="within-a-room"),
        pytest.param("uvicorn", "extension", False, id="server-on-the-contract"),
        pytest.param("check", "uvicorn", False, id="check-serves"),
        pytest.param("errors", "text", False, id="within-the-ground"),
        pytest.param("policy", "handshake", True, id="up"),
        pytest.param("types", "errors", True, id="the-ground-on-the-ground"),
        pytest.param("grammar", NAMES, True, id="on-the-public-names"),
        pytest.param("uvicorn", "grammar", True, id="server-on-the-grammar"),
        pytest.param("uvicorn", "testing", True, id="server-on-server"),
        pytest.param("middleware", "uvicorn", True, id="on-a-server"),
        pytest.param("middleware", "check", True, id="on-the-checker"),
        pytest.param("middleware", "elsewhere", True, id="on-a-room-that-is-not-in-the-table"),
    ],
)
def test_a_wrong_arrow_is_seen(source: str, target: str, wrong: bool) -> None:
    assert is_wrong(source, target) is wrong


def test_a_circle_is_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == {"b", "c"}


def test_every_way_to_import_is_seen() -> None:
    text = """
import asyncio, os.path
import asgi_upgrade.policy.origins
from asgi_upgrade import websocket, evaluate
from asgi_upgrade.types import Scope
from . import paths
if TYPE_CHECKING:
    from uvicorn.config import Config
def lazily():
    import wsproto
"""
    imported = set(imports_in(ast.parse(text)))
    assert own_modules(imported) == {"policy.origins", "websocket", NAMES, "types"}
    assert foreign(imported) == {"asyncio", "os", "uvicorn", "wsproto", ""}
    assert foreign(set(imports_in(without_type_checking(ast.parse(text))))) == {"asyncio", "os", "wsproto", ""}


# The package


def test_the_table_has_every_room_and_no_other() -> None:
    assert {room(name) for name in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_room_imports_what_the_table_allows(module: str) -> None:
    targets = {room(name) for name in own_modules(imports(module))}
    assert {target for target in targets if is_wrong(room(module), target)} == set()


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles({name: at_run_time(name) for name in MODULES}) == set()


def test_only_the_checker_serves() -> None:
    """The checker imports a server to serve a target with it, nowhere else."""
    assert {name for name in MODULES if room(name) == "check" and at_run_time(name) & {"uvicorn", "testing"}} <= {
        "check.targets.serving",
        "check.doctor",
    }


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_are_absolute(module: str) -> None:
    assert [name for name in imports(module) if name.startswith(".")] == []


@pytest.mark.parametrize("module", sorted(name for name in MODULES if room(name) in PURE))
def test_the_pure_half_has_no_input_output_and_no_third_party(module: str) -> None:
    names = foreign(imports(module))
    assert names - sys.stdlib_module_names == set()
    assert names & IMPURE == set()


# Importing the package


def run_isolated(*options: str, code: str) -> dict[str, list[str]]:
    """Run code in another interpreter that finds this package; return what it prints as JSON."""
    head = f"import json, sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
    command = [sys.executable, "-I", *options, "-W", "error", "-c", head + code]
    done = subprocess.run(command, env=untraced(), capture_output=True, text=True, timeout=60, check=False)
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
