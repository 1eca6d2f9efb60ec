"""What the policy decides, as metrics: for Prometheus at ``/metrics``, and for OpenTelemetry.

Run it with ``uvicorn examples.metrics:app --http asgi_upgrade.uvicorn:AutoProtocol``. The policy only reports, as one
would begin in front of clients that one does not know yet: the verdict ``report`` counts what it would have rejected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_upgrade import UpgradeMiddleware

LABELS = ("protocol", "verdict", "rule")
HELP = "Requests to upgrade that were judged"

Counters = Mapping[tuple[str, str, str], int]


class PrometheusCollector(Collector):
    """Read the counters whenever they are scraped; for several workers see ``examples/metrics_workers.py``."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the one family there is."""
        family = CounterMetricFamily("asgi_upgrade_decisions", HELP, labels=LABELS)
        for labels, count in dict(self._counters).items():
            family.add_metric(labels, count)
        yield family


def observe(counters: Counters, meter: Meter) -> None:
    """Read the counters whenever OpenTelemetry exports; without its SDK this does nothing."""

    def observations(_: CallbackOptions) -> Iterable[Observation]:
        for labels, count in dict(counters).items():
            yield Observation(count, dict(zip(LABELS, labels, strict=True)))

    meter.create_observable_counter("asgi_upgrade.decisions", [observations], unit="{request}", description=HELP)


decisions: Counter[tuple[str, str, str]] = Counter()
registry = CollectorRegistry()
registry.register(PrometheusCollector(decisions))
observe(decisions, get_meter("asgi_upgrade"))


async def metrics(request: Request) -> Response:
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"content-type": media_type})


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


app = Starlette(routes=[Route("/metrics", metrics), WebSocketRoute("/ws", echo)])
app.add_middleware(UpgradeMiddleware, counters=decisions, report_only=True)
