"""Headless Chromium, and pages for it that come from elsewhere."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

WAIT = 20.0

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")

needs_chromium = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@contextlib.contextmanager
def chromium(profile: Path, *arguments: str) -> Iterator[Any]:
    """Run the browser.

    Args:
        profile: An empty directory.
        *arguments: Further arguments.

    Yields:
        Its driver.
    """
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in [*ARGUMENTS, *arguments, f"--user-data-dir={profile}"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def wait_for(browser: Any, script: str) -> Any:
    """Wait until a script returns something true, and return it."""
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, WAIT, poll_frequency=0.05).until(lambda driver: driver.execute_script(script))


def outcome_of(browser: Any, url: str, *protocols: str) -> str:
    """Open a WebSocket from the page that is shown; return ``open`` or ``error``."""
    browser.execute_script(
        "window.outcome = null;"
        "const socket = new WebSocket(arguments[0], arguments[1]);"
        "socket.onopen = () => (window.outcome = 'open');"
        "socket.onerror = () => (window.outcome = 'error');",
        url,
        list(protocols),
    )
    return str(wait_for(browser, "return window.outcome"))


class _Page(http.server.BaseHTTPRequestHandler):
    """A page of another origin."""

    def do_GET(self) -> None:
        page = b"<!doctype html><title>foreign</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def foreign_page() -> Iterator[int]:
    """Serve a page on another port; yield the port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
