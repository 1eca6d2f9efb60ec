"""A server that does one thing wrong gets that finding and no other; one that does everything right gets none."""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.probes.catalogue import PROBES
from asgi_upgrade.check.result import Report
from asgi_upgrade.check.run import check
from asgi_upgrade.policy import UpgradePolicy
from tests.support.broken.server import little_server

QUICK = frozenset(
    {
        *("ws-accept-raw-key", "ws-subprotocol-offered", "ws-protocol-multi"),
        *("expect-100-then-101", "upgrade-list-grammar", "ws-wait", "h2-ws-success", "h2-flow-control"),
    }
)
"""What is tried in every run; a hundred complete checks take a minute, and are asked for with the slow ones."""


def rules() -> list[ParameterSet]:
    """Return the id of every rule that has a probe."""
    names = dict.fromkeys(probe.rule.id for probe in PROBES)
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


POLICY = UpgradePolicy(
    allow_origins=["https://shop.example"],
    allow_missing_origin=False,
    allowed_hosts=["shop.example", "127.0.0.1"],
    subprotocols=["chat"],
    require_subprotocol=True,
    websocket_only=["/ws"],
)
POLICED = frozenset(
    {
        *("ws-origin-check", "ws-origin-value", "ws-origin-browser", "misdirected"),
        *("ws-subprotocol-required", "ws-plain-get", "upgrade-head-size"),
    }
)
"""Rules that only a policy gives something to judge."""

CARELESS = ("endswith", "startswith", "dot", "scheme", "port", "listed")
"""Ways to compare origins wrongly."""


OTHER_WAYS = {
    "h2-no-key:translated": "h2-no-key[translated]",
    "h2-connection-usable:rejection": "h2-connection-usable[rejection]",
    "h2-connection-usable:end": "h2-connection-usable[end]",
}
"""Faults that have a probe of their rule to themselves."""


SILENT = frozenset(
    {
        *("http-minor-higher", "ws-header-cost", "conn-close-with-upgrade", "http10-no-host"),
        *("expect-final-instead", "conn-pipeline", "h2-data-split", "h2-close-map", "h2-streams-beside"),
    }
)
"""Faults that show as silence, which has to be waited for."""


def checked(fault: str, *, policed: bool) -> Report:
    options = CheckOptions(
        ws_paths=("/ws",),
        http_paths=("/",),
        subprotocols=("chat",),
        policy=POLICY if policed else None,
        timeout=4.0 if fault in SILENT else 10.0,
    )
    with little_server(fault, policed=policed) as address:
        return check([f"http://{address}/"], options)


def found(report: Report) -> dict[str, list[str]]:
    """Return the messages of the findings by rule."""
    findings: dict[str, list[str]] = {}
    for _, result in report.results():
        if result.verdict in ("fail", "error"):
            findings.setdefault(result.rule.id, []).append(result.message)
    return findings


@pytest.mark.parametrize("policed", [False, True])
def test_a_server_without_a_fault_gets_no_finding(policed: bool) -> None:
    report = checked("", policed=policed)
    assert found(report) == {}
    assert report.targets[0].problem is None
    assert report.exit_code == 0


@pytest.mark.parametrize("rule_id", rules())
def test_a_server_with_one_fault_gets_that_finding_and_no_other(rule_id: str) -> None:
    report = checked(rule_id, policed=rule_id in POLICED)
    findings = found(report)
    assert list(findings) == [rule_id], findings
    over_http2 = {probe.name for probe in PROBES if probe.rule.id == rule_id and probe.where == "websocket-h2"}
    failed = {result.probe for _, result in report.results() if result.verdict == "fail"}
    assert over_http2 - failed <= set(OTHER_WAYS.values())


@pytest.mark.parametrize("fault", OTHER_WAYS)
def test_a_fault_with_a_probe_to_itself_is_found_by_that(fault: str) -> None:
    report = checked(fault, policed=False)
    assert [result.probe for _, result in report.results() if result.verdict in ("fail", "error")] == [
        OTHER_WAYS[fault]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("way", CARELESS)
def test_a_careless_comparison_of_origins_is_found(way: str) -> None:
    findings = found(checked(f"ws-origin-check:{way}", policed=True))
    assert list(findings) == ["ws-origin-check"], findings


def test_a_server_that_lets_the_pages_of_any_site_in_is_found_without_a_policy() -> None:
    report = checked("ws-origin-check", policed=False)
    assert list(found(report)) == ["ws-origin-check"]
    assert report.exit_code == 1


def test_every_probe_is_exercised_by_the_little_server() -> None:
    results = [result for policed in (False, True) for _, result in checked("", policed=policed).results()]
    passed = {result.probe for result in results if result.verdict == "pass"}
    assert {probe.name for probe in PROBES} - passed == set()
