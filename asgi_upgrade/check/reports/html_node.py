"""HTML as a tree, so that escaping is the serialiser's work and cannot be forgotten in any one place."""

from __future__ import annotations

from typing import TypeAlias
from xml.etree import ElementTree as ET

from asgi_upgrade.check.reports.wording import clean

Child: TypeAlias = "ET.Element | str | None"


def node(tag: str, *children: Child, **attributes: str | None) -> ET.Element:
    """Make an element.

    Args:
        tag: Its name.
        *children: Elements and texts, in order; None stands for nothing.
        **attributes: Its attributes; a trailing underscore is dropped, and an inner one is a hyphen. One that is None
            is left out.

    Returns:
        The element.
    """
    named = {key.rstrip("_").replace("_", "-"): clean(value) for key, value in attributes.items() if value is not None}
    element = ET.Element(tag, named)
    last: ET.Element | None = None
    for child in children:
        if isinstance(child, str):
            text = clean(child)
            if last is None:
                element.text = (element.text or "") + text
            else:
                last.tail = (last.tail or "") + text
        elif child is not None:
            element.append(child)
            last = child
    return element


def page(head: ET.Element, body: ET.Element) -> str:
    """Return the document."""
    html = node("html", head, body, lang="en")
    return "<!doctype html>\n" + ET.tostring(html, encoding="unicode", method="html") + "\n"


def style(css: str) -> ET.Element:
    """Return a style element; the text is the package's own and stands as it is."""
    element = ET.Element("style")
    element.text = css
    return element
