"""What an installation can enforce, and where in an app the middleware stands."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware

from asgi_upgrade import UpgradeMiddleware, UpgradePolicy
from asgi_upgrade.check import doctor
from asgi_upgrade.check.doctor import UNSERVED, deployed, diagnose, installed
from asgi_upgrade.rules import RULES


def starlette(*added: Any) -> Starlette:
    app = Starlette()
    for middleware in added:
        app.add_middleware(middleware)
    return app


async def bare(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    """Return what the doctor says of an app."""

    def about(app: Any) -> str:
        monkeypatch.setattr(sys.modules[__name__], "subject", app, raising=False)
        return diagnose(f"{__name__}:subject").text

    return about


@pytest.mark.parametrize(
    ("app", "words"),
    [
        pytest.param(starlette(UpgradeMiddleware), "stands outermost", id="added"),
        pytest.param(starlette(GZipMiddleware, UpgradeMiddleware), "stands outermost", id="added-last"),
        pytest.param(
            starlette(UpgradeMiddleware, GZipMiddleware),
            "stands inside of GZipMiddleware, which sees",
            id="added-first",
        ),
        pytest.param(UpgradeMiddleware(bare), "stands outermost", id="wrapped"),
        pytest.param(
            GZipMiddleware(UpgradeMiddleware(bare)), "stands inside of GZipMiddleware, which sees", id="wrapped-inside"
        ),
        pytest.param(GZipMiddleware(bare), "no UpgradeMiddleware is to be seen", id="other"),
        pytest.param(starlette(GZipMiddleware), "no UpgradeMiddleware is to be seen", id="other-added"),
        pytest.param(bare, "no UpgradeMiddleware is to be seen", id="bare"),
    ],
)
def test_where_the_middleware_stands(say: Callable[[Any], str], app: Any, words: str) -> None:
    assert words in say(app)


def test_every_rule_is_in_one_group() -> None:
    text = diagnose().text
    groups = re.findall(r"^(.*) \((\d+) rules\):\n((?:  .*\n)+)", text, re.MULTILINE)
    named = [rule for *_, rules in groups for rule in re.split(r",\s+", rules.strip())]
    assert sorted(named) == sorted(RULES)
    assert [int(count) for _, count, _ in groups] == [len(re.split(r",\s+", rules.strip())) for *_, rules in groups]
    alone, adapter, server = (rules for *_, rules in groups)
    assert "ws-key-present" in alone
    assert "upgrade-http10-ignore" in adapter
    assert "request-grammar" in adapter
    assert "field-name-space" in server


def groups_of(text: str) -> dict[str, list[str]]:
    """Return the rules by what is said of them."""
    found = re.findall(r"^(.*) \(\d+ rules\):\n((?:  .*\n)+)", text, re.MULTILINE)
    return {title: re.split(r",\s+", rules.strip()) for title, rules in found}


def test_what_the_server_keeps_from_the_middleware_is_not_enforced_by_it_alone() -> None:
    groups = groups_of(diagnose(options={"http": "httptools", "ws": "websockets-sansio"}).text)
    alone = groups["the middleware alone enforces, or the server meets already"]
    adapter = groups["the middleware needs the adapter for, or a server that does it itself"]
    for rule_id in ("ws-version-mismatch", "ws-version-426", "ws-body", "ws-header-cost"):
        assert rule_id not in alone
        assert rule_id in adapter
    for rule_id in ("405-allow", "expect-417", "policy-unexpected-switch"):
        assert rule_id in groups["only the server, or the app, can meet"]


@pytest.mark.parametrize(
    ("options", "served", "hidden"),
    [
        ({"http": "h11", "ws": "websockets"}, "uvicorn (h11, websockets)", "ws-version-mismatch"),
        ({"http": "h11", "ws": "wsproto"}, "uvicorn (h11, wsproto)", "426-upgrade"),
        ({"ws": "none"}, "uvicorn (httptools, no WebSocket library)", ""),
    ],
)
def test_the_server_is_the_one_deployed(options: dict[str, str], served: str, hidden: str) -> None:
    text = diagnose(options=options).text
    assert f"served by          {served}, as [tool.asgi-upgrade.check] has it\n" in text
    adapter = groups_of(text)["the middleware needs the adapter for, or a server that does it itself"]
    assert not hidden or hidden in adapter


@pytest.mark.newest
def test_websockets_over_http2_that_fail_in_browsers_are_told_of_with_what_mends_them() -> None:
    text = diagnose(options={"http": "zttp", "http2": True, "ws": "websockets-sansio"}).text
    assert "served by          uvicorn (auto-zttp, websockets-sansio), as" in text
    (told,) = re.findall(r"^over HTTP/2        (.*\n(?: {19}.*\n)*)", text, re.MULTILINE)
    assert " ".join(told.split()) == UNSERVED
    assert max(map(len, told.splitlines())) <= 110
    adapter = groups_of(text)["the middleware needs the adapter for, or a server that does it itself"]
    assert "ws-body" in adapter, "what is hidden over HTTP/1.1 is as without HTTP/2"


@pytest.mark.newest
def test_strict_fails_for_what_is_offered_over_http2_and_not_served() -> None:
    diagnosis = diagnose(options={"http": "zttp", "http2": True}, strict=True)
    assert diagnosis.exit_code == 1
    assert "strict: WebSocket is offered over HTTP/2 and not served: --http asgi" in diagnosis.text
    assert "over HTTP/2" not in diagnose(options={"http": "zttp"}, strict=True).text


@pytest.mark.newest
@pytest.mark.parametrize("options", [{"http": "zttp"}, {"http": "asgi_upgrade.uvicorn:ZttpProtocol"}, {"http": "h11"}])
def test_nothing_is_told_of_http2_where_its_websockets_do_not_fail(options: dict[str, str]) -> None:
    assert "over HTTP/2" not in diagnose(options={**options, "ws": "websockets-sansio"}).text


def test_another_server_is_known_too() -> None:
    text = diagnose(server="hypercorn").text
    assert "served by          hypercorn, by default\n" in text
    assert "h2c-obsolete" in groups_of(text)["the middleware needs the adapter for, or a server that does it itself"]


def test_on_the_adapter_the_middleware_enforces_the_rest_too() -> None:
    text = diagnose(options={"http": "asgi_upgrade.uvicorn:H11Protocol"}).text
    assert "served by          uvicorn (asgi_upgrade H11Protocol), as" in text
    assert "upgrade-http10-ignore" in groups_of(text)["the middleware enforces on the adapter, which serves here"]


def test_nothing_is_enforced_in_an_app_without_the_middleware(say: Callable[[Any], str]) -> None:
    text = say(bare)
    assert "without it, there is only what the server does by itself" in text
    assert " enforces" not in text
    assert "the middleware alone would enforce, or the server meets already (" in text


def test_options_that_uvicorn_does_not_take_are_told_and_the_rest_said() -> None:
    diagnosis = diagnose(options={"http": "nowhere:Protocol"})
    assert diagnosis.exit_code == 3
    assert "served by          uvicorn does not take its options: " in diagnosis.text
    assert "the middleware alone enforces" in diagnosis.text


def test_what_is_deployed_stands_in_the_nearest_file(tmp_path: Path) -> None:
    assert deployed(tmp_path) == ("uvicorn", None)
    (tmp_path / "pyproject.toml").write_text('[tool.asgi-upgrade.check]\nserver-options = { http = "h11" }\n')
    assert deployed(tmp_path) == ("uvicorn", {"http": "h11"})


def test_what_is_installed_is_named_with_its_version() -> None:
    text = diagnose().text
    assert re.search(r"^server +uvicorn \d", text)
    assert re.search(r"^parser +httptools \S+, which uvicorn takes by default; also h11 \d", text, re.MULTILINE)
    assert "adapter            available: uvicorn --http asgi_upgrade.uvicorn:AutoProtocol\n" in text


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("wsproto", "hypercorn"):
            return "1.0"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", version)
    text = diagnose().text
    assert "server             uvicorn is not installed\n" in text
    assert "parser             none is installed\n" in text
    assert "WebSocket library  wsproto 1.0\n" in text
    assert "adapter            not available; it needs uvicorn\n" in text
    assert "other server       hypercorn 1.0, which cannot take the adapter\n" in text
    assert installed("h11") is None


def test_an_app_that_cannot_be_imported_is_told_and_the_rest_said(tmp_path: Path) -> None:
    diagnosis = diagnose("nothing_there:app")
    assert diagnosis.exit_code == 3
    assert "nothing_there:app cannot be imported: ModuleNotFoundError" in diagnosis.text
    assert "the middleware alone enforces" in diagnosis.text


# The policies in force


def protected(**options: Any) -> Starlette:
    app = Starlette()
    app.add_middleware(UpgradeMiddleware, **options)
    return app


def test_the_policies_in_force_come_first_with_their_routes(say: Callable[[Any], str]) -> None:
    routes = {"/admin/{path:path}": UpgradePolicy(allowed_hosts=["admin.shop.example"]), "/api": None}
    text = say(protected(routes=routes, check_origin=False))
    assert text.startswith(
        f"{__name__}:subject: UpgradeMiddleware stands outermost\n"
        "  policy in force on \"/admin/{path:path}\": strict, allowed_hosts=['admin.shop.example']\n"
        '  policy in force on "/api": no upgrade\n'
        "  policy in force elsewhere: strict, check_origin=False\n"
        "  no origin is kept out elsewhere (check_origin=False): any page may open a WebSocket with the user's "
        "cookies\n"
        "\n"
        "server             uvicorn "
    )


def test_options_that_stop_the_deploy_are_told(say: Callable[[Any], str]) -> None:
    text = say(protected(subprotocol=["chat"]))
    assert "UpgradeMiddleware cannot be made: " in text
    assert "did you mean 'subprotocols'?" in text
    assert diagnose(f"{__name__}:subject").exit_code == 3


@pytest.mark.parametrize(
    ("app", "http", "code", "words"),
    [
        pytest.param(protected(), "asgi_upgrade.uvicorn:AutoProtocol", 0, "", id="all-there"),
        pytest.param(bare, "asgi_upgrade.uvicorn:AutoProtocol", 1, "no UpgradeMiddleware stands", id="no-middleware"),
        pytest.param(protected(), "httptools", 1, "rules of level must need the adapter, or a server", id="no-adapter"),
    ],
)
def test_strict_fails_where_something_is_missing(
    say: Callable[[Any], str], app: Any, http: str, code: int, words: str
) -> None:
    say(app)
    lax = diagnose(f"{__name__}:subject", options={"http": http})
    strict = diagnose(f"{__name__}:subject", options={"http": http}, strict=True)
    assert (lax.exit_code, strict.exit_code) == (0, code)
    told = [line for line in strict.text.splitlines() if line.startswith("strict: ")]
    assert len(told) == code
    assert words in "".join(told)


def test_strict_judges_what_serves_or_nothing(say: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch) -> None:
    say(protected())
    assert diagnose(f"{__name__}:subject", server="hypercorn", strict=True).exit_code == 1
    monkeypatch.setattr(doctor, "installed", lambda name: None)
    assert diagnose(f"{__name__}:subject", strict=True).exit_code == 1, "nothing is known of what serves"
