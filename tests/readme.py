"""The generated part of the README; ``python -m tests.readme`` writes it."""

from __future__ import annotations

from pathlib import Path

from asgi_upgrade.rules import RULES, Reaction, Rule

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- rules -->\n", "<!-- /rules -->\n"

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
    """Return the README with its generated part made anew."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{table()}{END}{after}"


if __name__ == "__main__":
    README.write_text(fresh(README.read_text()))
