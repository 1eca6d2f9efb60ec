"""The public names: there, listed, and imported when they are first used."""

from __future__ import annotations

import importlib

import pytest

import asgi_upgrade


@pytest.mark.parametrize("name", asgi_upgrade.__all__)
def test_every_public_name_is_there_and_listed(name: str) -> None:
    fresh = importlib.reload(asgi_upgrade)
    assert name in dir(fresh)
    found = getattr(fresh, name)
    assert vars(fresh)[name] is found, "from then on it is an attribute like any other"


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'asgi_upgrade' has no attribute 'UpgradeMiddlware'"):
        _ = asgi_upgrade.UpgradeMiddlware


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("asgi_upgrade.config", {"load_policy"}),
        ("asgi_upgrade.testing", {"NetworkStream", "UpgradeTransport"}),
        pytest.param(
            "asgi_upgrade.uvicorn",
            {"AutoProtocol", "H11Protocol", "HttpToolsProtocol", "ZttpProtocol"},
            marks=pytest.mark.newest,  # the oldest uvicorn has no zttp
        ),
    ],
)
def test_what_a_public_module_promises_is_listed_there(module: str, names: set[str]) -> None:
    promising = importlib.import_module(module)
    assert set(promising.__all__) == names
    assert [name for name in names if not hasattr(promising, name)] == []
