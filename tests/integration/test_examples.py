"""The examples do what they say, run as they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import websockets
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Sum
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from examples.metrics import LABELS, observe
from tests.support.documented import documented
from tests.support.serving import TIMEOUT

CHAT = [websockets.Subprotocol("chat")]


def test_chat_is_heard_by_everybody() -> None:
    with documented("chat") as (address, _):
        assert "<title>Chat</title>" in httpx.get(address).text
        url = address.replace("http", "ws") + "/ws"
        with connect(url, subprotocols=CHAT) as anna, connect(url, subprotocols=CHAT) as bert:
            anna.send("hello")
            assert [anna.recv(TIMEOUT), bert.recv(TIMEOUT)] == ["hello", "hello"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"origin": websockets.Origin("https://evil.example"), "subprotocols": CHAT}, 403, id="origin"),
        pytest.param({}, 400, id="no-subprotocol"),
    ],
)
def test_chat_rejects_who_does_not_belong(changes: dict[str, Any], status: int) -> None:
    with documented("chat") as (address, log):
        with (
            pytest.raises(websockets.InvalidStatus) as refused,
            connect(address.replace("http", "ws") + "/ws", **changes),
        ):
            pass
        assert refused.value.response.status_code == status
        assert httpx.get(f"{address}/ws").status_code == 426
    assert "asgi_upgrade: rejected GET" in "".join(log)


def test_fastapi_example_echoes_and_serves_an_h2c_client() -> None:
    with documented("fastapi_app") as (address, _):
        url = address.replace("http", "ws")
        with connect(f"{url}/ws/red", origin=websockets.Origin("https://shop.example")) as client:
            client.send("hello")
            assert client.recv(TIMEOUT) == "red: hello"
        offer = {
            "Upgrade": "h2c",
            "Connection": "Upgrade, HTTP2-Settings",
            "HTTP2-Settings": "AAMAAABkAAQBAAAAAAIAAAAA",
        }
        assert httpx.get(f"{address}/health", headers=offer).json() == {"ok": True}


def test_metrics_are_there_for_prometheus() -> None:
    with documented("metrics") as (address, _):
        url = address.replace("http", "ws") + "/ws"
        with connect(url, origin=websockets.Origin("https://evil.example")) as client:
            client.send("hello")
            assert client.recv(TIMEOUT) == "hello"
        offer = {"Upgrade": "made-up", "Connection": "Upgrade"}
        httpx.get(f"{address}/metrics", headers=offer)
        response = httpx.get(f"{address}/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    (family,) = text_string_to_metric_families(response.text)
    assert (family.name, family.type) == ("asgi_upgrade_decisions", "counter")
    assert {tuple(sample.labels[name] for name in LABELS): sample.value for sample in family.samples} == {
        ("websocket", "report", "ws-origin-check"): 1,
        ("websocket", "switch", ""): 1,
        ("other", "ignore", "upgrade-unknown-token"): 1,
    }


def test_metrics_of_several_workers_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrape until both workers have answered: each knows what the other has counted."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with documented("metrics_workers", "--workers", "2") as (address, _):
        # A worker says that it has started before it listens.
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as patient:
            assert patient.get(f"{address}/metrics").text == ""
        url = address.replace("http", "ws") + "/ws"
        for _ in range(10):
            with connect(url, origin=websockets.Origin("https://evil.example")) as client:
                client.send("hello")
                assert client.recv(TIMEOUT) == "hello"
        for _ in range(10):
            (family,) = text_string_to_metric_families(httpx.get(f"{address}/metrics").text)
            assert {tuple(sample.labels[name] for name in LABELS): sample.value for sample in family.samples} == {
                ("websocket", "report", "ws-origin-check"): 10,
                ("websocket", "switch", ""): 10,
            }


def test_metrics_are_there_for_opentelemetry() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    counters = {("websocket", "switch", ""): 2, ("h2c", "reject", "h2c-obsolete"): 1}
    observe(counters, provider.get_meter("test"))
    counters["h2c", "reject", "h2c-obsolete"] = 3
    data = reader.get_metrics_data()
    assert data is not None
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert metric.name == "asgi_upgrade.decisions"
    points = [(point.attributes or {}, point.value) for point in cast(Sum, metric.data).data_points]
    assert {tuple(attributes[name] for name in LABELS): value for attributes, value in points} == counters
    provider.shutdown()
