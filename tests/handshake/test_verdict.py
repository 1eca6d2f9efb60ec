from __future__ import annotations

import pytest

from asgi_upgrade.handshake.verdict import Facts, Ignore, Reject, Switch
from asgi_upgrade.rules import RULES
from tests.support.facts import handshake


def test_rejection_takes_its_status_from_the_rule() -> None:
    assert Reject.of("ws-503", "too late") == Reject(rule=RULES["ws-503"], status=503, detail="too late", close=True)


def test_rejection_takes_another_status_where_one_is_given() -> None:
    rejection = Reject.of("ws-body", "too much", status=413, close=False)
    assert (rejection.status, rejection.close) == (413, False)


def test_rejection_by_a_rule_without_a_status_is_400() -> None:
    assert Reject.of("upgrade-empty", "nothing").status == 400


@pytest.mark.parametrize("value", [handshake(), Reject.of("ws-503", "late"), Ignore(), Switch(protocol="websocket")])
def test_facts_and_verdicts_cannot_be_changed(value: object) -> None:
    name = "method" if isinstance(value, Facts) else "rule" if hasattr(value, "rule") else "protocol"
    with pytest.raises(AttributeError):
        setattr(value, name, None)
