"""Coverage watches the tests, not pytest and Hypothesis at their own work.

Where Python has no ``sys.monitoring``, coverage is told of every call and line in a thread, whosever they are; what is
configured only says which of them to write down. Half of what the suite costs would go into being told of pytest's and
Hypothesis' lines. So the tracer is taken away while tests are run, and is there for each fixture's set-up, each test
function, and each example that Hypothesis makes. Other threads keep theirs throughout. It is away while tests are
collected, too; what the package does when it is imported has been traced by then.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

import pytest

import asgi_upgrade

Around = Generator[None, object, object]
"""A hook around others: what is after ``yield`` runs when they have."""


class Tracing:
    """A plugin of pytest; where nothing traces, it changes nothing."""

    def __init__(self) -> None:
        self._tracer = sys.gettrace()

    @contextmanager
    def _only(self, tracer: Any) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(tracer)
        try:
            yield
        finally:
            sys.settrace(before)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Around:
        """Import the package, and take the tracer away for the rest: compiling tests is more work than running some."""
        if self._tracer is None:
            return (yield)
        for module in pkgutil.walk_packages(asgi_upgrade.__path__, "asgi_upgrade."):
            with suppress(ImportError):  # What it is an adapter to is not there; its own tests know.
                importlib.import_module(module.name)
        with self._only(None):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Around:
        """Take the tracer away; in the process that only hands out tests to others, for good."""
        with self._only(None):
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self) -> Around:
        """Bring it back for a fixture."""
        with self._only(self._tracer):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Around:
        """Bring it back for a test, or for each of its examples."""
        property_test = getattr(pyfuncitem.obj, "hypothesis", None)
        if property_test is None:
            with self._only(self._tracer):
                return (yield)
        inner = property_test.inner_test
        property_test.inner_test = self._traced(inner)  # This attribute is there for plugins to set.
        try:
            return (yield)
        finally:
            property_test.inner_test = inner

    def _traced(self, function: Callable[..., object]) -> Callable[..., object]:
        @wraps(function)
        def traced(*args: Any, **kwargs: Any) -> object:
            with self._only(self._tracer):
                return function(*args, **kwargs)

        return traced
