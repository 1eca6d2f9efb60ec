"""What code scanning reads: valid SARIF, in the part of it that GitHub supports and by the rules that it enforces."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from asgi_upgrade.check.reports.sarif import render, web_request, web_response
from asgi_upgrade.check.reports.wording import SECURITY
from asgi_upgrade.check.result import Location, Report, Transcript
from asgi_upgrade.rules import Rule
from asgi_upgrade.rules.checker import ALL_RULES, UNUSED_IGNORE
from tests.support.samples import BROKEN, FULL, HTTP10, IGNORED, MISMATCH, PASSED, SKIPPED, VIEW, report, result, target
from tests.support.shared_data import shared


def read(of: Report) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render(of, VIEW))
    return document


def only(of: Report) -> dict[str, Any]:
    (run,) = read(of)["runs"]
    return dict(run)


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(FULL, id="every-verdict"),
        pytest.param(report(), id="no-target"),
        pytest.param(
            report(target(result("ws-wait", exchanges=(Transcript(sent=b"\xff\0", received=b"\x80"),)))), id="octets"
        ),
        pytest.param(report(target(result("ws-wait", exchanges=()), location=None)), id="nothing-known"),
    ],
)
def test_the_document_is_valid(of: Report) -> None:
    jsonschema.validate(read(of), json.loads(shared("sarif-schema-2.1.0.json").read_text()))


def test_the_document_says_what_it_is() -> None:
    document = read(report(target(HTTP10)))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert run["tool"]["driver"]["name"] == "asgi-upgrade"
    assert run["tool"]["driver"]["semanticVersion"] == "0.1.0"
    assert run["automationDetails"] == {"id": "asgi-upgrade/shop.main:app/"}


def test_a_result_is_as_documented() -> None:
    (one,) = only(report(target(HTTP10)))["results"]
    assert one["ruleId"] == "upgrade-http10-ignore"
    assert one["ruleIndex"] == list(ALL_RULES).index("upgrade-http10-ignore")
    assert one["level"] == "error"
    assert one["message"]["text"] == ("Switched protocols for an HTTP/1.0 request on /ws. Expected any status but 101.")
    assert one["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "shop/main.py"},
                "region": {"startLine": 12, "startColumn": 1, "endLine": 12, "endColumn": 4},
            }
        }
    ]
    assert one["webRequest"] == {
        "protocol": "HTTP",
        "version": "1.0",
        "method": "GET",
        "target": "/ws",
        "headers": {"Host": "127.0.0.1:49152", "Connection": "Upgrade", "Upgrade": "websocket"},
    }
    assert one["webResponse"] == {
        "protocol": "HTTP",
        "version": "1.1",
        "statusCode": 101,
        "reasonPhrase": "Switching Protocols",
        "headers": {"Upgrade": "websocket", "Connection": "Upgrade"},
    }


def test_every_result_has_a_whole_region_for_github_rejects_the_file_otherwise() -> None:
    """Uploads of other tools fail as a whole for one result without a location."""
    (one,) = only(report(target(HTTP10, location=None)))["results"]
    (place,) = one["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "pyproject.toml"
    assert sorted(place["physicalLocation"]["region"]) == ["endColumn", "endLine", "startColumn", "startLine"]


def test_file_names_are_uris() -> None:
    (one,) = only(report(target(HTTP10, location=Location(file="a b/ü#?.py"))))["results"]
    assert one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b/%C3%BC%23%3F.py"


def test_the_rules_are_the_whole_catalogue_the_same_in_every_file() -> None:
    one, other = only(report(target(HTTP10))), only(report(target(PASSED)))
    assert one["tool"]["driver"]["rules"] == other["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in one["tool"]["driver"]["rules"]] == list(ALL_RULES)
    unknown = replace(HTTP10, rule=replace(HTTP10.rule, id="of-another-version"))
    assert only(report(target(unknown)))["results"][0]["ruleIndex"] == len(ALL_RULES)


@pytest.fixture(scope="module")
def rules() -> dict[str, dict[str, Any]]:
    """The rules as a report describes them."""
    return {each["id"]: each for each in only(report(target()))["tool"]["driver"]["rules"]}


@pytest.mark.parametrize("rule", ALL_RULES.values(), ids=list(ALL_RULES))
def test_every_rule_has_what_github_requires(rule: Rule, rules: dict[str, dict[str, Any]]) -> None:
    described = rules[rule.id]
    for key in ("shortDescription", "fullDescription", "help"):
        assert 0 < len(described[key]["text"]) <= 1024
    level, severity = (
        {"must": "error", "policy": "error", "should": "warning", "info": "note"}[rule.level],
        ({"must": "error", "policy": "error", "should": "warning", "info": "recommendation"}[rule.level]),
    )
    assert described["defaultConfiguration"] == {"level": level}
    assert described["properties"]["problem.severity"] == severity
    assert described["properties"]["precision"] == "very-high"
    assert ("security-severity" in described["properties"]) is (rule.id in SECURITY)
    if rule.reference.startswith("RFC"):
        assert described["helpUri"].startswith("https://www.rfc-editor.org/rfc/rfc")
        assert described["properties"]["tags"][1].startswith("rfc")
    else:
        assert "helpUri" not in described


def test_a_reference_without_section_links_to_the_document() -> None:
    ruled = replace(UNUSED_IGNORE, id="x", reference="RFC 6455")
    rules = only(report(target(replace(HTTP10, rule=ruled))))["tool"]["driver"]["rules"]
    assert rules[-1]["helpUri"] == "https://www.rfc-editor.org/rfc/rfc6455.html"


def test_security_severity_is_of_rules_that_exist() -> None:
    assert set(SECURITY) <= set(ALL_RULES)


def test_what_is_ignored_passed_or_not_known_is_no_result() -> None:
    run = only(report(target(IGNORED, PASSED, SKIPPED, BROKEN)))
    assert run["results"] == []
    (invocation,) = run["invocations"]
    assert [(note["level"], note["message"]["text"]) for note in invocation["toolExecutionNotifications"]] == [
        ("note", "ws-origin-check: No allowed origin configured."),
        ("warning", "ws-body: The connection was reset."),
    ]


def test_the_run_says_whether_it_was_carried_out() -> None:
    done, unreachable = read(FULL)["runs"]
    assert done["invocations"][0]["executionSuccessful"] is True
    assert done["invocations"][0]["exitCode"] == 3
    assert unreachable["invocations"][0]["executionSuccessful"] is False
    notes = unreachable["invocations"][0]["toolExecutionNotifications"]
    assert [(note["level"], note["message"]["text"]) for note in notes] == [("error", "Connection refused.")]
    assert only(report(target(), interrupted=True))["invocations"][0]["executionSuccessful"] is False


def test_fingerprints_tell_rule_path_and_variant_apart_and_nothing_else() -> None:
    def fingerprint(one: Any) -> str:
        (made,) = only(report(target(one)))["results"]
        return str(made["partialFingerprints"]["primaryLocationLineHash"])

    first = fingerprint(HTTP10)
    assert first.endswith(":1")
    assert len(first) == 18
    assert fingerprint(replace(HTTP10, message="another", duration=9.0)) == first
    others = {fingerprint(other) for other in (replace(HTTP10, path="/b"), replace(HTTP10, variant="2"), MISMATCH)}
    assert len(others | {first}) == 4


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(
            b"POST /a HTTP/1.1\r\nA: 1\r\na:  2 \r\nA: 3\r\n\r\nbody",
            {
                "protocol": "HTTP",
                "version": "1.1",
                "method": "POST",
                "target": "/a",
                "headers": {"A": "1, 3", "a": "2"},
                "body": {"text": "body"},
            },
            id="fields-and-content",
        ),
        pytest.param(b"GET /ws\r\n\r\n", {"body": {"text": "GET /ws\r\n\r\n"}}, id="no-version"),
        pytest.param(b"\xff", {"body": {"binary": base64.b64encode(b"\xff").decode()}}, id="octets"),
    ],
)
def test_what_was_sent(sent: bytes, expected: dict[str, Any]) -> None:
    assert web_request(Transcript(sent=sent, received=b"")) == expected


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        pytest.param(b"", {"noResponseReceived": True}, id="nothing"),
        pytest.param(b"\x81\x00", {"body": {"binary": "gQA="}}, id="frames"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 \r\nA: 1\r\nno field\r\n\r\nno",
            {
                "protocol": "HTTP",
                "version": "1.1",
                "statusCode": 403,
                "reasonPhrase": "",
                "headers": {"A": "1"},
                "body": {"text": "no"},
            },
            id="interim-first",
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n",
            {"protocol": "HTTP", "version": "1.1", "statusCode": 100, "reasonPhrase": "Continue", "headers": {}},
            id="interim-only",
        ),
        pytest.param(
            b"HTTP/1.0 200\r\n\r\n",
            {"protocol": "HTTP", "version": "1.0", "statusCode": 200, "reasonPhrase": "", "headers": {}},
            id="no-reason",
        ),
    ],
)
def test_what_was_received(received: bytes, expected: dict[str, Any]) -> None:
    assert web_response(Transcript(sent=b"", received=received)) == expected
