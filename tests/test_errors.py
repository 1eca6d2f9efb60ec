from __future__ import annotations

import pickle

import pytest

from asgi_upgrade.errors import ClientDisconnected, ConfigurationError, HandshakeViolation, UpgradeError


@pytest.mark.parametrize(
    ("error", "text", "attributes"),
    [
        pytest.param(
            ConfigurationError("h2c", "yes\n", 'write "ignore" or "reject"'),
            'h2c="yes\\x0a": write "ignore" or "reject"',
            {"option": "h2c", "value": "yes\n", "remedy": 'write "ignore" or "reject"'},
            id="configuration",
        ),
        pytest.param(
            ConfigurationError("jobs", 0, "write a number"), "jobs=0: write a number", {"value": 0}, id="number"
        ),
        pytest.param(ConfigurationError("jobs", "0", "write"), 'jobs="0": write', {"value": "0"}, id="number-as-str"),
        pytest.param(ConfigurationError("jobs", b"0\n", "write"), "jobs=b'0\\x5cn': write", {}, id="octets"),
        pytest.param(
            ConfigurationError("jobs", True, "write", "true"),
            "jobs=true: write",
            {"value": True},
            id="another-notation",
        ),
        pytest.param(
            ConfigurationError("jobs", [0] * 99, "write"), f"jobs=[{'0, ' * 65}0...: write", {}, id="long-list"
        ),
        pytest.param(
            HandshakeViolation("asgi-no-101", "status 101"),
            "status 101 [asgi-no-101]",
            {"rule": "asgi-no-101", "what": "status 101"},
            id="handshake",
        ),
        pytest.param(ClientDisconnected(), "the connection is closed", {}, id="disconnected"),
    ],
)
def test_exception_says_what_it_holds(error: UpgradeError, text: str, attributes: dict[str, str]) -> None:
    assert str(error) == text
    assert {name: getattr(error, name) for name in attributes} == attributes


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        pytest.param(ConfigurationError, ValueError, id="configuration"),
        pytest.param(HandshakeViolation, RuntimeError, id="handshake"),
        pytest.param(ClientDisconnected, OSError, id="disconnected"),
    ],
)
def test_exception_is_caught_by_its_name_and_by_the_built_in_one(kind: type[Exception], base: type[Exception]) -> None:
    assert issubclass(kind, UpgradeError)
    assert issubclass(kind, base)


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("h2c", True, "write it", "true"),
        HandshakeViolation("asgi-no-101", "101"),
        ClientDisconnected(),
    ],
    ids=["configuration", "handshake", "disconnected"],
)
def test_exception_survives_pickling(error: UpgradeError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled the line before
    assert type(again) is type(error)
    assert str(again) == str(error)
