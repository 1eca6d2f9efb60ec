"""Counting live connections."""

from __future__ import annotations

import pytest

from asgi_upgrade.middleware.capacity import Capacity


def test_no_limit_is_never_reached() -> None:
    capacity = Capacity(None, None)
    with capacity.taken("a"), capacity.taken("a"):
        assert capacity.against("a") is None


def test_limit_in_all_holds_across_clients() -> None:
    capacity = Capacity(2, None)
    with capacity.taken("a"):
        assert capacity.against("b") is None
        with capacity.taken("b"):
            assert capacity.against("c") == "max-connections"
    assert capacity.against("c") is None


def test_limit_of_one_client_leaves_room_for_others() -> None:
    capacity = Capacity(None, 1)
    with capacity.taken("a"):
        assert capacity.against("a") == "max-connections-per-client"
        assert capacity.against("b") is None
    assert capacity.against("a") is None


def test_place_is_free_again_after_a_failure() -> None:
    capacity = Capacity(1, 1)
    with pytest.raises(OSError, match="gone"), capacity.taken("a"):
        raise OSError("gone")
    assert capacity.against("a") is None
