"""Checks of services that offer WebSocket over HTTP/2, that do not, and that only say so."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from starlette.applications import Starlette

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.probes.catalogue import PROBES
from asgi_upgrade.check.result import Report, Result
from asgi_upgrade.check.run import check
from tests.support.broken.scripted import Closing, saying, scripted
from tests.support.broken.server import little_server
from tests.support.serving import serve
from tests.support.survey_app import guarded, plain

OVER_HTTP2 = {probe.name for probe in PROBES if probe.where == "websocket-h2"}
ZTTP = {"http": "asgi_upgrade.uvicorn:ZttpProtocol"}
STOCK = {"http": "zttp", "http2": True}


def over_http2(report: Report) -> list[Result]:
    """Return the results of the probes of WebSocket over HTTP/2."""
    return [result for _, result in report.results() if result.probe in OVER_HTTP2]


def reasons(report: Report) -> set[str]:
    """Return why probes of WebSocket over HTTP/2 were not exercised; all of them have to be."""
    assert {result.probe for result in over_http2(report)} == OVER_HTTP2
    assert {result.verdict for result in over_http2(report)} == {"not-exercised"}
    return {result.message for result in over_http2(report)}


def test_what_is_offered_and_not_served_fails_the_run_and_is_all_that_can_be_told() -> None:
    with little_server("h2-ws-success") as address:
        report = check([f"ws://{address}/ws"], CheckOptions(timeout=10))
    control, *others = over_http2(report)
    assert (control.probe, control.verdict, control.rule.level) == ("h2-ws-success", "fail", "must")
    assert "no browser that meets it over HTTP/2 can open this" in control.message
    assert b"SETTINGS: ENABLE_CONNECT_PROTOCOL=1\r\n" in control.exchanges[0].received
    assert {(each.verdict, each.message) for each in others} == {
        ("not-exercised", "the valid handshake was not accepted over HTTP/2")
    }
    assert (report.exit_code, report.targets[0].problem) == (1, None)


def test_a_server_without_http2_is_checked_as_before() -> None:
    with little_server("pri-preface") as address:
        report = check([f"ws://{address}/ws"], CheckOptions(timeout=10))
    assert reasons(report) == {"the server does not speak HTTP/2 here"}
    assert report.targets[0].problem is None
    failed = {result.probe for _, result in report.results() if result.verdict in ("fail", "error")}
    assert failed == {"pri-preface"}


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h2.connection", None)
    with little_server("pri-preface") as address:
        report = check([f"ws://{address}/ws"], CheckOptions(select=("h2-*", *OVER_HTTP2), timeout=10))
    assert reasons(report) == {"HTTP/2 is checked with the h2 library; run pip install h2"}
    assert report.exit_code == 0


def test_nothing_is_tried_over_http2_where_http1_fails_already() -> None:
    with little_server() as address:
        options = CheckOptions(ws_paths=("/nowhere", "/ws"), select=("h2-ws-success", "h2-data-split"), timeout=10)
        report = check([f"http://{address}/"], options)
    assert [(result.probe, result.path, result.verdict) for _, result in report.results()] == [
        ("h2-ws-success", "/nowhere", "not-exercised"),
        ("h2-ws-success", "/ws", "pass"),
        ("h2-data-split", "/nowhere", "not-exercised"),
        ("h2-data-split", "/ws", "pass"),
    ]
    assert {result.message for _, result in report.results() if result.path == "/nowhere"} == {
        "the valid handshake was not accepted"
    }


def test_a_run_that_is_to_try_handshakes_over_http2_only_wants_a_path_too() -> None:
    with little_server() as address:
        report = check([f"http://{address}/"], CheckOptions(select=("h2-data-split",), timeout=10))
    assert report.exit_code == 3
    assert report.targets[0].problem == "no WebSocket path is known; name one with --ws-path, or say --http-only"


def test_a_server_is_not_asked_for_http2_unless_that_is_selected() -> None:
    def no_more(sock: socket.socket) -> None:
        raise Closing

    page = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with scripted(page, page, page, no_more) as address:
        report = check([f"ws://{address}/ws"], CheckOptions(select=("ws-key-present",), timeout=10))
    assert over_http2(report) == []


@pytest.mark.newest
@pytest.mark.parametrize("app", [plain, guarded], ids=["plain", "guarded"])
@pytest.mark.filterwarnings("ignore")  # uvicorn and websockets deprecate some of these.
def test_stock_zttp_offers_what_it_does_not_serve(app: Starlette) -> None:
    options = CheckOptions(server_options=STOCK, select=("h2-*", "101-not-h2-h3"), timeout=10)
    report = check([app], options)
    failed = {result.probe for _, result in report.results() if result.verdict in ("fail", "error")}
    assert failed == {"h2-ws-success"}
    assert report.exit_code == 1
    without = check([app], CheckOptions(server_options={"http": "zttp"}, select=tuple(OVER_HTTP2), timeout=10))
    assert reasons(without) == {"the server does not speak HTTP/2 here"}
    assert without.exit_code == 0


@pytest.mark.newest
def test_ours_meets_every_rule_over_http2() -> None:
    report = check([guarded], CheckOptions(server_options=ZTTP, timeout=10))
    assert [(each.probe, each.message) for each in over_http2(report) if each.verdict == "fail"] == []
    skipped = {each.probe for each in over_http2(report) if each.verdict == "not-exercised"}
    assert skipped == {"misdirected[h2-foreign]"}, "the service allows any host"
    assert report.exit_code == 0


@pytest.fixture
def secure(tmp_path: Path) -> dict[str, Any]:
    certificate = trustme.CA().issue_cert("localhost", "127.0.0.1")
    pem = tmp_path / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(pem)
    return {"ssl_certfile": str(pem), "ssl_keyfile": str(pem)}


@pytest.mark.newest
def test_over_tls_http2_is_agreed_on_by_alpn(secure: dict[str, Any]) -> None:
    select = ("h2-*", *OVER_HTTP2)
    with serve(guarded, http="zttp", **secure) as running:
        report = check([f"wss://127.0.0.1:{running.port}/ws"], CheckOptions(select=select, timeout=10))
    assert [(each.probe, each.message) for each in over_http2(report) if each.verdict == "fail"] == []
    control = over_http2(report)[0]
    assert control.verdict == "pass"
    assert b":scheme: https\r\n" in control.exchanges[0].sent


def test_over_tls_a_server_that_speaks_http1_only_is_not_asked_for_more(secure: dict[str, Any]) -> None:
    with serve(guarded, http="h11", **secure) as running:
        report = check([f"wss://127.0.0.1:{running.port}/ws"], CheckOptions(select=tuple(OVER_HTTP2), timeout=10))
    assert reasons(report) == {"the server does not speak HTTP/2 here"}
    assert (report.exit_code, report.targets[0].problem) == (0, None)
