"""What the policy decides in several workers, as one set of metrics for Prometheus at ``/metrics``.

Each worker has counters of its own, and a scrape reaches one of them. prometheus_client keeps the values of every
process in the files of one folder, which has to be empty at the start::

    export PROMETHEUS_MULTIPROC_DIR=$(mktemp -d)
    uvicorn examples.metrics_workers:app --http asgi_upgrade.uvicorn:AutoProtocol --workers 4
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as SharedCounter
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_upgrade import Decision, Scope, protect

decisions = SharedCounter(
    "asgi_upgrade_decisions", "Requests to upgrade that were judged", ["protocol", "verdict", "rule"]
)


def count(decision: Decision, scope: Scope) -> None:
    if decision.verdict != "end":  # of a connection, which was counted when it began
        verdict = "report" if decision.report_only else decision.verdict
        decisions.labels(decision.protocol, verdict, decision.rule).inc()


async def metrics(request: Request) -> Response:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"content-type": media_type})


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


app = protect(
    Starlette(routes=[Route("/metrics", metrics), WebSocketRoute("/ws", echo)]),
    on_decision=count,
    report_only=True,
)
