"""The examples in the docstrings of public names: each has one, and what they show is what comes out."""

from __future__ import annotations

import doctest
import inspect
import sys
from typing import Any

import pytest

import asgi_upgrade
import asgi_upgrade.config
import asgi_upgrade.testing
import asgi_upgrade.uvicorn
from tests.support.serving import ADAPTERS

ROOMS = (asgi_upgrade, asgi_upgrade.config, asgi_upgrade.testing, asgi_upgrade.uvicorn)

PUBLIC = {
    f"{room.__name__}.{name}": value
    for room in ROOMS
    for name in room.__all__
    if (name != "ZttpProtocol" or "zttp" in ADAPTERS)
    and (inspect.isclass(value := getattr(room, name)) or inspect.isfunction(value))
    and not hasattr(value, "__total__")  # a TypedDict only lists what UpgradePolicy explains
}


@pytest.mark.parametrize("value", PUBLIC.values(), ids=PUBLIC)
def test_what_the_example_shows_is_what_comes_out(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    module = sys.modules[value.__module__]
    text = inspect.getdoc(value) or ""
    test = doctest.DocTestParser().get_doctest(text, dict(vars(module)), value.__qualname__, module.__file__, 0)
    assert test.examples, "an example shows more than a description"
    told: list[str] = []
    failed = doctest.DocTestRunner().run(test, out=told.append).failed
    assert failed == 0, "".join(told)
