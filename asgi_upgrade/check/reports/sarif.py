"""SARIF 2.1.0, in the part of it that GitHub's code scanning reads.

Every result has a location, for one without makes GitHub reject the whole file. What is ignored is left out, because
``suppressions`` is not read there and it would show as open; what could not be probed or was not exercised is a
notification of the run and never a result.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote as percent_encoded

from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.wording import NOWHERE, SECURITY, clean, fix, harm, rules_of, sentence, why
from asgi_upgrade.check.result import Location, Report, Result, TargetReport, Transcript
from asgi_upgrade.rules import Level, Rule

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

LEVELS: Mapping[Level, tuple[str, str]] = {
    "must": ("error", "error"),
    "policy": ("error", "error"),
    "should": ("warning", "warning"),
    "info": ("note", "recommendation"),
}
"""SARIF's level and GitHub's ``problem.severity``."""


_TEXT_LIMIT = 1024
_RFC = re.compile(r"RFC (\d+)(?: section ([\w.]+))?")
_REQUEST = re.compile(rb"([!-~]+) ([!-~\x80-\xff]+) ([A-Za-z]+)/(\d+(?:\.\d+)?)\r?")
_STATUS = re.compile(rb"HTTP/(\d+(?:\.\d+)?) (\d{3})(?: (.*?))?\r?")


def render(report: Report, layout: Layout) -> str:
    """Return the document: a run for each target, so that two do not overwrite each other."""
    rules = rules_of(report)
    runs = [_run(report, target, rules, layout) for target in report.targets]
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": runs}, indent=2) + "\n"


def _run(report: Report, target: TargetReport, rules: Sequence[Rule], layout: Layout) -> dict[str, Any]:
    index = {rule.id: number for number, rule in enumerate(rules)}
    done = target.problem is None and not report.interrupted
    return {
        "tool": {
            "driver": {
                "name": "asgi-upgrade",
                "semanticVersion": layout.version or "0.0.0",
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "automationDetails": {"id": f"asgi-upgrade/{clean(target.name)}/"},
        "invocations": [
            {
                "executionSuccessful": done,
                "exitCode": report.exit_code,
                "toolExecutionNotifications": _notifications(target, index),
            }
        ],
        "results": [
            _result(target, result, index[result.rule.id])
            for result in sorted(target.results, key=lambda result: harm(result.rule))
            if result.verdict == "fail"
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    level, severity = LEVELS[rule.level]
    properties: dict[str, Any] = {
        "tags": ["http", *_tags(rule)],
        "precision": "very-high",
        "problem.severity": severity,
    }
    if rule.id in SECURITY:
        properties["security-severity"] = SECURITY[rule.id]
        properties["tags"].append("security")
    advice = f"{sentence(rule.why)} {sentence(fix(rule))}"
    record = {
        "id": rule.id,
        "name": rule.id,
        "shortDescription": {"text": rule.title[:_TEXT_LIMIT]},
        "fullDescription": {"text": f"{rule.title}. {why(rule)}"[:_TEXT_LIMIT]},
        "help": {"text": advice, "markdown": f"{advice}\n\n`asgi-upgrade explain {rule.id}` says more."},
        "defaultConfiguration": {"level": level},
        "properties": properties,
    }
    return record | ({"helpUri": link} if (link := _link(rule)) else {})


def _tags(rule: Rule) -> list[str]:
    return [f"rfc{number}" for number, _ in _RFC.findall(rule.reference)]


def _link(rule: Rule) -> str | None:
    found = _RFC.search(rule.reference)
    if found is None:
        return None
    number, section = found.groups()
    return f"https://www.rfc-editor.org/rfc/rfc{number}.html" + (f"#section-{section}" if section else "")


def _result(target: TargetReport, result: Result, index: int) -> dict[str, Any]:
    on_path = f" on {clean(result.path)}" if result.path else ""
    message = f"{sentence(result.message + on_path)} Expected {clean(result.expected)}."
    record: dict[str, Any] = {
        "ruleId": result.rule.id,
        "ruleIndex": index,
        "level": LEVELS[result.rule.level][0],
        "message": {"text": message},
        "locations": [{"physicalLocation": _location(result.location or target.location or NOWHERE)}],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(result)},
    }
    if result.exchanges:
        record["webRequest"] = web_request(result.exchanges[-1])
        record["webResponse"] = web_response(result.exchanges[-1])
    return record


def _location(location: Location) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": percent_encoded(location.file.encode("utf-8", "replace"), safe="/-._~")},
        "region": {
            "startLine": location.line,
            "startColumn": location.column,
            "endLine": location.end_line,
            "endColumn": location.end_column,
        },
    }


def _fingerprint(result: Result) -> str:
    identity = "\0".join((result.rule.id, result.path, result.variant)).encode("utf-8", "backslashreplace")
    return f"{hashlib.sha256(identity).hexdigest()[:16]}:1"


def _notifications(target: TargetReport, index: Mapping[str, int]) -> list[dict[str, Any]]:
    notes: list[dict[str, Any]] = []
    if target.problem is not None:
        notes.append({"level": "error", "message": {"text": sentence(target.problem)}})
    for result in target.results:
        if result.verdict in ("error", "not-exercised"):
            notes.append(
                {
                    "level": "warning" if result.verdict == "error" else "note",
                    "message": {"text": f"{clean(result.probe)}: {sentence(result.message)}"},
                    "associatedRule": {"id": result.rule.id, "index": index[result.rule.id]},
                }
            )
    return notes


def web_request(exchange: Transcript) -> dict[str, Any]:
    """Return what was sent as SARIF's object for it: in parts where it is a request, else as content."""
    head, _, content = exchange.sent.partition(b"\r\n\r\n")
    first, _, rest = head.partition(b"\n")
    line = _REQUEST.fullmatch(first)
    if line is None:
        return {"body": _content(exchange.sent)}
    method, target, protocol, version = (part.decode("latin-1") for part in line.groups())
    record = {"protocol": protocol, "version": version, "method": method, "target": target, "headers": _fields(rest)}
    return record | ({"body": _content(content)} if content else {})


def web_response(exchange: Transcript) -> dict[str, Any]:
    """Return what was received as SARIF's object for it: the first response that is final, or 101."""
    if not exchange.received:
        return {"noResponseReceived": True}
    data = exchange.received
    while True:
        head, _, content = data.partition(b"\r\n\r\n")
        first, _, rest = head.partition(b"\n")
        line = _STATUS.fullmatch(first)
        if line is None:
            return {"body": _content(exchange.received)}
        version, status, reason = (part.decode("latin-1") for part in line.groups(b""))
        if status.startswith("1") and status != "101" and content:
            data = content
            continue
        record: dict[str, Any] = {"protocol": "HTTP", "version": version, "statusCode": int(status)}
        record |= {"reasonPhrase": reason, "headers": _fields(rest)}
        return record | ({"body": _content(content)} if content else {})


def _fields(head: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in head.split(b"\n"):
        name, colon, value = line.rstrip(b"\r").decode("latin-1").partition(":")
        if colon:
            value = value.strip(" \t")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _content(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode("ascii")}
    except UnicodeDecodeError:
        return {"binary": base64.b64encode(data).decode("ascii")}
