"""The seam between a run and its reports: a name stands for a function from report and view to text.

A renderer is pure: what it says depends on its two arguments only, and it decides nothing. The exit code is the
report's own, whatever it is rendered as.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from asgi_upgrade.check.reports import concise, github, html, json, junit, markdown, sarif, text
from asgi_upgrade.check.reports.view import View
from asgi_upgrade.check.result import Report

Renderer: TypeAlias = Callable[[Report, View], str]

RENDERERS: Mapping[str, Renderer] = {
    "text": text.render,
    "concise": concise.render,
    "json": json.render,
    "junit": junit.render,
    "sarif": sarif.render,
    "github": github.render,
    "markdown": markdown.render,
    "html": html.render,
}
"""Every format by its name."""

LINES = frozenset({"text", "concise", "github"})
"""Formats of lines, which can share the standard output; every other is a document of its own."""
