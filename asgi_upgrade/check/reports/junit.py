"""JUnit XML, valid by the schema of Ant's: a suite for each target and area, a case for each probe and path.

A failure is one that fails the run; one below ``--fail-on`` is a case that passes, and its text goes to the suite's
system-out. What could not be probed is an error; what is ignored or was not exercised is skipped, with the reason.
Passed cases are there too, so that a trend over builds counts what was checked and not what was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.text import describe
from asgi_upgrade.check.reports.wording import Finding, area, clean
from asgi_upgrade.check.result import Report, Result, TargetReport

_PACKAGE = "asgi_upgrade"


def render(report: Report, layout: Layout) -> str:
    """Return the document."""
    root = ET.Element("testsuites")
    number = 0
    for target in report.targets:
        for name, results in _areas(target).items():
            root.append(_suite(report, layout, target, name=name, results=results, number=number))
            number += 1
        if target.problem is not None:
            root.append(_unchecked(target, target.problem, layout, number))
            number += 1
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _areas(target: TargetReport) -> dict[str, list[Result]]:
    areas: dict[str, list[Result]] = {}
    for result in target.results:
        areas.setdefault(area(result.rule), []).append(result)
    return areas


def _suite(
    report: Report, layout: Layout, target: TargetReport, *, name: str, results: list[Result], number: int
) -> ET.Element:
    verdicts = [_verdict(report, result) for result in results]
    suite = _empty_suite(
        target,
        layout,
        name=name,
        number=number,
        tests=len(results),
        failures=verdicts.count("failure"),
        errors=verdicts.count("error"),
        skipped=verdicts.count("skipped"),
        time=sum(result.duration for result in results),
    )
    suite.extend(_case(target, name, result, verdict) for result, verdict in zip(results, verdicts, strict=True))
    below = (result for result, verdict in zip(results, verdicts, strict=True) if _is_below(result, verdict))
    _end(suite, "\n\n".join(_text(target, result) for result in below))
    return suite


def _verdict(report: Report, result: Result) -> str:
    if result.verdict == "error":
        return "error"
    if result.verdict in ("ignored", "not-exercised"):
        return "skipped"
    return "failure" if report.fails(result) else "pass"


def _is_below(result: Result, verdict: str) -> bool:
    return result.verdict == "fail" and verdict == "pass"


def _empty_suite(
    target: TargetReport,
    layout: Layout,
    *,
    name: str,
    number: int,
    tests: int,
    failures: int,
    errors: int,
    skipped: int,
    time: float,
) -> ET.Element:
    suite = ET.Element(
        "testsuite",
        name=name,
        package=_PACKAGE,
        id=str(number),
        timestamp=f"{layout.now:%Y-%m-%dT%H:%M:%S}",
        hostname=clean(target.address) or "localhost",
        tests=str(tests),
        failures=str(failures),
        errors=str(errors),
        skipped=str(skipped),
        time=f"{time:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for key, value in _facts(target):
        ET.SubElement(properties, "property", name=key, value=clean(value))
    return suite


def _facts(target: TargetReport) -> Iterator[tuple[str, str]]:
    yield "target", target.name
    if target.served_by:
        yield "served-by", target.served_by
    if target.location:
        yield "location", f"{target.location.file}:{target.location.line}"


def _case(target: TargetReport, name: str, result: Result, verdict: str) -> ET.Element:
    case = ET.Element(
        "testcase",
        classname=f"{_PACKAGE}.{name}",
        name=clean(f"{result.probe}[{result.path}]" if result.path else result.probe),
        time=f"{result.duration:.3f}",
    )
    if verdict == "failure":
        inner = ET.SubElement(case, "failure", type=result.rule.level, message=clean(result.message))
        inner.text = _text(target, result)
    elif verdict == "error":
        ET.SubElement(case, "error", type="error", message=clean(result.message)).text = clean(result.expected)
    elif verdict == "skipped":
        ET.SubElement(case, "skipped", message=clean(result.reason or result.message))
    return case


def _text(target: TargetReport, result: Result) -> str:
    return "\n".join(describe(Finding(target=target, result=result, paths=(result.path,)), Layout()))


def _unchecked(target: TargetReport, problem: str, layout: Layout, number: int) -> ET.Element:
    suite = _empty_suite(
        target, layout, name="target", number=number, tests=1, failures=0, errors=1, skipped=0, time=target.duration
    )
    case = ET.SubElement(suite, "testcase", classname=f"{_PACKAGE}.target", name=clean(target.name), time="0.000")
    ET.SubElement(case, "error", type="unreachable", message=clean(problem))
    _end(suite, "")
    return suite


def _end(suite: ET.Element, out: str) -> None:
    ET.SubElement(suite, "system-out").text = out
    ET.SubElement(suite, "system-err")
