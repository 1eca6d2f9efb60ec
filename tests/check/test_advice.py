"""What to change where the valid handshake is not accepted."""

from __future__ import annotations

import json

import pytest

from asgi_upgrade.check.advice import ADVICE, advice
from asgi_upgrade.check.wire.exchange import CLOSED
from asgi_upgrade.check.wire.response import Response


def answer(status: int, **problem: object) -> Response:
    fields = ((b"content-type", b"application/problem+json"),) if problem else ()
    return Response(
        status=status, version="1.1", fields=fields, head=b"", body=json.dumps(problem).encode(), complete=True
    )


@pytest.mark.parametrize(
    ("got", "words"),
    [
        pytest.param(answer(421), "allowed-hosts in [tool.asgi-upgrade.policy]", id="421"),
        pytest.param(answer(400, rule="misdirected"), "allowed-hosts in [tool.asgi-upgrade.policy]", id="misdirected"),
        pytest.param(answer(403), "-H 'Authorization: ...', -H 'Cookie: ...'", id="403"),
        pytest.param(answer(401), "a token in the query, --ws-path '/ws?token=...'", id="401"),
        pytest.param(answer(403, rule="ws-origin-check"), "that the service admits with --origin", id="origin"),
        pytest.param(answer(400, rule="ws-subprotocol-required"), "with --subprotocol", id="subprotocol"),
        pytest.param(answer(429, rule="max-connections-per-client"), "or lower --jobs", id="full"),
        pytest.param(answer(404), "no WebSocket is served at that path; name one with --ws-path", id="404"),
    ],
)
def test_the_answer_says_what_to_try(got: Response, words: str) -> None:
    assert words in advice(got)


@pytest.mark.parametrize(
    "got", [answer(400), answer(500, rule="of-another-service"), answer(400, rule=7), CLOSED], ids=str
)
def test_an_answer_without_a_reason_gets_the_general_advice(got: Response) -> None:
    assert advice(got) == ADVICE
