"""What the operator is told before the first request."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from asgi_upgrade import Deflate, UpgradeMiddleware, UpgradePolicy, WebSocketOptions
from asgi_upgrade.middleware.startup import open_door, summary
from asgi_upgrade.types import Scope
from tests.support.asgi import HANDSHAKE, Recorder, http_scope, run, websocket_scope


def is_ours(origin: str, _: Scope) -> bool:
    raise AssertionError(origin)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "strict"),
        ({"mode": "lenient"}, "lenient"),
        ({"allow_origins": ["https://a.example"]}, "strict, allow_origins=['https://a.example']"),
        ({"allow_origin_regex": "https://a[.]example"}, "strict, allow_origin_regex='https://a[.]example'"),
        ({"allow_origin_regex": re.compile("a")}, "strict, allow_origin_regex='a'"),
        ({"check_origin": is_ours}, "strict, check_origin=is_ours"),
        ({"check_origin": False, "h2c": "ignore"}, "strict, check_origin=False, h2c='ignore'"),
        (
            {"websocket": WebSocketOptions(max_size=5, compression=Deflate())},
            f"strict, websocket=WebSocketOptions(max_size=5, compression={Deflate()!r})",
        ),
    ],
)
def test_summary_is_the_mode_and_what_differs_from_the_defaults(options: Any, text: str) -> None:
    assert summary(UpgradePolicy(**options)) == text
    assert repr(UpgradeMiddleware(Recorder(), **options)) == f"UpgradeMiddleware({text})"


def test_summary_is_bounded() -> None:
    text = summary(UpgradePolicy(subprotocols=[f"name{number}" for number in range(100)]))
    assert len(text) < 250
    assert text.endswith("...")


ROUTES: dict[str, UpgradePolicy | None] = {
    "/a": None,
    "/b": (lax := UpgradePolicy(check_origin=False)),
    "/c/{path:path}": None,
    "/d": lax,
}


def test_routes_stand_in_the_repr() -> None:
    routes = (
        "{'/a': None, '/b': 'strict, check_origin=False', '/c/{path:path}': None, '/d': 'strict, check_origin=False'}"
    )
    assert repr(UpgradeMiddleware(Recorder(), routes=ROUTES)) == f"UpgradeMiddleware(strict, routes={routes})"


@pytest.mark.parametrize(
    "first",
    [{"type": "lifespan"}, http_scope([]), http_scope(HANDSHAKE), websocket_scope(HANDSHAKE)],
    ids=["lifespan", "plain", "upgrade", "native"],
)
def test_every_policy_in_force_is_told_once(first: Scope, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asgi_upgrade")
    app = UpgradeMiddleware(Recorder(), routes=ROUTES)
    for scope in (first, {"type": "lifespan"}, http_scope([]), websocket_scope(HANDSHAKE)):
        run(app, scope)
    about = [(record.levelname, record.getMessage()) for record in caplog.records]
    told = [line for line in about if "in force" in line[1] or "kept out" in line[1]]
    assert told == about[: len(told)]
    assert told == [
        ("INFO", 'policy in force on "/a", "/c/{path:path}": no upgrade'),
        ("INFO", 'policy in force on "/b", "/d": strict, check_origin=False'),
        (
            "WARNING",
            'no origin is kept out on "/b", "/d" (check_origin=False): '
            "any page may open a WebSocket with the user's cookies",
        ),
        ("INFO", "policy in force elsewhere: strict"),
    ]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, None),
        ({"allow_origins": ["https://a.example"]}, None),
        ({"mode": "lenient", "allow_origins": ["https://a.example"]}, None),
        ({"check_origin": is_ours}, None),
        ({"mode": "lenient"}, 'mode="lenient" and no origin option'),
        ({"check_origin": False}, "check_origin=False"),
        ({"allow_origins": ["*"]}, 'allow_origins has "*"'),
        ({"report_only": True}, "report_only=True"),
        ({"allow_origin_regex": r"https://[a-z]+\.shop\.example"}, None),
        ({"allow_origin_regex": ".*"}, "allow_origin_regex matches https://any-other-site.invalid too"),
        ({"allow_origin_regex": "https?://.+"}, "allow_origin_regex matches https://any-other-site.invalid too"),
    ],
)
def test_open_door_is_told_with_its_reason(options: Any, why: str | None, caplog: pytest.LogCaptureFixture) -> None:
    assert open_door(UpgradePolicy(**options)) == why
    run(UpgradeMiddleware(Recorder(), **options), {"type": "lifespan"})
    said = f"no origin is kept out ({why}): any page may open a WebSocket with the user's cookies"
    assert caplog.messages == ([] if why is None else [said])


def test_what_is_in_force_can_be_asked_for() -> None:
    closed, own = None, UpgradePolicy(check_origin=False)
    app = UpgradeMiddleware(Recorder(), routes={"/a": closed, "/b/{path:path}": own}, subprotocols=["chat"])
    assert app.in_force == (
        'policy in force on "/a": no upgrade',
        'policy in force on "/b/{path:path}": strict, check_origin=False',
        'no origin is kept out on "/b/{path:path}" (check_origin=False): '
        "any page may open a WebSocket with the user's cookies",
        "policy in force elsewhere: strict, subprotocols=['chat']",
    )
    assert app.policy_of("/a") is None
    assert app.policy_of("//a") is None, "a router may merge the slashes"
    assert app.policy_of("/b/c") is own
    assert app.policy_of("/c") is app.policy
    assert UpgradeMiddleware(Recorder()).policy_of("/") == UpgradePolicy()
