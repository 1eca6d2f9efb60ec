"""Where findings are pinned to: files are parsed, never imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgi_upgrade.check.result import Location
from asgi_upgrade.check.targets.location import locate_app, locate_key, locate_table, parse_source, relative


@pytest.mark.parametrize(
    ("text", "attribute", "line", "columns"),
    [
        pytest.param("import os\n\napp = Starlette()\n", "app", 3, (1, 4), id="assignment"),
        pytest.param("app: ASGIApp = make()\n", "app", 1, (1, 4), id="annotated"),
        pytest.param("a = app = make()\n", "app", 1, (5, 8), id="chained"),
        pytest.param("é, app = make()\n", "app", 1, (4, 7), id="tuple-behind-wide-character"),
        pytest.param("x = 1\nif x:\n    app = 1\nelse:\n    app = 2\n", "app", 3, (5, 8), id="branch"),
        pytest.param("try:\n    pass\nfinally:\n    app = 1\n", "app", 4, (5, 8), id="try"),
        pytest.param("with a as app:\n    pass\n", "app", 1, (11, 14), id="with"),
        pytest.param("async def app(s, r, d):\n    pass\n", "app", 1, (1, 24), id="function"),
        pytest.param("@wrap\nclass App:\n    app = 1\n", "App", 2, (1, 11), id="class"),
        pytest.param("def make():\n    app = 1\n", "make", 1, (1, 12), id="factory"),
        pytest.param("from shop import application as app\n", "app", 1, (18, 36), id="import-as"),
        pytest.param("from shop import app\n", "app", 1, (18, 21), id="import"),
        pytest.param("app = api.app\n", "app.asgi", 1, (1, 4), id="dotted"),
        pytest.param("f = lambda: (app := 1)\nprint(app)\napp = 1\n", "app", 3, (1, 4), id="not-a-use"),
        pytest.param("def f():\n    app = 1\n", "app", 1, (1, 2), id="local-is-none"),
        pytest.param("app = (\n", "app", 1, (1, 2), id="not-python"),
        pytest.param("globals()['app'] = 1\n", "app", 1, (1, 2), id="not-seen"),
    ],
)
def test_the_definition_is_found(
    tmp_path: Path, text: str, attribute: str, line: int, columns: tuple[int, int]
) -> None:
    (tmp_path / "main.py").write_text(text, encoding="utf-8")
    found = locate_app(f"main:{attribute}", [tmp_path], tmp_path)
    assert found == Location(file="main.py", line=line, column=columns[0], end_line=line, end_column=columns[1])


def test_packages_are_looked_into_and_paths_are_of_the_root(tmp_path: Path) -> None:
    package = tmp_path / "src" / "shop" / "web"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("\n\napp = 1\n")
    found = locate_app("shop.web:app", [tmp_path / "elsewhere", tmp_path / "src"], tmp_path)
    assert found == Location(file="src/shop/web/__init__.py", line=3, end_line=3, end_column=4)


@pytest.mark.parametrize("target", ["missing:app", "http://127.0.0.1/", "../main:app", ":app", "Starlette"])
def test_what_is_no_module_has_no_place(tmp_path: Path, target: str) -> None:
    assert locate_app(target, [tmp_path], tmp_path) is None


def test_a_table_is_found_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\n\n  [tool.asgi-upgrade.check]\napp = 1\n[tool.asgi-upgrade.ignore]\n")
    assert locate_table(path, "tool.asgi-upgrade", tmp_path) == Location(
        file="pyproject.toml", line=3, end_line=3, end_column=28
    )
    assert locate_table(path, "tool.asgi-upgrade.ignore", tmp_path).line == 5
    assert locate_table(path, "tool.other", tmp_path).line == 1
    assert locate_table(tmp_path / "missing.toml", "tool", tmp_path) == Location(file="missing.toml")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('ws-body = { reason = "x" }', "ws-body"),
        ('  ws-body={ reason = "x" }', "ws-body"),
        ("ws-body.reason = 1", "ws-body"),
        ('"ws-body[a.b]" = 1', "ws-body[a.b]"),
        ("'ws-body[a]' = 1", "ws-body[a]"),
        ("[tool.asgi-upgrade.ignore.ws-body]", "ws-body"),
        ('[ tool.asgi-upgrade.ignore . "ws-body[a]" ]', "ws-body[a]"),
    ],
)
def test_a_key_is_found_by_its_line(tmp_path: Path, line: str, key: str) -> None:
    path = tmp_path / "pyproject.toml"
    before = f"{line.removeprefix('[')}\n[tool.asgi-upgrade.ignore]\nws-body-other = 1\n# {line}\n"
    path.write_text(f"{before}{line}\n")
    found = locate_key(path, "tool.asgi-upgrade.ignore", key, tmp_path)
    assert found == Location(file="pyproject.toml", line=5, end_line=5, end_column=len(line) + 1)
    path.write_text(before)
    assert locate_key(path, "tool.asgi-upgrade.ignore", key, tmp_path).line == 2, "not seen: the table"
    missing = locate_key(tmp_path / "missing.toml", "tool.asgi-upgrade.ignore", key, tmp_path)
    assert missing == Location(file="missing.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b.py:12", Location(file="a/b.py", line=12, end_line=12)),
        ("a/b.py", Location(file="a/b.py")),
        ("a:b.py", Location(file="a:b.py")),
        ("a.py:0", Location(file="a.py:0")),
        (":12", Location(file=":12")),
    ],
)
def test_a_source_is_a_path_and_perhaps_a_line(text: str, expected: Location) -> None:
    assert parse_source(text) == expected


def test_a_path_outside_of_the_root_stays_as_it_is(tmp_path: Path) -> None:
    assert relative(Path("/elsewhere/a.py"), tmp_path) == "/elsewhere/a.py"
