"""The parts of the pages that are generated; ``python -m tests.support.readme`` writes them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.rules import RULES, Reaction, Rule

README = Path(__file__).parent.parent.parent / "README.md"
RULES_PAGE = Path(__file__).parent.parent / "rules" / "README.md"

WORDS = {
    "raise": "raises in the app",
    "repair": "repaired",
    "accept": "goes on",
    "ignore": "ignore",
}


def table() -> str:
    """Return the table of the rules that are decided here, in Markdown; those that are only checked are left out."""
    head = "| rule | what | strict | lenient | by | reference |\n|---|---|---|---|---|---|\n"
    return head + "".join(_row(rule) for rule in RULES.values() if rule.strict != "observe")


def _row(rule: Rule) -> str:
    by = ", ".join(rule.fixed_by)
    lenient = _word(rule.lenient) + (rule.lenient_where and f" where {rule.lenient_where}")
    return f"| `{rule.id}` | {rule.title} | {_word(rule.strict)} | {lenient} | {by} | {rule.reference} |\n"


def _word(reaction: Reaction) -> str:
    return WORDS[reaction] if isinstance(reaction, str) else str(reaction)


def options() -> str:
    """Return the table of the policy's options, in Markdown, with what their docstring says."""
    described = _described(UpgradePolicy)
    rows = [
        f"| `{option.name}` | `{_default(option)}` | {described[option.name]} |\n"
        for option in dataclasses.fields(UpgradePolicy)
        if option.init
    ]
    return "| option | default | what it does |\n|---|---|---|\n" + "".join(rows)


def _default(option: dataclasses.Field[Any]) -> str:
    if option.default_factory is not dataclasses.MISSING:
        return f"{type(option.default_factory()).__name__}()"
    return '"strict"' if option.name == "mode" else repr(option.default)


def _described(kind: type) -> dict[str, str]:
    """Read the arguments out of a docstring."""
    section = (inspect.getdoc(kind) or "").partition("Args:\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for line in section.splitlines():
        if match := re.match(r"    (\w+): (.*)", line):
            name, text = match.groups()
            found[name] = text
        else:
            found[name] += " " + line.strip()
    return {name: text.replace("``", "`").replace("|", "\\|") for name, text in found.items()}


def fresh() -> dict[Path, str]:
    """Return the pages with their generated parts made anew."""
    return {
        RULES_PAGE: replaced(RULES_PAGE.read_text(), "rules", table()),
        README: replaced(README.read_text(), "options", options()),
    }


def replaced(text: str, name: str, made: str) -> str:
    """Return a text with what stands between the markers of that name replaced."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    assert found, start
    assert closed, end
    return f"{before}{start}{made}{end}{after}"


if __name__ == "__main__":
    for page, text in fresh().items():
        page.write_text(text)
