"""Headless Chromium against the chat example, served by the command that the README names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.chromium import chromium, foreign_page, needs_chromium, outcome_of, wait_for
from tests.support.documented import documented

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


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


def test_page_of_another_origin_is_rejected_with_403(browser: Any) -> None:
    with foreign_page() as port, documented("chat") as (address, log):
        browser.get(f"http://127.0.0.1:{port}/")
        browser.get_log("browser")
        assert outcome_of(browser, address.replace("http", "ws") + "/ws", "chat") == "error"
        messages = " ".join(entry["message"] for entry in browser.get_log("browser"))
        assert "403" in messages
    assert "[ws-origin-check]" in "".join(log)
