from __future__ import annotations

import re
import socket
from collections import Counter
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Host, Route, Router, WebSocketRoute

from asgi_upgrade import Deflate, UpgradeMiddleware, WebSocketOptions
from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.probes.accept import accept_of
from asgi_upgrade.check.result import Report
from asgi_upgrade.check.run import check
from asgi_upgrade.policy import UpgradePolicy
from tests.support.broken.scripted import (
    Answer,
    Closing,
    Counting,
    endless,
    head,
    resetting,
    saying,
    scripted,
    silent,
    unused_port,
)
from tests.support.broken.server import little_server
from tests.support.serving import ADAPTERS
from tests.support.survey_app import echo, page

LOGIN = (
    "see that a WebSocket is served at that very path, with what its parameters need (Starlette answers 403 where none "
    "is): --ws-path '/rooms/7?name=a'; if the endpoint asks who is there, send what it asks for: "
    "-H 'Authorization: ...', -H 'Cookie: ...', or a token in the query, --ws-path '/ws?token=...'; "
    "if it compares the origin, send one that it admits with --origin"
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def problem_of(report: Report) -> str:
    (target,) = report.targets
    assert report.exit_code == 3
    assert target.problem is not None
    return target.problem


# Targets that cannot be checked


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(silent, r"accepted the connection and did not answer in time", id="silent"),
        pytest.param(resetting, r"accepted the connection and closed the connection without an answer", id="reset"),
        pytest.param(saying(), r"closed the connection without an answer", id="closes"),
        pytest.param(saying(b"SSH-2.0-OpenSSH\r\n"), r'the answer is not HTTP/1: "SSH-2.0-OpenSSH', id="garbage"),
        pytest.param(saying(b"HTTP/1.1 two\r\n\r\n"), r"the answer is not HTTP/1", id="bad-status"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nA: b"), r"closed within the head of a response", id="half-a-head"),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100), r"the head of the response is longer than", id="fields"
        ),
        pytest.param(endless(b"", b"HTTP/1.1 102 Wait\r\n\r\n"), r"more than 16 interim responses", id="interim"),
        pytest.param(
            saying(b"HTTP/1.1 103 Early Hints\r\n\r\n"), r"was closed after an interim response", id="interim-only"
        ),
    ],
)
def test_a_server_that_does_not_answer_in_http_is_a_problem(answer: Answer, problem: str) -> None:
    with scripted(answer) as address:
        found = problem_of(check([f"http://{address}/"], CheckOptions(timeout=2.0)))
    assert re.search(problem, found)


def test_nobody_listening_is_a_problem() -> None:
    with unused_port() as port:
        found = problem_of(check([f"http://127.0.0.1:{port}/"], CheckOptions()))
    assert re.fullmatch(r"cannot connect to 127\.0\.0\.1:\d+: .*refused.*", found)


def test_one_bad_target_leaves_the_results_of_the_others() -> None:
    with little_server() as address, unused_port() as port:
        targets = [f"http://{address}/", f"http://127.0.0.1:{port}/", f"http://{address}/again"]
        report = check(
            targets, CheckOptions(http_only=True, select=("101-unasked", "host-*", "conn-pipeline"), timeout=10)
        )
    assert [bool(target.results) for target in report.targets] == [True, False, True]
    assert [target.problem is None for target in report.targets] == [True, False, True]
    assert report.exit_code == 3


def test_a_server_that_goes_away_is_a_problem_and_its_probes_are_errors() -> None:
    with scripted(saying(OK), saying(OK), closing_the_door) as address:
        report = check(
            [f"http://{address}/"], CheckOptions(http_only=True, select=("conn-*", "http10-*"), jobs=1, timeout=10)
        )
    found = problem_of(report)
    assert found.startswith(f"a probe could not be carried out: cannot connect to {address}: connection refused")
    assert {result.verdict for _, result in report.results()} >= {"error"}


def closing_the_door(sock: socket.socket) -> None:
    """Answer once more, and listen no longer."""
    saying(OK)(sock)
    raise Closing


def test_a_path_whose_plain_page_is_no_http_has_nothing_to_compare_with() -> None:
    with scripted(saying(OK), saying(b"junk")) as address:
        report = check([f"http://{address}/"], CheckOptions(select=("upgrade-ignored-serves-http",), timeout=10))
    ((_, result),) = report.results()
    assert (result.verdict, result.message) == (
        "not-exercised",
        "a plain GET of / got no answer",
    )


# The control


def denying(status: bytes) -> Answer:
    return saying(b"HTTP/1.1 " + status + b"\r\nContent-Length: 7\r\nConnection: close\r\n\r\nno, no!")


def test_a_path_that_fails_its_control_is_a_problem_and_nothing_is_passed_there() -> None:
    with scripted(denying(b"401 Unauthorized")) as address:
        report = check([f"ws://{address}/ws"], CheckOptions(timeout=10))
    found = problem_of(report)
    assert found.startswith('/ws: the valid handshake: answered 401 ("no, no!"); ')
    assert found.endswith(LOGIN)
    on_path = [result for _, result in report.results() if result.path == "/ws"]
    assert on_path[0].probe == "ws-101-status"
    assert (on_path[0].verdict, len(on_path[0].exchanges)) == ("error", 1)
    websocket = [result for result in on_path[1:] if result.rule.id.startswith("ws-")]
    assert {result.verdict for result in websocket} == {"not-exercised"}
    assert {result.message for result in websocket} == {"the valid handshake was not accepted"}


def test_other_paths_of_a_target_are_checked_although_one_fails_its_control() -> None:
    with little_server() as address:
        options = CheckOptions(ws_paths=("/nowhere", "/ws"), select=("ws-key-present",), timeout=10)
        report = check([f"http://{address}/"], options)
    assert problem_of(report).startswith("/nowhere: ")
    verdicts = {(result.path, result.verdict) for _, result in report.results()}
    assert verdicts == {("/nowhere", "not-exercised"), ("/ws", "pass")}


def test_a_service_that_wants_an_origin_is_sent_its_own() -> None:
    policy = UpgradePolicy(allow_origins=["https://shop.example"], allow_missing_origin=False, subprotocols=["chat"])
    with little_server(policed=True) as address:
        report = check([f"ws://{address}/ws"], CheckOptions(policy=policy, select=("ws-101-status",), timeout=10))
    ((_, result),) = report.results()
    assert result.verdict == "pass"
    assert f"Origin: http://{address}\r\n".encode() in result.exchanges[0].sent


def test_the_origin_and_subprotocols_given_are_sent_with_the_handshake() -> None:
    options = CheckOptions(origin="https://a.example", subprotocols=("b", "c"), select=("ws-101-status",), timeout=10)
    with little_server() as address:
        report = check([f"ws://{address}/ws"], options)
    ((_, result),) = report.results()
    assert b"Origin: https://a.example\r\nSec-WebSocket-Protocol: b, c\r\n" in result.exchanges[0].sent


@pytest.mark.parametrize(
    ("hosts", "sent"),
    [
        (["shop.example", "www.shop.example"], "shop.example"),
        (["*.shop.example:8000"], "checked.shop.example:8000"),
        (["shop.example", "127.0.0.1"], r"127\.0\.0\.1:\d+"),
        (None, r"127\.0\.0\.1:\d+"),
    ],
)
def test_a_service_is_asked_by_a_host_that_it_answers_to(hosts: list[str] | None, sent: str) -> None:
    policy = UpgradePolicy(allowed_hosts=hosts, allow_missing_origin=False, websocket_only=["/ws"])
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
    app.add_middleware(UpgradeMiddleware, policy=policy)
    options = CheckOptions(server_options={"http": "asgi_upgrade.uvicorn:AutoProtocol"}, policy=policy, timeout=10)
    report = check([app], options)
    assert report.exit_code == 0
    assert not {"fail", "error"} & {result.verdict for _, result in report.results()}
    control = report.targets[0].results[0]
    sent_first = control.exchanges[0].sent.decode("latin-1")
    assert re.search(rf"Host: {sent}\r\n.*Origin: http://{sent}\r\n", sent_first, re.DOTALL)
    assert control.verdict == "pass"
    assert re.fullmatch(r"127\.0\.0\.1:\d+", report.targets[0].address)


# The control of plain requests


def broken(status: int) -> Answer:
    return saying(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)


def test_a_service_that_answers_everything_with_an_error_of_its_own_cannot_be_checked() -> None:
    with scripted(broken(500)) as address:
        report = check([f"http://{address}/a"], CheckOptions(http_only=True, timeout=10))
    assert problem_of(report).startswith("a plain GET of /a was answered 500; name a path that is served")
    assert {result.verdict for _, result in report.results()} == {"not-exercised"}


@pytest.mark.parametrize("status", [401, 404, 405, 426])
def test_a_refusal_is_a_control(status: int) -> None:
    with scripted(broken(status)) as address:
        report = check([f"http://{address}/a"], CheckOptions(http_only=True, select=("conn-*", "http10-*"), timeout=10))
    assert report.targets[0].problem is None
    assert "pass" in {result.verdict for _, result in report.results()}


async def sockets_only(scope: Any, receive: Any, send: Any) -> None:
    """Serve nothing but WebSockets, and one page."""
    if scope["type"] == "http" and scope["path"] != "/page":
        raise RuntimeError("no page")
    app = Starlette(routes=[Route("/page", page), WebSocketRoute("/ws", echo), WebSocketRoute("/odd", echo)])
    await app(scope, receive, send)


def test_where_websockets_are_served_pages_may_be_broken_and_nothing_is_passed_on_them() -> None:
    select = ("ws-key-present", "h2c-obsolete", "conn-pipeline", "101-offered-only")
    with_page: dict[str, Any] = {"http_paths": ("/broken", "/page")}
    for more, exercised in (({}, False), (with_page, True)):
        report = check([sockets_only], CheckOptions(ws_paths=("/ws",), select=select, timeout=10, **more))
        assert report.exit_code == 0
        verdicts = {(result.probe, result.path): result.verdict for _, result in report.results()}
        assert verdicts["ws-key-present[missing]", "/ws"] == "pass"
        assert verdicts["101-offered-only", ""] == "pass"
        assert verdicts["h2c-obsolete", "/ws"] == "not-exercised"
        assert verdicts["conn-pipeline", "/page" if exercised else "/"] == ("pass" if exercised else "not-exercised")
    assert verdicts["h2c-obsolete", "/page"] == "pass"
    assert verdicts["h2c-obsolete", "/broken"] == "not-exercised"


def test_a_broken_page_that_switches_is_found_out() -> None:
    options = CheckOptions(
        ws_paths=("/ws",), http_paths=("/odd", "/broken", "/page"), select=("policy-unexpected-switch",), timeout=10
    )
    report = check([sockets_only], options)
    assert {result.path: result.verdict for _, result in report.results()} == {
        "/odd": "fail",
        "/broken": "not-exercised",
        "/page": "pass",
    }


def test_what_came_of_both_attempts_is_told() -> None:
    def answer(sock: socket.socket) -> None:
        own = b"Origin" in head(sock)
        sock.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % (b"403 No" if own else b"401 No"))

    with scripted(answer) as address:
        found = problem_of(check([f"ws://{address}/ws"], CheckOptions(timeout=10)))
    told = f"/ws: the valid handshake: answered 401; answered 403 with Origin http://{address}; "
    assert found == told + LOGIN


def test_the_detail_of_a_problem_document_is_told() -> None:
    policy = UpgradePolicy(subprotocols=["chat"], require_subprotocol=True)
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
    app.add_middleware(UpgradeMiddleware, policy=policy)
    wrong = CheckOptions(subprotocols=("caht",), select=("ws-101-status",), timeout=10)
    found = problem_of(check([app], wrong))
    assert re.fullmatch(
        r'/ws: the valid handshake: answered 400 \("none that is spoken here [^{"]*"\); the same with Origin [^;]*; '
        r"offer a subprotocol that the service speaks with --subprotocol",
        found,
    ), found


def test_where_the_reason_cannot_be_asked_for_the_advice_is_general() -> None:
    page_, refused = saying(OK), denying(b"403 Forbidden")
    with scripted(page_, page_, page_, refused, page_, refused, saying(b"junk")) as address:
        found = problem_of(check([f"ws://{address}/ws"], CheckOptions(select=("ws-101-status",), timeout=10)))
    assert found.startswith('/ws: the valid handshake: answered 403 ("no, no!"); the same with Origin ')
    assert found.endswith("and what it needs with --subprotocol, --origin or -H")


# The policy of the application


def test_what_the_middleware_of_the_application_wants_is_what_it_is_checked_against() -> None:
    """Its subprotocol is offered, its host named, its origins tried, and no more connections opened than it allows."""
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
    app.add_middleware(
        UpgradeMiddleware,
        subprotocols=["chat"],
        require_subprotocol=True,
        allowed_hosts=["shop.example"],
        allow_origins=["https://a.example"],
        max_connections=1,
    )
    select = ("ws-origin-check[listed]", "misdirected[foreign]", "ws-subprotocol-required", "max-connections")
    report = check([app], CheckOptions(select=select, timeout=10))
    assert {(result.probe, result.verdict) for _, result in report.results()} >= {
        ("ws-origin-check[listed]", "pass"),
        ("misdirected[foreign]", "pass"),
        ("ws-subprotocol-required[missing]", "pass"),
        ("ws-subprotocol-required[listed]", "pass"),
    }
    assert report.targets[0].problem is None
    assert report.targets[0].guarded


def test_a_path_is_checked_against_the_policy_of_its_route() -> None:
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/a b", echo), WebSocketRoute("/c", echo)])
    routes = {"/a b": UpgradePolicy(subprotocols=["chat"], require_subprotocol=True)}
    app.add_middleware(UpgradeMiddleware, routes=routes)
    options = CheckOptions(select=("ws-subprotocol-required[missing]",), ws_paths=("/a%20b?c",), timeout=10)
    report = check([app], options)
    assert report.targets[0].problem is None
    assert {result.verdict for _, result in report.results() if result.path.startswith("/a%20b?")} == {"pass"}
    assert {result.verdict for _, result in report.results() if result.path == "/c"} == {"not-exercised"}


def test_a_websocket_behind_a_closed_path_is_checked_as_plain_http() -> None:
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo), WebSocketRoute("/closed", echo)])
    app.add_middleware(UpgradeMiddleware, routes={"/closed": None})
    select = ("ws-101-status", "policy-unexpected-switch")
    report = check([app], CheckOptions(select=select, timeout=10))
    assert report.targets[0].problem is None
    verdicts = {(result.rule.id, result.path): result.verdict for _, result in report.results()}
    assert verdicts == {
        ("ws-101-status", "/ws"): "pass",
        ("policy-unexpected-switch", "/"): "pass",
        ("policy-unexpected-switch", "/closed"): "pass",
    }
    # What the user names is asked for, and what the project's file has goes before what stands in the application.
    named = check([app], CheckOptions(select=select, ws_paths=("/closed",), timeout=10))
    assert problem_of(named).startswith("/closed: the valid handshake: answered 403")
    assert problem_of(check([app], CheckOptions(select=select, policy=UpgradePolicy(), timeout=10))).startswith(
        "/closed"
    )


def test_the_policy_of_the_project_goes_before_that_of_the_application() -> None:
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
    app.add_middleware(UpgradeMiddleware, subprotocols=["chat"], require_subprotocol=True)
    options = CheckOptions(policy=UpgradePolicy(), select=("ws-101-status",), timeout=10)
    assert "none that is spoken here" in problem_of(check([app], options))


def test_a_middleware_that_cannot_be_made_is_a_problem_and_no_page_of_500() -> None:
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
    mistyped: Any = {"allow_origin": ["https://a.example"]}
    app.add_middleware(UpgradeMiddleware, **mistyped)
    found = problem_of(check([app], CheckOptions(timeout=10)))
    assert found.startswith("UpgradeMiddleware cannot be made: ")
    assert "did you mean 'allow_origins'?" in found


# Servers that are still starting


def test_a_url_is_given_time_to_answer() -> None:
    """First a published port has nobody behind it, then a proxy, then the service is there."""
    unready = saying(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    options = CheckOptions(http_only=True, select=("101-unasked",), wait=20, timeout=10)
    with scripted(resetting, unready, saying(OK)) as address:
        assert check([f"http://{address}/"], options).exit_code == 0


def test_the_time_given_has_an_end() -> None:
    options = CheckOptions(http_only=True, select=("101-unasked",), wait=0.3, timeout=0.1)
    with unused_port() as port:
        assert "refused" in problem_of(check([f"http://127.0.0.1:{port}/"], options))
    with scripted(saying(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")) as address:
        (target,) = check([f"http://{address}/"], options).targets
    assert target.problem is not None
    assert "a plain GET of / was answered 503" in target.problem


def test_an_adapter_without_middleware_is_told_of() -> None:
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
    served = {"http": "asgi_upgrade.uvicorn:AutoProtocol"}
    found = problem_of(check([app], CheckOptions(server_options=served, select=("ws-101-status",), timeout=10)))
    assert found.startswith("/ws: the valid handshake: answered ")
    assert found.endswith("UpgradeMiddleware, which is not to be seen in the app; add it")


def opened(sock: socket.socket) -> None:
    """Accept a handshake, and answer a ping."""
    key = head(sock).partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_of(key) + b"\r\n\r\n"
    )
    sock.recv(100)
    sock.sendall(b"\x8a\x0casgi-upgrade")
    silent(sock)


def test_a_server_that_stumbles_over_an_extension_does_not_compress() -> None:
    with scripted(saying(OK), saying(OK), saying(OK), opened, saying(b"junk"), opened) as address:
        options = CheckOptions(select=("ws-101-status", "pmd-dup-param"), timeout=10)
        report = check([f"ws://{address}/ws"], options)
    results = {result.probe: (result.verdict, result.message) for _, result in report.results()}
    assert results["ws-101-status"][0] == "pass"
    assert results["pmd-dup-param"] == ("not-exercised", "the server does not accept permessage-deflate")


# Which paths


def reasons(report: Report) -> dict[str, str]:
    return {result.probe: result.message for _, result in report.results() if result.verdict == "not-exercised"}


@pytest.mark.parametrize("path", ["", "/"])
def test_a_run_that_tries_no_handshake_is_not_green(path: str) -> None:
    with little_server() as address:
        report = check([f"http://{address}{path}"], CheckOptions(timeout=10))
        others = check(
            [f"http://{address}{path}"],
            CheckOptions(select=("http10-response-te", "policy-unexpected-switch"), timeout=10),
        )
    assert report.exit_code == 3
    assert problem_of(report) == "no WebSocket path is known; name one with --ws-path, or say --http-only"
    assert reasons(report)["ws-101-status"] == problem_of(report)
    assert reasons(report)["ws-key-present[missing]"] == problem_of(report)
    assert "policy-unexpected-switch" not in reasons(report)
    assert others.exit_code == 0


def test_a_url_with_a_path_names_where_a_websocket_is() -> None:
    with little_server() as address:
        report = check([f"http://{address}/ws"], CheckOptions(select=("ws-101-*",), timeout=10))
    assert report.exit_code == 0
    assert {result.path for _, result in report.results()} == {"/ws"}


def test_a_service_that_should_never_switch_is_found_out() -> None:
    with little_server("policy-unexpected-switch") as address:
        report = check([f"http://{address}"], CheckOptions(http_only=True, timeout=10))
    assert [result.probe for _, result in report.results() if report.fails(result)] == ["policy-unexpected-switch"]
    assert report.exit_code == 1
    assert reasons(report)["ws-101-status"] == "no WebSocket is meant here"


def test_where_no_websocket_is_meant_a_route_of_one_is_found_out() -> None:
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
    report = check([app], CheckOptions(http_only=True, select=("policy-unexpected-switch",), timeout=10))
    assert {(result.path, result.verdict) for _, result in report.results()} == {("/", "pass"), ("/ws", "fail")}
    assert report.exit_code == 1


def test_a_websocket_where_the_user_wants_none_is_found_out() -> None:
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/health", echo)])
    options = CheckOptions(http_paths=("/health",), select=("policy-unexpected-switch",), timeout=10)
    report = check([app], options)
    assert {(result.path, result.verdict) for _, result in report.results()} == {("/", "pass"), ("/health", "fail")}


def test_routes_that_cannot_be_asked_for_are_in_the_report() -> None:
    by_host = Host("api.example", Router([Route("/x", page), WebSocketRoute("/ws", echo)]))
    app = Starlette(routes=[Route("/", page), by_host])
    report = check([app], CheckOptions(select=("ws-101-status", "policy-unexpected-switch"), timeout=10))
    assert {(result.path, result.verdict, result.message) for _, result in report.results()} == {
        ("/", "pass", "a valid handshake: answered 403"),
        ("/x", "not-exercised", "the route /x is for the host api.example only; check a URL of that host"),
        ("/ws", "not-exercised", "the route /ws is for the host api.example only; check a URL of that host"),
    }


def test_where_no_path_is_listed_as_http_only_none_is_accused() -> None:
    with little_server("policy-unexpected-switch") as address:
        options = CheckOptions(ws_paths=("/ws",), select=("policy-unexpected-switch",), timeout=10)
        report = check([f"http://{address}/"], options)
    assert reasons(report) == {
        "policy-unexpected-switch": "no path is known to be HTTP only; name one with --http-path"
    }


def test_each_path_is_checked_and_plain_probes_go_to_one_that_is_there() -> None:
    options = CheckOptions(
        http_paths=("/ws", "/"), select=("policy-unexpected-switch", "conn-pipeline", "h2c-obsolete"), timeout=10
    )
    with little_server() as address:
        report = check([f"http://{address}/"], options)
    paths: dict[str, list[str]] = {}
    for _, result in report.results():
        paths.setdefault(result.probe, []).append(result.path)
    assert paths["conn-pipeline"] == ["/"]
    assert paths["policy-unexpected-switch"] == ["/ws", "/"]
    assert paths["h2c-obsolete"] == ["/ws", "/"]


# What is told of the server, and what is not told


@pytest.mark.parametrize(
    ("field", "served_by"), [(b"Server: nginx/1.26 \x1b[1m\r\n", r"nginx/1.26 \x1b[1m"), (b"", "unknown server")]
)
def test_a_running_server_is_named_by_what_it_says(field: bytes, served_by: str) -> None:
    with scripted(saying(b"HTTP/1.1 200 OK\r\n" + field + b"Content-Length: 0\r\n\r\n")) as address:
        report = check([f"http://{address}/"], CheckOptions(select=("http10-no-host",), timeout=10))
    assert report.targets[0].served_by == served_by
    assert report.targets[0].address == address


SECRET = "Bearer hunter2-0123456789"  # noqa: S105 - what must not be seen


def echoing(sock: socket.socket) -> None:
    """Answer with everything that was sent."""
    content = head(sock)
    lines = [line for line in content.split(b"\r\n") if line.startswith(b"Authorization")]
    fields = b"".join(b"X-" + line + b"\r\n" for line in lines)
    sock.sendall(b"HTTP/1.1 401 No\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, len(content), content))


def test_the_values_of_the_users_fields_are_in_no_report() -> None:
    options = CheckOptions(headers=(("Authorization", SECRET), ("X-Short", "x")), timeout=10)
    with scripted(echoing) as address:
        report = check([f"ws://{address}/ws"], options)
    assert any(b"Authorization: [redacted]" in each.sent for _, result in report.results() for each in result.exchanges)
    everything = repr(report)
    assert "hunter2" not in everything
    assert "[redacted]" in everything


def naming(sock: socket.socket) -> None:
    """Answer with the fields of the request in those of the response, and in chunks."""
    content = head(sock)
    values = {name.lower(): value for name, _, value in (line.partition(b": ") for line in content.split(b"\r\n"))}
    token, offered = values.get(b"x-token", b""), values.get(b"sec-websocket-protocol", b"")
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (token[:8], token[8:], b"sid is ckvalue99"))
    sock.sendall(
        b"HTTP/1.1 400 No\r\nServer: %b\r\nX-Offered: %b\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n"
        % (token, offered, chunks)
    )


def test_a_value_is_not_in_the_name_of_a_server_nor_parted_by_chunks() -> None:
    sent = "s3cr3t-0123456789"
    options = CheckOptions(headers=(("X-Token", sent), ("Cookie", "sid=ckvalue99; a=b")), timeout=10)
    with scripted(naming) as address:
        report = check([f"ws://{address}/ws"], options)
    assert report.targets[0].served_by == "[redacted]"
    for part in (sent[:8], sent[8:], "ckvalue99"):
        assert part not in repr(report)


def test_a_subprotocol_that_is_a_credential_is_in_no_report() -> None:
    token = "h1dden" * 6
    options = CheckOptions(subprotocols=("chat", f"bearer.{token}"), select=("ws-101-status", "ws-proto*"), timeout=10)
    with scripted(naming) as address:
        report = check([f"ws://{address}/ws"], options)
    assert token not in repr(report)
    control = report.targets[0].results[0].exchanges[0]
    assert b"\r\nSec-WebSocket-Protocol: chat, [redacted]\r\n" in control.sent
    assert b"\r\nX-Offered: chat, [redacted]\r\n" in control.received


def refusing(sock: socket.socket) -> None:
    """Refuse with what was sent, in the words that are quoted in a problem."""
    value = next((line for line in head(sock).split(b"\r\n") if line.startswith(b"X-Key: ")), b"")
    content = b"x" * 155 + value
    sock.sendall(b"HTTP/1.1 401 No\r\nUpgrade: %b\r\nContent-Length: %d\r\n\r\n%b" % (value, len(content), content))


def test_no_part_of_a_value_is_in_a_message_however_it_is_quoted_or_cut() -> None:
    options = CheckOptions(headers=(("X-Key", 'se"cret\\\xe9-hunter2-hunter3'),), timeout=10)
    with scripted(refusing) as address:
        report = check([f"ws://{address}/ws"], options)
    assert "X-" in problem_of(report)
    for part in ('se"cret', "se\\x22", "cret\\", "hunt"):
        assert part not in repr(report)


def test_the_users_fields_are_sent() -> None:
    received: list[bytes] = []

    def answer(sock: socket.socket) -> None:
        received.append(head(sock))
        sock.sendall(OK)

    with scripted(answer) as address:
        check(
            [f"http://{address}/"], CheckOptions(headers=(("X-Token", "abc"),), select=("http10-no-host",), timeout=10)
        )
    assert received
    assert all(b"\r\nX-Token: abc\r\n" in each for each in received)


def test_no_more_connections_are_opened_than_the_policy_allows() -> None:
    policy = UpgradePolicy(max_connections=3, max_connections_per_client=1)
    counting = Counting(OK)
    with scripted(counting) as address:
        check([f"http://{address}/"], CheckOptions(policy=policy, timeout=10, select=("http10-*", "conn*")))
    assert counting.most == 1


# The reference


@pytest.mark.parametrize("parser", ["H11Protocol", "HttpToolsProtocol"])
def test_the_chat_example_under_the_adapter_gets_no_finding(parser: str) -> None:
    options = CheckOptions(
        server_options={"http": f"asgi_upgrade.uvicorn:{parser}"},
        subprotocols=("chat",),
        policy=UpgradePolicy(subprotocols=["chat"], require_subprotocol=True, websocket_only=["/ws"]),
        timeout=10,
    )
    report = check(["examples.chat:app"], options)
    assert [(result.probe, result.message) for _, result in report.results() if result.verdict == "fail"] == []
    assert report.exit_code == 0
    assert report.targets[0].served_by.endswith(f"(asgi_upgrade {parser})")
    assert sum(result.verdict == "pass" for _, result in report.results()) > 150


EVERY_LINE = UpgradePolicy(
    allow_origins=["https://*.shop.example", "http://localhost:*", "null"],
    allowed_hosts=["127.0.0.1", "*.shop.example", "[::1]"],
    subprotocols=["chat", "superchat"],
    require_subprotocol=True,
    websocket_only=["/ws"],
    allow_missing_origin=False,
    websocket=WebSocketOptions(compression=Deflate()),
)
OTHERS = UpgradePolicy(
    allow_origin_regex=r"https://[a-z]+\.shop\.example",
    h2c="ignore",
    unknown_protocols="reject",
    max_connections=100,
    max_connections_per_client=4,
)


@pytest.mark.parametrize("parser", [adapter.__name__ for adapter in ADAPTERS.values()])
@pytest.mark.parametrize(("policy", "unexercised"), [(EVERY_LINE, 4), (OTHERS, 32)], ids=["every-line", "others"])
def test_what_a_policy_says_is_what_the_middleware_does(parser: str, policy: UpgradePolicy, unexercised: int) -> None:
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
    app.add_middleware(UpgradeMiddleware, policy=policy)
    options = CheckOptions(server_options={"http": f"asgi_upgrade.uvicorn:{parser}"}, policy=policy, timeout=10)
    report = check([app], options)
    results = report.targets[0].results
    assert [(result.probe, result.message) for result in results if result.verdict in ("fail", "error")] == []
    assert report.exit_code == 0
    reasons = Counter(result.message for result in results if result.verdict == "not-exercised")
    over_http2 = reasons.pop("the server does not speak HTTP/2 here", 0)
    assert (over_http2 > 0) is (parser != "ZttpProtocol")
    assert reasons.total() <= unexercised


def test_lenient_mode_is_not_blamed_for_what_it_lets_pass() -> None:
    policy = UpgradePolicy.lenient(allow_origins=["https://shop.example"])
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
    app.add_middleware(UpgradeMiddleware, policy=policy)
    options = CheckOptions(server_options={"http": "asgi_upgrade.uvicorn:AutoProtocol"}, policy=policy, timeout=10)
    report = check([app], options)
    assert [result.message for _, result in report.results() if result.verdict == "fail"] == []
    skipped = {result.rule.id for _, result in report.results() if "is lenient" in result.message}
    assert skipped == {
        *("ws-origin-single", "ws-target", "ws-protocol-grammar", "ws-protocol-nonempty", "ws-protocol-unique"),
        *("upgrade-malformed", "connection-grammar", "connection-no-e2e"),
    }


def test_what_a_policy_only_reports_goes_on() -> None:
    policy = UpgradePolicy(
        report_only=True,
        allow_origins=["https://shop.example"],
        allow_missing_origin=False,
        allowed_hosts=["shop.example"],
        subprotocols=["chat"],
        require_subprotocol=True,
        h2c="reject",
        unknown_protocols="reject",
        websocket_only=["/ws"],
        max_connections=1,
    )
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
    app.add_middleware(UpgradeMiddleware, policy=policy)
    options = CheckOptions(server_options={"http": "asgi_upgrade.uvicorn:AutoProtocol"}, policy=policy, timeout=10)
    results = [result for _, result in check([app], options).results()]
    assert [result.probe for result in results if result.verdict == "fail"] == ["ws-origin-check[cross-site]"]
    assert [result.verdict for result in results if result.probe == "upgrade-ignored-serves-http"] == ["pass"]


def make() -> Starlette:
    return Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])


@pytest.mark.parametrize("factory", [False, True])
def test_the_routes_of_a_factory_are_those_of_what_it_makes(factory: bool) -> None:
    report = check([f"{__name__}:make"], CheckOptions(factory=factory, select=("ws-101-status",), timeout=10))
    assert [(result.path, result.verdict) for _, result in report.results()] == [("/ws", "pass")]


def test_an_application_that_cannot_be_imported_is_a_problem() -> None:
    assert problem_of(check(["tests.nowhere:app"], CheckOptions())).startswith("tests.nowhere:app cannot be imported")
