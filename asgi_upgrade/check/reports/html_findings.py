"""The findings of the page, each with what was sent and received, and what else is to be said about a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from asgi_upgrade.check.reports.html_node import node
from asgi_upgrade.check.reports.wording import (
    PROBLEM,
    Finding,
    findings,
    fix,
    lines,
    not_exercised,
    place,
    reproduction,
    sentence,
    why,
)
from asgi_upgrade.check.result import Exchange, Report

MOST_UNFOLDED = 12
"""With more findings than these the page is a list to choose from, and each unfolds when it is asked for."""


def anchors(report: Report) -> dict[tuple[int, str], str]:
    """Return where each failed cell leads: to the first finding on its target and rule."""
    links: dict[tuple[int, str], str] = {}
    numbers = {id(target): number for number, target in enumerate(report.targets)}
    for index, finding in enumerate(findings(report), 1):
        links.setdefault((numbers[id(finding.target)], finding.result.rule.id), f"finding-{index}")
    return links


def articles(report: Report, known: Sequence[Finding]) -> Iterator[Element]:
    """Yield an article for each finding, in the order of ``anchors``."""
    for index, finding in enumerate(known, 1):
        yield _article(
            finding, f"finding-{index}", several=len(report.targets) > 1, unfolded=len(known) <= MOST_UNFOLDED
        )


def _article(finding: Finding, anchor: str, *, several: bool, unfolded: bool) -> Element:
    result, rule = finding.result, finding.result.rule
    problem = PROBLEM[rule.level]
    heads = node(
        "div",
        node("span", f"{problem}, {rule.level}", class_=f"badge {problem}"),
        node("code", result.probe),
        *(node("code", path, class_="soft") for path in finding.paths if path),
        class_="heads",
    )
    facts = [("expected", sentence(result.expected)), ("why", why(rule)), ("fix", fix(rule))]
    if several or finding.target.location:
        facts.append(("where", place(finding.target)))
    terms = [item for name, text in facts for item in (node("dt", name), node("dd", text))]
    return node(
        "article",
        heads,
        node("h3", sentence(result.message)),
        node(
            "details",
            node("summary", "Sent, received, why and fix"),
            *(_wire(exchange) for exchange in result.exchanges),
            node("dl", *terms),
            _again(finding),
            open="" if unfolded else None,
        ),
        class_=f"card finding is-{problem}",
        id=anchor,
    )


def _wire(exchange: Exchange) -> Element:
    return node("div", _octets("sent", exchange.sent), _octets("received", exchange.received), class_="wire")


def _octets(name: str, data: bytes) -> Element:
    shown = lines(data)
    if not shown:
        return node("section", node("h4", name), node("pre", "nothing"))
    first, *rest = shown
    pre = node("pre", node("b", first))
    # Line ends are ours, so they are put in behind the texts, which are clean.
    pre[0].tail = "".join(f"\n{line}" for line in rest)
    return node("section", node("h4", name), pre)


def _again(finding: Finding) -> Element | None:
    commands = [command for each in finding.result.exchanges if (command := reproduction(finding.target, each))]
    if not commands:
        return None
    return node("details", node("summary", "Send it again"), *(node("pre", command) for command in commands))


def remainder(report: Report) -> Iterator[Element]:
    """Yield what else there is, each with its reason: what broke, what is ignored, and what was not exercised."""
    yield from _section("Could not be probed", list(_stated(report, "error")))
    yield from _section("Ignored", list(_stated(report, "ignored")))
    yield from _section("Not exercised", list(_skipped(report)))


def _section(title: str, items: list[Element]) -> Iterator[Element]:
    if items:
        yield node("h2", title)
        yield node("div", node("ul", *items, class_="plain"), class_="card")


def _stated(report: Report, verdict: str) -> Iterator[Element]:
    for target, result in report.results():
        if result.verdict == verdict:
            whose = f" ({target.name})" if len(report.targets) > 1 else ""
            path = f" {result.path}" if result.path else ""
            yield node("li", node("code", f"{result.probe}{path}"), f": {result.reason or result.message}{whose}")


def _skipped(report: Report) -> Iterator[Element]:
    for target in report.targets:
        whose = f" ({target.name})" if len(report.targets) > 1 else ""
        for reason, rules in not_exercised(target.results).items():
            codes = [item for rule in rules for item in (node("code", rule), ", ")][:-1]
            yield node("li", sentence(reason), f"{whose} ", *codes)
