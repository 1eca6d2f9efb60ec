"""Where findings are pinned to: the line that defines an app, or the line of a table in a pyproject.toml.

Files are read and parsed, never imported. Paths are written as a repository has them: relative to its root, with
slashes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from asgi_upgrade.check.result import Location


def locate_app(target: str, folders: Iterable[Path], root: Path) -> Location | None:
    """Find where the attribute of an import string is defined.

    Args:
        target: ``module:attr``.
        folders: Where modules are looked for, in order.
        root: The root of the repository.

    Returns:
        The name that is defined, or the first line of the module if that is not seen; None if there is no such file.
    """
    module, _, attribute = target.partition(":")
    parts, name = module.split("."), attribute.partition(".")[0]
    if not all(part.isidentifier() for part in (*parts, name)):  # a URL, or the name of an object
        return None
    for folder in folders:
        base = folder.joinpath(*parts)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return _definition(path, name, relative(path, root))
    return None


def _definition(path: Path, name: str, shown: str) -> Location:
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError, RecursionError):
        return Location(file=shown)
    found = next((node for node in _definitions(tree) if _named(node) == name), None)
    if found is None:
        return Location(file=shown)
    # Columns of ast count octets; those of a report, characters.
    line = text.splitlines()[found.lineno - 1].encode()
    start = len(line[: found.col_offset].decode(errors="replace")) + 1
    length = len(name) if isinstance(found, ast.Name) else len(line[found.col_offset :].decode(errors="replace"))
    return Location(
        file=shown, line=found.lineno, column=start, end_line=found.lineno, end_column=start + max(1, length)
    )


def _definitions(
    tree: ast.Module,
) -> Iterator[ast.Name | ast.alias | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield what gives a name a value at the level of the module, within ``if``, ``try`` and ``with`` too."""
    pending: list[ast.AST] = list(reversed(tree.body))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.alias):
            yield node
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                yield node
        elif not isinstance(node, ast.Lambda):
            pending.extend(reversed(list(ast.iter_child_nodes(node))))


def _named(node: ast.Name | ast.alias | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.asname or node.name if isinstance(node, ast.alias) else node.name


def locate_table(path: Path, prefix: str, root: Path) -> Location:
    """Find the first table of a TOML file whose name begins with a prefix; its first line if there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    for number, line in enumerate(lines, 1):
        if line.strip().startswith(f"[{prefix}"):
            return Location(file=relative(path, root), line=number, end_line=number, end_column=len(line) + 1)
    return Location(file=relative(path, root))


def locate_key(path: Path, table: str, key: str, root: Path) -> Location:
    """Find a key of a table of a TOML file, or the table of that name within it; the table itself if it is not seen.

    Args:
        path: The file.
        table: The table's whole name.
        key: The key; it may stand in quotes.
        root: The root of the repository.

    Returns:
        Its line.
    """
    name = rf"(?:{re.escape(key)}|\"{re.escape(key)}\"|'{re.escape(key)}')"
    own = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\.\s*{name}\s*\]|\s*{name}\s*[.=]")
    header = locate_table(path, table, root)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return header
    for number, line in enumerate(lines[header.line - 1 :], header.line):
        if own.match(line):
            return Location(file=header.file, line=number, end_line=number, end_column=len(line) + 1)
    return header


def parse_source(text: str) -> Location:
    """Read ``PATH[:LINE]``."""
    path, colon, line = text.rpartition(":")
    if colon and path and line.isascii() and line.isdecimal() and int(line) > 0:
        return Location(file=Path(path).as_posix(), line=int(line), end_line=int(line))
    return Location(file=Path(text).as_posix())


def relative(path: Path, root: Path) -> str:
    """Return a path as a repository has it; as it is, if it is not within the root."""
    resolved, base = path.resolve(), root.resolve()
    return resolved.relative_to(base).as_posix() if resolved.is_relative_to(base) else path.as_posix()
