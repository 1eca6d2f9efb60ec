"""The formats of reports by name, and where reports go: the standard output, files, and the step summary of a CI."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from asgi_upgrade.check.reports import concise, github, gitlab, html, json, junit, markdown, sarif, text
from asgi_upgrade.check.reports.layout import UNWATCHED, Layout
from asgi_upgrade.check.result import Report
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.text import suggest

Renderer: TypeAlias = Callable[[Report, Layout], str]

RENDERERS: Mapping[str, Renderer] = {
    "text": text.render,
    "concise": concise.render,
    "json": json.render,
    "junit": junit.render,
    "sarif": sarif.render,
    "github": github.render,
    "gitlab": gitlab.render,
    "markdown": markdown.render,
    "html": html.render,
}
"""Every format by its name."""

LINES = frozenset({"text", "concise", "github"})
"""Formats of lines, which can share the standard output; every other is a document of its own."""


SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file for a step's summary."""

SUMMARY_LIMIT = 1 << 20
"""How much GitHub takes of it, in octets; a longer one is not shown at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """One report.

    Args:
        format: One of RENDERERS.
        path: The file it is written to; None is the standard output.
    """

    format: str
    path: Path | None = None


def parse_outlets(texts: Iterable[str]) -> tuple[Outlet, ...]:
    """Read ``FORMAT[=PATH]``, as often as it is given; ``-`` is the standard output.

    Args:
        texts: What the user gave.

    Returns:
        The reports; text on the standard output among them if nothing else goes there.

    Raises:
        ConfigurationError: A format is unknown, a path empty or named twice, or two documents would be mixed.
    """
    outlets = [_parse(text) for text in texts]
    paths = [outlet.path for outlet in outlets if outlet.path is not None]
    for path in paths:
        if paths.count(path) > 1:
            raise ConfigurationError("report", path, "two reports cannot go to one file")
    shown = [outlet.format for outlet in outlets if outlet.path is None]
    if len(shown) > 1 and not LINES.issuperset(shown):
        raise ConfigurationError("report", ", ".join(shown), "write one of them to a file: FORMAT=PATH")
    return tuple(outlets) if shown else (Outlet(format="text"), *outlets)


def _parse(text: str) -> Outlet:
    name, equals, path = text.partition("=")
    if name not in RENDERERS:
        raise ConfigurationError("report", name, f"the formats are {', '.join(RENDERERS)}{suggest(name, RENDERERS)}")
    if equals and not path:
        raise ConfigurationError("report", text, f"name a file: {name}=PATH")
    return Outlet(format=name, path=Path(path) if path not in ("", "-") else None)


def write_reports(
    report: Report,
    outlets: Sequence[Outlet],
    layout: Layout,
    *,
    echo: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Write every report; those in files have no colours and long lines.

    Args:
        report: What came of the run.
        outlets: Where it goes.
        layout: How it is to look on the standard output.
        echo: Writes to the standard output.
        environ: The environment, for the step summary.

    Raises:
        ConfigurationError: A file cannot be written; the other reports are.
    """
    failed: ConfigurationError | None = None
    for outlet in outlets:
        if outlet.path is None:
            echo(RENDERERS[outlet.format](report, layout))
            continue
        try:
            _write(outlet.path, RENDERERS[outlet.format](report, replace(layout, color=False, width=UNWATCHED)))
        except OSError as error:
            failed = ConfigurationError("report", outlet.path, f"cannot be written ({error.strerror or error})")
    if any(outlet.format == "github" for outlet in outlets) and (summary := environ.get(SUMMARY)):
        try:
            _append(Path(summary), RENDERERS["markdown"](report, layout))
        except OSError as error:
            failed = ConfigurationError(SUMMARY, summary, f"cannot be written ({error.strerror or error})")
    if failed is not None:
        raise failed


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _append(path: Path, text: str) -> None:
    data = text.encode()
    if len(data) > SUMMARY_LIMIT:
        # Cut at a line, so that no character and no escape is cut in two; a fence or tag left open ends with the file.
        data = data[:SUMMARY_LIMIT].rpartition(b"\n")[0] + b"\n"
    with path.open("ab") as file:
        file.write(data)
