"""The commands that say what the rules are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from textwrap import wrap

import click

from asgi_upgrade.rules import Reaction, Rule
from asgi_upgrade.rules.checker import ALL_RULES
from asgi_upgrade.text import suggest

SCHEMA = 1
"""The version of the JSON listing."""

_INDENT = " " * 13
"""How far the text stands from the left behind the name of what it says."""

_WORDS = {
    "ignore": "ignores the Upgrade and serves the request",
    "accept": "goes on",
    "raise": "raises in the app",
    "repair": "repairs the response",
    "observe": "none of its own; the checker observes",
}


def listing(format_: str, select: Sequence[str] = ()) -> str:
    """Return the rules, in the order of the catalogue.

    Args:
        format_: How: as ``text``, ``json`` or ``markdown``.
        select: Which: rules, or globs of them; empty means all.

    Returns:
        Lines of text, or a document.

    Raises:
        click.BadParameter: No rule matches; the text suggests the nearest.
    """
    chosen = [rule for rule in ALL_RULES.values() if not select or any(fnmatchcase(rule.id, each) for each in select)]
    for each in select:
        if not any(fnmatchcase(rule.id, each) for rule in chosen):
            raise click.BadParameter(f"no rule matches {each!r}{suggest(each, ALL_RULES)}", param_hint="--select")
    if format_ == "json":
        import json  # noqa: PLC0415 - only this form needs it

        return json.dumps({"schema": SCHEMA, "rules": [asdict(rule) for rule in chosen]}, indent=2) + "\n"
    lines = _markdown(chosen) if format_ == "markdown" else _text(chosen)
    return "".join(f"{line}\n" for line in lines)


def _text(rules: Sequence[Rule]) -> Iterator[str]:
    width = max(len(rule.id) for rule in rules)
    for rule in rules:
        yield f"{rule.id:<{width}}  {rule.level:<6}  {rule.title} ({rule.reference})"


def _markdown(rules: Sequence[Rule]) -> Iterator[str]:
    yield "| rule | level | what | by | reference |"
    yield "|---|---|---|---|---|"
    for rule in rules:
        by = ", ".join(rule.fixed_by)
        yield f"| `{rule.id}` | {rule.level} | {rule.title} | {by} | {rule.reference} |"


def explanation(rule_id: str, width: int) -> str:
    """Return all there is to say on a rule.

    Args:
        rule_id: Its id, or the name of one of its probes, ``rule-id[variant]``.
        width: The columns that it is wrapped at.

    Returns:
        Lines of text.

    Raises:
        click.BadParameter: There is no such rule; the text suggests the nearest.
    """
    rule = ALL_RULES.get(rule_id.partition("[")[0])
    if rule is None:
        hint = suggest(rule_id, ALL_RULES) or "; asgi-upgrade rules lists them"
        raise click.BadParameter(f"there is no rule {rule_id!r}{hint}", param_hint="RULE")
    return "".join(f"{line}\n" for line in _wrapped(_explained(rule), width))


def _wrapped(lines: Iterable[str], width: int) -> Iterator[str]:
    """Break lines that are too long, the text of each below its beginning; names and values stay whole."""
    for line in lines:
        broken = wrap(line, width, subsequent_indent=_INDENT, break_on_hyphens=False, break_long_words=False)
        yield from broken or [""]


def _explained(rule: Rule) -> Iterator[str]:
    from asgi_upgrade.check.probes.catalogue import PROBES  # noqa: PLC0415 - slow, and only explanations need the probes
    from asgi_upgrade.check.reports.wording import fix  # noqa: PLC0415 - as above

    yield f"{rule.id}: {rule.title}"
    yield ""
    yield f"  level      {rule.level}"
    yield f"  reference  {rule.reference}"
    yield f"  why        {rule.why}"
    yield f"  fix        {fix(rule)}"
    if rule.fixed_by and rule.strict != "observe":
        yield f"  client     {rule.fix}"
    if rule.fixed_by:
        yield f"  by         {', '.join(rule.fixed_by)}"
        yield f"  strict     {_reaction(rule.strict)}"
        yield f"  lenient    {_reaction(rule.lenient)}" + (rule.lenient_where and f" where {rule.lenient_where}")
    for probe in PROBES:
        if probe.rule.id == rule.id:
            yield f"  probe      {probe.name}: {probe.title}; expected: {probe.expected}"


def _reaction(reaction: Reaction) -> str:
    return _WORDS[reaction] if isinstance(reaction, str) else f"rejects with {reaction}"
