"""Which tests are collected, and what holds for all of them."""

from __future__ import annotations

import gc
import inspect
import signal
import threading
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.peer import run
from tests.support.tracing import Tracing

# How long an example takes says more about the machine than about the code.
COMMON: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("thorough", max_examples=200, **COMMON)  # .ci/run, where coverage does not slow it down
settings.register_profile("least", max_examples=1, **COMMON)  # shows what chance alone would cover
settings.register_profile("asgi-upgrade", max_examples=50, **COMMON)
settings.load_profile("asgi-upgrade")

WORLD = Path(__file__).parent / "world"
ON_ZTTP = frozenset(
    {"uvicorn/test_zttp", "uvicorn/test_http2", "integration/test_http2_wire", "integration/test_browser_http2"}
)
"""Tests of the adapter on zttp, which the oldest uvicorn does not have."""
HAS_ZTTP = find_spec("uvicorn.protocols.http.zttp_h2_impl") is not None


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tracing())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests with real programs unless ``-m`` or a path names them, and those of a parser not there.

    A ``-m`` in addopts would be replaced by one given by hand, and their modules need packages that are not in [dev].
    """
    if collection_path == WORLD and "world" not in config.option.markexpr:
        return True
    name = f"{collection_path.parent.name}/{collection_path.stem}"
    return True if name in ON_ZTTP and not HAS_ZTTP else None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Begin elsewhere in each of several processes: what one of them has compiled, the others need not."""
    report = yield
    worker = getattr(collector.config, "workerinput", None)
    if worker is not None and collector.path == Path(__file__).parent:
        part = int(worker["workerid"].removeprefix("gw")) * len(report.result) // worker["workercount"]
        report.result = report.result[part:] + report.result[:part]
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the files one order in all processes; within a file it is the file's own."""
    items.sort(key=lambda item: item.path)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from what lives as long as the process, thousands of tests among it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function, within a bound; it fails if it leaves a task or a timer behind."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Let interrupts reach the tests about them: a shell that runs them in the background has SIGINT ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
