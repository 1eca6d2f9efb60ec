"""The parts of the README that are generated; ``python -m tests.support.readme`` writes the table of rules."""

from __future__ import annotations

from pathlib import Path

from asgi_upgrade.rules import RULES, Reaction, Rule

README = Path(__file__).parent.parent.parent / "README.md"

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
    return f"| `{rule.id}` | {rule.title} | {_word(rule.strict)} | {_word(rule.lenient)} | {by} | {rule.reference} |\n"


def _word(reaction: Reaction) -> str:
    return WORDS[reaction] if isinstance(reaction, str) else str(reaction)


def fresh(text: str) -> str:
    """Return the README with its table of rules made anew."""
    return replaced(text, "rules", table())


def replaced(text: str, name: str, made: str) -> str:
    """Return a text with what stands between the markers of that name replaced."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    assert found, start
    assert closed, end
    return f"{before}{start}{made}{end}{after}"


if __name__ == "__main__":
    README.write_text(fresh(README.read_text()))
