"""What every report says alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asgi_upgrade.check.reports.wording import (
    Finding,
    area,
    clean,
    counts,
    findings,
    fix,
    harm,
    lines,
    not_exercised,
    place,
    remedies,
    reproduction,
    rules_of,
    sentence,
    short,
    summary,
    why,
)
from asgi_upgrade.check.result import Location, Transcript
from asgi_upgrade.rules import RULES, Rule
from asgi_upgrade.rules.checker import ALL_RULES, EXPIRED_IGNORE, UNUSED_IGNORE
from tests.support.samples import EXCHANGE, FULL, HTTP10, MISMATCH, PASSED, SKIPPED, TARGET, report, result, target

ADAPTER, REST = "UpgradeMiddleware on the adapter (--http asgi_upgrade.uvicorn:AutoProtocol)", "the server or the app"
ZTTP = "UpgradeMiddleware on the adapter (--http asgi_upgrade.uvicorn:ZttpProtocol)"


def test_findings_are_most_severe_first_and_one_for_all_paths() -> None:
    other = replace(HTTP10, path="/chat")
    known = findings(report(target(MISMATCH, HTTP10, PASSED, other), target(HTTP10)))
    assert [(finding.result.rule.id, finding.paths) for finding in known] == [
        ("upgrade-http10-ignore", ("/ws", "/chat")),
        ("upgrade-http10-ignore", ("/ws",)),
        ("http-major-unknown", ("/ws",)),
    ]


def test_a_policy_weighs_as_much_as_a_must() -> None:
    policy = result("ws-origin-check")
    assert policy.rule.level == "policy"
    known = findings(report(target(MISMATCH, policy, HTTP10)))
    assert [finding.result.rule.id for finding in known] == [
        "ws-origin-check",
        "upgrade-http10-ignore",
        "http-major-unknown",
    ]


def test_counts_add_up() -> None:
    count = counts(TARGET.results)
    assert count.failed == {"must": 1, "should": 1}
    assert count.total == 6 == count.passed + sum(count.failed.values()) + count.ignored + count.skipped + count.errors


def test_the_summary_names_what_served_or_the_target() -> None:
    both = summary(target(PASSED), several=True)
    assert both.startswith("shop.main:app, uvicorn 0.54.0 (h11, websockets): 1 check")
    assert summary(target(PASSED, served_by=""), several=True).startswith("shop.main:app: 1 check")
    assert summary(target(PASSED, served_by="")) == "shop.main:app: 1 check, 1 passed, 0 failed in 0.9 s"


def test_reasons_leave_out_what_was_sent() -> None:
    other = replace(SKIPPED, message="Origin: null: no allowed origin configured", rule=RULES["ws-origin-value"])
    assert not_exercised([SKIPPED, SKIPPED, other, PASSED]) == {
        "no allowed origin configured": ["ws-origin-check", "ws-origin-value"]
    }


def test_a_probe_is_named_where_another_one_of_its_rule_was_exercised() -> None:
    skipped = replace(SKIPPED, variant="foreign")
    passed = replace(PASSED, rule=SKIPPED.rule, variant="cross-site")
    assert list(not_exercised([skipped]).values()) == [["ws-origin-check"]]
    assert list(not_exercised([passed, skipped]).values()) == [["ws-origin-check[foreign]"]]


def test_the_rules_of_a_report_are_the_catalogue_and_what_is_not_in_it() -> None:
    assert rules_of(report()) == list(ALL_RULES.values())
    foreign = replace(HTTP10.rule, id="of-another-version")
    assert rules_of(report(target(replace(HTTP10, rule=foreign))))[-1] is foreign


@pytest.mark.parametrize("rule", ALL_RULES.values(), ids=list(ALL_RULES))
def test_every_rule_has_an_area_and_says_why_and_how_to_mend_it(rule: Rule) -> None:
    assert (area(rule) == "checker") is (rule in (UNUSED_IGNORE, EXPIRED_IGNORE))
    assert rule.level.upper() in why(rule)
    assert len(fix(rule)) > len("Remove it") - 1
    assert fix(rule).endswith((".", "]."))


@pytest.mark.parametrize(
    ("rule_id", "words"),
    [
        pytest.param("upgrade-http10-ignore", "middleware alone cannot see this one", id="adapter"),
        pytest.param("ws-key-present", "UpgradeMiddleware, added last", id="middleware"),
        pytest.param("asgi-no-101", "raises or repairs it", id="app"),
        pytest.param("426-upgrade", "UpgradeMiddleware on the adapter sees to it", id="app-hidden"),
        pytest.param("field-name-case", "neither an app nor a middleware", id="server"),
        pytest.param("101-no-framing", "In whichever answers", id="anyone"),
        pytest.param("ws-body", "middleware alone only where the server lets it see the request", id="hidden"),
        pytest.param("ws-version-mismatch", "asgi_upgrade.uvicorn:AutoProtocol", id="hidden-version"),
        pytest.param("405-allow", "In whichever answers, app or server.", id="answerer"),
        pytest.param("misdirected", "say so in [tool.asgi-upgrade.policy]", id="policy"),
        pytest.param("ws-origin-check", "if any page may, also say why in [tool.asgi-upgrade.ignore]", id="origin"),
        pytest.param("h2-ws-success", "asgi_upgrade.uvicorn:ZttpProtocol", id="http2"),
        pytest.param("unused-ignore", "Remove it.", id="own"),
    ],
)
def test_the_fix_says_where(rule_id: str, words: str) -> None:
    assert words in fix(ALL_RULES[rule_id])


@pytest.mark.parametrize("rule_id", ["field-ows", "request-grammar", "request-body-consume"])
def test_nobody_is_told_that_what_the_adapter_mends_cannot_be_mended(rule_id: str) -> None:
    assert "asgi_upgrade.uvicorn:AutoProtocol" in fix(RULES[rule_id])


def test_findings_are_in_the_order_of_the_harm_they_do() -> None:
    ids = ("ws-method-get", "ws-key-16-bytes", "misdirected", "ws-body", "ws-origin-check", "upgrade-needs-both")
    known = [RULES[rule_id] for rule_id in ids if rule_id in RULES]
    ordered = [rule.id for rule in sorted(known, key=harm)]
    assert ordered[:3] == ["ws-origin-check", "ws-body", "misdirected"]
    assert ordered[3] == "ws-method-get"
    assert ordered[-1] == "ws-key-16-bytes"


def test_the_fix_never_tells_a_server_what_the_client_should_have_sent() -> None:
    assert "Send HTTP/1.1" not in fix(RULES["upgrade-http10-ignore"])
    assert "Answer 400 (505 for a version)" in fix(RULES["request-grammar"])


def test_the_place_is_the_definition_or_the_name() -> None:
    found = Finding(target=TARGET, result=HTTP10, paths=("/ws",))
    assert place(found) == "shop/main.py:12 (shop.main:app)"
    bare = replace(found, target=target(location=None, name="http://[::1]/\n"))
    assert place(bare) == "http://[::1]/\\x0a"
    own = replace(found, result=replace(HTTP10, location=Location(file="pyproject.toml", line=7)))
    assert place(own) == "pyproject.toml:7 (shop.main:app)"


@pytest.mark.parametrize(
    ("rule_id", "stands", "by"),
    [
        pytest.param("upgrade-http10-ignore", {}, ADAPTER, id="adapter"),
        pytest.param("upgrade-http10-ignore", {"guarded": True}, ADAPTER, id="middleware-alone-cannot"),
        pytest.param("upgrade-http10-ignore", {"guarded": True, "adapted": True}, REST, id="adapter-does-not"),
        pytest.param("ws-version-mismatch", {"guarded": True}, ADAPTER, id="hidden-on-some-server"),
        pytest.param("h2-ws-success", {"guarded": True}, ZTTP, id="adapter-over-http2"),
        pytest.param("ws-version-426", {}, ADAPTER, id="middleware-does-not-see-it"),
        pytest.param("ws-key-present", {}, "UpgradeMiddleware", id="middleware"),
        pytest.param("ws-origin-check", {}, "UpgradeMiddleware", id="nobody-compares"),
        pytest.param("ws-origin-check", {"guarded": True}, "an option of its policy", id="an-option-opens"),
        pytest.param("405-allow", {}, REST, id="application"),
    ],
)
def test_what_would_mend_a_failure_is_told(rule_id: str, stands: dict[str, bool], by: str) -> None:
    failed = result(rule_id)
    assert remedies(report(target(failed, replace(failed, path="/b"), PASSED, **stands))) == f"mended by {by}: 2"


def test_what_would_mend_the_failures_is_one_line() -> None:
    failed = [result(rule_id) for rule_id in ("405-allow", "upgrade-http10-ignore", "ws-key-present")]
    assert remedies(report(target(*failed), target(result("ws-origin-check"), guarded=True))) == (
        f"mended by UpgradeMiddleware: 1; by {ADAPTER}: 1; by an option of its policy: 1; by {REST}: 1"
    )
    assert remedies(report(target(PASSED, SKIPPED))) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("answered 400", "Answered 400.", id="plain"),
        pytest.param(" Done! ", "Done!", id="ended"),
        pytest.param("", "", id="empty"),
    ],
)
def test_a_sentence_begins_and_ends_as_one(text: str, expected: str) -> None:
    assert sentence(text) == expected


def test_clean_text_is_on_one_line_and_printable() -> None:
    assert clean("häß\r\n\x00\x7f\x85\u2028\u202e\ud800 ok") == "häß\\x0d\\x0a\\x00\\x7f\\x85\\u2028\\u202e\\ud800 ok"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("##vso[task]", "#\\x23vso[task]", id="anywhere"),
        pytest.param(" ::error::x", " \\x3a:error::x", id="first"),
        pytest.param("[::1]:80", "[::1]:80", id="an-address"),
    ],
)
def test_clean_text_is_no_command_of_a_runner(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"a\r\n\r\n", ["a", ""], id="a-head"),
        pytest.param(b"a\nb\rc", ["a\\n", "b\\rc"], id="bare-line-ends"),
        pytest.param(b"##[add-mask]", ["#\\x23[add-mask]"], id="a-command-of-a-runner"),
        pytest.param(b"\t\\\xff\x00", ["\\t\\\\\\xff\\x00"], id="octets"),
    ],
)
def test_lines_show_every_octet(data: bytes, expected: list[str]) -> None:
    assert lines(data) == expected


def test_a_short_form_is_one_line_and_cut_off() -> None:
    assert short(b"") == "nothing"
    assert short(b"A: 1\r\nB: 2\r\n\r\n") == "A: 1 | B: 2"
    assert len(short(b"x" * 100_000)) == 220
    assert short(b"x" * 100_000).endswith("x ...")


@pytest.mark.parametrize(
    ("name", "address", "pipe"),
    [
        pytest.param("http://h:1/", "127.0.0.1:8000", "nc 127.0.0.1 8000", id="ipv4"),
        pytest.param("http://h:1/", "[::1]:8000", "nc ::1 8000", id="ipv6"),
        pytest.param("WSS://h/", "h.example:443", "openssl s_client -quiet -connect h.example:443", id="tls"),
        pytest.param("https://h/", "$(x):443", "openssl s_client -quiet -connect HOST:443", id="hostile-tls"),
        pytest.param("http://h/", "$(x):80", "nc HOST 80", id="hostile"),
    ],
)
def test_a_reproduction_names_where_to_send_it(name: str, address: str, pipe: str) -> None:
    command = reproduction(target(name=name, address=address), EXCHANGE)
    assert command is not None
    assert command.endswith(f"' | {pipe}")


@pytest.mark.parametrize("address", ["", "127.0.0.1", ":80", "h:port"])
def test_nothing_is_reproduced_where_the_address_is_not_known(address: str) -> None:
    assert reproduction(target(address=address), EXCHANGE) is None


def test_nothing_is_reproduced_where_nothing_was_sent() -> None:
    assert reproduction(TARGET, Transcript(sent=b"", received=b"x")) is None
    assert FULL.targets[1].problem


def test_a_transcript_is_not_what_was_sent() -> None:
    assert reproduction(TARGET, Transcript(sent=b"HEADERS 1", received=b"", transcribed=True)) is None
