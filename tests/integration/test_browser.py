"""Headless Chromium against the chat example, served by the command that the README names."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.documented import documented

WAIT = 20.0

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]

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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in [*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    yield driver
    driver.quit()


def wait_for(browser: Any, script: str) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, WAIT, poll_frequency=0.05).until(lambda driver: driver.execute_script(script))


STATE = "return document.getElementById('state').textContent.includes(arguments[0] || 'connected as chat')"
LINES = "return [...document.querySelectorAll('#log li')].map((line) => line.textContent)"


def say(browser: Any, text: str) -> None:
    browser.find_element("id", "text").send_keys(text + "\n")


def test_two_tabs_exchange_messages(browser: Any) -> None:
    with documented("chat") as (address, _):
        browser.get(address)
        first = browser.current_window_handle
        wait_for(browser, STATE)
        browser.switch_to.new_window("tab")
        second = browser.current_window_handle
        browser.get(address)
        wait_for(browser, STATE)
        say(browser, "hello from the second")
        browser.switch_to.window(first)
        assert wait_for(browser, LINES) == ["hello from the second"]
        say(browser, "hello from the first")
        browser.switch_to.window(second)
        wait_for(browser, "return document.querySelectorAll('#log li').length === 2")
        assert browser.execute_script(LINES) == ["hello from the second", "hello from the first"]
        browser.close()
        browser.switch_to.window(first)
        browser.get("about:blank")


class Foreign(http.server.BaseHTTPRequestHandler):
    """A page of another origin."""

    def do_GET(self) -> None:
        page = b"<!doctype html><title>foreign</title>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_page_of_another_origin_is_rejected_with_403(browser: Any) -> None:
    foreign = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    thread = threading.Thread(target=foreign.serve_forever)
    thread.start()
    try:
        with documented("chat") as (address, log):
            browser.get(f"http://127.0.0.1:{foreign.server_port}/")
            browser.get_log("browser")
            browser.execute_script(
                "const socket = new WebSocket(arguments[0], ['chat']);"
                "socket.onopen = () => (window.outcome = 'open');"
                "socket.onerror = () => (window.outcome = 'error');",
                address.replace("http", "ws") + "/ws",
            )
            assert wait_for(browser, "return window.outcome") == "error"
            messages = " ".join(entry["message"] for entry in browser.get_log("browser"))
            assert "403" in messages
        assert "[ws-origin-check]" in "".join(log)
    finally:
        foreign.shutdown()
        foreign.server_close()
        thread.join()
