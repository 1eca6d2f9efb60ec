"""The report as one page that needs nothing else: targets, every finding, and the matrix of rules and targets.

No script, no picture and no request: the policy in its head forbids them, whatever may have come over the wire. The
page is built as a tree of elements, so that escaping is the serialiser's work and cannot be forgotten in any one place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from asgi_upgrade.check.reports.html_style import STYLE
from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.wording import (
    PROBLEM,
    Finding,
    area,
    clean,
    counts,
    findings,
    fix,
    lines,
    not_exercised,
    place,
    remedies,
    reproduction,
    rules_of,
    sentence,
    why,
)
from asgi_upgrade.check.result import Report, Result, TargetReport, Transcript
from asgi_upgrade.rules import Rule

_AREAS = {"websocket": "WebSocket"}
"""Areas that are spelled in a way of their own."""

_CSP = "default-src 'none'; style-src 'unsafe-inline'"

_MARKS: Mapping[str, tuple[str, str]] = {
    "error": ("✗", "failed, a must or the policy"),
    "warning": ("!", "failed, a should"),
    "note": ("i", "differs, either is allowed"),
    "broken": ("?", "could not be probed"),
    "ignored": ("~", "ignored"),
    "pass": ("✓", "passed"),
    "none": ("–", "not exercised"),  # noqa: RUF001 - a dash is what is meant
}
"""What a cell can show, the worst first: its mark, and what it says to whoever does not see it."""


Cell: TypeAlias = tuple[int, str]
"""Where a verdict stands in the matrix: the number of the target and the id of the rule."""

Cells: TypeAlias = Mapping[Cell, Sequence[Result]]


def render(report: Report, layout: Layout) -> str:
    """Return the page."""
    word, kind = _outcome(report)
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=_CSP),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("title", f"{word}: asgi-upgrade check"),
        style(STYLE),
    )
    cells, known, links = _cells(report), findings(report), anchors(report)
    rules = [rule for rule in rules_of(report) if any(rule.id == judged for _, judged in cells)]
    about = f"{layout.now:%Y-%m-%d %H:%M} UTC, asgi-upgrade {layout.version}, fails on {report.fail_on}"
    header = node(
        "header",
        node("h1", "asgi-upgrade check ", node("span", word, class_=f"badge {kind}")),
        node("p", about, class_="soft"),
        _navigation(known, judged=bool(rules)),
    )
    main = node(
        "main",
        _targets(report, rules, cells, links),
        *_findings(report, known),
        *_matrix(report, rules, cells, links),
        *remainder(report),
    )
    footer = node(
        "footer", node("p", "Each rule is explained by ", node("code", "asgi-upgrade explain RULE"), ".", class_="soft")
    )
    return page(head, node("body", header, main, footer))


def _outcome(report: Report) -> tuple[str, str]:
    if report.interrupted:
        return "Interrupted", "warning"
    if any(target.problem is not None for target in report.targets):
        return "Could not be checked", "fail"
    return ("Failed", "fail") if report.exit_code else ("Passed", "pass")


def _targets(report: Report, rules: Sequence[Rule], cells: Cells, links: Mapping[Cell, str]) -> Element:
    cards: list[Element] = []
    for number, target in enumerate(report.targets):
        tiles = [_tile(rule, cells.get((number, rule.id), ()), links.get((number, rule.id))) for rule in rules]
        cards.append(_target(target, number + 1, tiles))
    return node("div", *cards, class_="targets")


def _target(target: TargetReport, number: int, tiles: Sequence[Element]) -> Element:
    title = node("h3", node("span", str(number), class_="number"), node("span", target.name))
    served = ", ".join(filter(None, (target.served_by, target.address, f"{target.duration:.1f} s")))
    about = node("p", served, class_="soft")
    if target.problem is not None:
        problem = node("p", node("span", "could not be checked", class_="badge fail"), f" {target.problem}")
        return node("section", title, about, problem, class_="card")
    badges = [node("li", f"{many} {what}", class_=f"badge {kind}") for kind, many, what in _numbers(target) if many]
    glance = node("div", *tiles, class_="tiles", aria_hidden="true")
    return node("section", title, about, glance, node("ul", *badges, class_="counts"), class_="card")


def _tile(rule: Rule, results: Sequence[Result], link: str | None) -> Element:
    kind = _worst(results)
    title = f"{rule.id}: {_MARKS[kind][1]}"
    if link is None:
        return node("span", class_=kind, title=title)
    return node("a", class_=kind, title=title, href=f"#{link}", tabindex="-1")


def _numbers(target: TargetReport) -> Iterator[tuple[str, int, str]]:
    count = counts(target.results)
    for level, number in count.failed.items():
        yield PROBLEM[level], number, f"failed ({level})"
    yield "broken", count.errors, "not probed"
    yield "ignored", count.ignored, "ignored"
    yield "pass", count.passed, "passed"
    yield "none", count.skipped, "not exercised"


def _matrix(report: Report, rules: Sequence[Rule], cells: Cells, links: Mapping[Cell, str]) -> Iterator[Element]:
    if not rules:
        return
    several = len(report.targets) > 1
    columns = [number for number, target in enumerate(report.targets) if target.results]
    heads = [
        node("th", str(number + 1) if several else "verdict", class_="column", scope="col", title=name)
        for number, name in ((number, report.targets[number].name) for number in columns)
    ]
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        groups.setdefault(area(rule), []).append(rule)
    bodies = [_body(name, group, cells, links, columns) for name, group in groups.items()]
    table = node("table", node("thead", node("tr", node("th", "rule", scope="col"), *heads)), *bodies)
    yield node("h2", "Rules and targets", id="rules")
    yield _tools(cells)
    yield node("div", table, class_=f"card scroll{' several' if several else ''}", tabindex="0")


def _cells(report: Report) -> dict[Cell, list[Result]]:
    cells: dict[Cell, list[Result]] = {}
    for number, target in enumerate(report.targets):
        for result in target.results:
            cells.setdefault((number, result.rule.id), []).append(result)
    return cells


def _tools(cells: Cells) -> Element:
    seen = {_kind(result) for results in cells.values() for result in results}
    legend = [
        node("li", node("span", mark, class_=f"mark {kind}", aria_hidden="true"), what)
        for kind, (mark, what) in _MARKS.items()
        if kind in seen
    ]
    box = node("label", node("input", type="checkbox", id="problems"), "problems only")
    return node("div", box, node("ul", *legend, class_="legend"), class_="tools")


def _body(
    name: str,
    rules: Sequence[Rule],
    cells: Cells,
    links: Mapping[Cell, str],
    columns: Sequence[int],
) -> Element:
    rows: list[Element] = []
    clear = True
    for rule in rules:
        row = [cells.get((number, rule.id), ()) for number in columns]
        fine = all(_worst(results) in ("pass", "none") for results in row)
        clear = clear and fine
        marks = [
            node("td", _cell(results, links.get((number, rule.id))))
            for number, results in zip(columns, row, strict=True)
        ]
        what = node("div", node("code", rule.id), node("small", rule.title), class_="rule")
        rows.append(node("tr", node("th", what, scope="row"), *marks, class_="clear" if fine else None))
    area_row = node(
        "tr",
        node("th", _AREAS.get(name, name.capitalize()), scope="colgroup", colspan=str(len(columns) + 1)),
        class_="area",
    )
    return node("tbody", area_row, *rows, class_="clear" if clear else None)


def _cell(results: Sequence[Result], link: str | None) -> Element | None:
    if not results:
        return None
    kind = _worst(results)
    mark, what = _MARKS[kind]
    alike = sum(_kind(result) == kind for result in results)
    several = kind in PROBLEM.values() and len(results) > 1
    share = f" {alike}/{len(results)}" if several else ""
    inner = (node("span", f"{mark}{share}", aria_hidden="true"), node("span", what, class_="hide"))
    if link is None:
        return node("span", *inner, class_=f"mark {kind}", title=what)
    return node("a", *inner, class_=f"mark {kind}", title=what, href=f"#{link}")


def _worst(results: Sequence[Result]) -> str:
    return min(map(_kind, results), key=list(_MARKS).index, default="none")


def _kind(result: Result) -> str:
    if result.verdict == "fail":
        return PROBLEM[result.rule.level]
    return {"error": "broken", "not-exercised": "none"}.get(result.verdict, result.verdict)


def _findings(report: Report, known: Sequence[Finding]) -> Iterator[Element]:
    if known:
        yield node("h2", _counted(known), id="findings")
        yield node("p", sentence(remedies(report)), class_="soft")
        yield from articles(report, known)


def _counted(known: Sequence[Finding]) -> str:
    """Say how many findings there are, and of how many failed checks, which is what a target's own counts are of."""
    number, failed = len(known), sum(len(finding.paths) for finding in known)
    text = f"{number} finding{'' if number == 1 else 's'}"
    return text if failed == number else f"{text} of {failed} failed checks"


def _navigation(known: Sequence[Finding], *, judged: bool) -> Element | None:
    if not judged:
        return None
    to_findings = node("a", _counted(known), href="#findings") if known else None
    return node("nav", to_findings, node("a", "Rules and targets", href="#rules"))


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
    if several or finding.location:
        facts.append(("where", place(finding)))
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


def _wire(exchange: Transcript) -> Element:
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
