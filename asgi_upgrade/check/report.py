"""The seam between a run and its reports: a name stands for a function from report and view to text.

A renderer is pure: what it says depends on its two arguments only, and it decides nothing. The exit code is the
report's own, whatever it is rendered as.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from asgi_upgrade.check import (
    report_concise,
    report_github,
    report_html,
    report_json,
    report_junit,
    report_markdown,
    report_sarif,
    report_text,
)
from asgi_upgrade.check.result import Report
from asgi_upgrade.check.view import View

Renderer: TypeAlias = Callable[[Report, View], str]

RENDERERS: Mapping[str, Renderer] = {
    "text": report_text.render,
    "concise": report_concise.render,
    "json": report_json.render,
    "junit": report_junit.render,
    "sarif": report_sarif.render,
    "github": report_github.render,
    "markdown": report_markdown.render,
    "html": report_html.render,
}
"""Every format by its name."""

LINES = frozenset({"text", "concise", "github"})
"""Formats of lines, which can share the standard output; every other is a document of its own."""
