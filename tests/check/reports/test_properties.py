"""Whatever came over the wire, every report can be read again, and says nothing that it was not to say."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree, html
from markdown_it import MarkdownIt

from asgi_upgrade.check.reports.outlet import RENDERERS
from asgi_upgrade.check.reports.wording import lines, reproduction
from asgi_upgrade.check.result import FailOn, Report, Result, ResultVerdict, TargetReport, Transcript
from asgi_upgrade.rules import RULES
from tests.support.samples import PLACE, VIEW
from tests.support.shared_data import DATA, shared

HOSTILE = [
    *(
        "\r\n::error::x",
        "\n  ::stop-commands::x\n",
        "##[add-mask]",
        "::error::x",
        "\x00\x1b[2J",
        "\u2028\u2029\u202e",
        "\ud800",
        "]]>",
        "</script><script>",
        "-->",
        "```\n",
        "|",
    ),
    *("<![CDATA[", "%0A", "&#0;", "\ufffe\uffff", "'; rm -rf / #", "\\", '"', "=1+1", "[x](javascript:y)"),
]

text = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=8)), max_size=3).map("".join)
octets = st.one_of(
    st.binary(max_size=40),
    text.map(lambda value: value.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"HTTP/1.1 101 \r\nA: \xff\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n", b"HTTP/1.1 100\r\n\r\n"]),
)
exchanges = st.builds(Transcript, sent=octets, received=octets)
verdicts: st.SearchStrategy[ResultVerdict] = st.sampled_from(("pass", "fail", "not-exercised", "error", "ignored"))
levels: st.SearchStrategy[FailOn] = st.sampled_from(("must", "should", "policy", "never"))
results = st.builds(
    Result,
    rule=st.sampled_from(list(RULES.values())),
    variant=text,
    path=text,
    verdict=verdicts,
    message=text,
    expected=text,
    exchanges=st.lists(exchanges, max_size=2).map(tuple),
    duration=st.floats(0, 1e6),
    reason=text,
)
targets = st.builds(
    TargetReport,
    name=text,
    served_by=text,
    results=st.lists(results, max_size=4).map(tuple),
    problem=st.none() | text,
    location=st.sampled_from([None, PLACE]),
    address=text,
    duration=st.floats(0, 1e6),
)
reports = st.builds(Report, targets=st.lists(targets, max_size=2).map(tuple), fail_on=levels, interrupted=st.booleans())

some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
UNSAFE = re.compile("[^\n\x20-\x7e\xa1-\U0010ffff]|[\u2028\u2029\u202e\ufffe\uffff\ud800-\udfff]")


@cache
def sarif_validator() -> Any:
    return jsonschema.Draft7Validator(json.loads(shared("sarif-schema-2.1.0.json").read_text()))


@cache
def junit_schema() -> Any:
    return etree.XMLSchema(etree.parse(str(shared("junit.xsd"))))


@pytest.mark.parametrize("name", ["text", "concise", "github", "markdown"])
@given(report=reports)
@some
def test_reports_of_lines_hold_no_control_character(name: str, report: Report) -> None:
    rendered = RENDERERS[name](report, VIEW)
    assert UNSAFE.findall(rendered) == []
    rendered.encode()


@given(report=reports)
@some
def test_no_report_of_lines_has_what_a_runner_takes_for_a_command(report: Report) -> None:
    for name in ("text", "concise", "github", "markdown"):
        shown = RENDERERS[name](report, replace(VIEW, detail="verbose"))
        own = [] if name != "github" else ["::error", "::warning", "::notice"]
        assert "##[" not in shown
        starts = [line.lstrip() for line in shown.splitlines() if not line.startswith("  again ")]
        assert [line for line in starts if line.startswith("::") and not line.startswith(tuple(own) or "-")] == []


@given(report=reports)
@some
def test_github_has_one_whole_command_on_each_line(report: Report) -> None:
    failed = {
        (number, result.probe, result.message)
        for number, target in enumerate(report.targets)
        for result in target.results
        if result.verdict == "fail"
    }
    problems = [target for target in report.targets if target.problem is not None]
    commands = RENDERERS["github"](report, VIEW).splitlines()
    assert len(commands) == len(failed) + len(problems)
    for command in commands:
        match = re.fullmatch(r"::(?:error|warning|notice) ((?:\w+=[^:,]*,?)+)::(.*)", command)
        assert match is not None, command
        assert re.sub("%(25|0A|0D|3A|2C)", "", match[1]).count("%") == 0


@given(report=reports)
@some
def test_json_gives_back_what_it_was_given(report: Report) -> None:
    document = json.loads(RENDERERS["json"](report, VIEW))
    read = [
        (one["message"], [each.encode("latin-1") for each in one["sent"]], one["verdict"])
        for one in document["results"]
    ]
    assert read == [
        (result.message, [exchange.sent for exchange in result.exchanges], result.verdict)
        for _, result in report.results()
    ]
    assert document["exit_code"] == report.exit_code


@given(report=reports)
@some
def test_junit_can_be_read_and_is_valid(report: Report) -> None:
    document = etree.fromstring(RENDERERS["junit"](report, VIEW).encode())
    cases = document.findall("testsuite/testcase")
    problems = sum(target.problem is not None for target in report.targets)
    assert len(cases) == len(list(report.results())) + problems
    assert len(document.findall("testsuite/testcase/failure")) == sum(
        report.fails(result) for _, result in report.results()
    )
    if DATA.is_dir():
        junit_schema().assertValid(document)


@given(report=reports)
@settings(some, max_examples=6)
def test_sarif_can_be_read_and_is_valid(report: Report) -> None:
    document = json.loads(RENDERERS["sarif"](report, VIEW))
    found = [len(run["results"]) for run in document["runs"]]
    assert found == [sum(result.verdict == "fail" for result in target.results) for target in report.targets]
    for run in document["runs"]:
        del run["tool"]["driver"]["rules"][1:]  # Checked elsewhere, and slow to check again and again.
    if DATA.is_dir():
        sarif_validator().validate(document)


@given(report=reports)
@some
def test_markdown_holds_no_markup_but_its_own(report: Report) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(RENDERERS["markdown"](report, VIEW))
    inner = [child for token in tokens for child in token.children or ()]
    assert [child.type for child in inner if child.type in ("html_inline", "link_open", "image", "em_open")] == []
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert all(re.fullmatch(r"<details><summary>[^<>]*</summary>\n|</details>\n", block) for block in blocks)


@given(report=reports)
@some
def test_html_holds_no_markup_but_its_own(report: Report) -> None:
    document = html.document_fromstring(RENDERERS["html"](report, VIEW))
    assert document.xpath("//script | //comment() | //img") == []
    assert len(document.xpath("//style")) == 1
    assert UNSAFE.findall(document.text_content()) == []
    targets = set(document.xpath("//@id"))
    assert {link.removeprefix("#") for link in document.xpath("//@href")} <= targets
    findings = {
        (number, result.probe, result.message)
        for number, target in enumerate(report.targets)
        for result in target.results
        if result.verdict == "fail"
    }
    assert len(document.xpath("//article")) == len(findings)


@pytest.mark.parametrize("name", sorted(RENDERERS))
def test_an_empty_run_can_be_reported(name: str) -> None:
    assert isinstance(RENDERERS[name](Report(targets=()), VIEW), str)


@given(data=st.binary(max_size=60))
@some
def test_lines_are_printable_and_tell_octets_apart(data: bytes) -> None:
    shown = lines(data)
    assert all(line.isascii() and line.isprintable() for line in shown)
    back = b""
    for line in shown:
        text_of = line.removesuffix("\\n") if line.endswith("\\n") and not line.endswith("\\\\n") else None
        body = line if text_of is None else text_of
        back += re.sub(
            r"\\(x..|r|t|\\)",
            lambda match: {"r": "\r", "t": "\t", "\\": "\\"}.get(match[1], "") or chr(int(match[1][1:], 16)),
            body,
        ).encode("latin-1")
        back += b"\r\n" if text_of is None else b"\n"
    assert back.removesuffix(b"\r\n") == data.removesuffix(b"\r\n") or back == data


@given(data=st.binary(min_size=1, max_size=300))
@settings(some, max_examples=20)
def test_a_reproduction_sends_the_very_octets(data: bytes) -> None:
    target = TargetReport(name="http://127.0.0.1:8000/", address="127.0.0.1:8000")
    command = reproduction(target, Transcript(sent=data, received=b""))
    assert command is not None
    assert command.isascii()
    assert command.isprintable()
    sends, pipe, _ = command.rpartition(" | ")
    assert pipe == " | "
    done = subprocess.run(["sh", "-c", sends], capture_output=True, check=True, timeout=20)
    assert done.stdout == data
