"""The law that tokens stay where they belong (SEC-1): a simulated history has them as they are, not masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.fakes.dispatcher.wire import CLAIM, COMPLETE
from harness.history import DispatcherCall, StoreResponse, of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history import Event

TOKENS = ("lease_token", "capability_token")
"""The fields of the answer to a claim that are secrets."""


def told_tokens(events: Sequence[Event], worker_token: str) -> list[str]:
    """Find tokens in what a worker reports of an attempt and in what it stores."""
    calls = of(events, DispatcherCall)
    tokens = {
        str(call.response[name]) for call in calls if call.kind == CLAIM for name in TOKENS if name in call.response
    }
    tokens.add(worker_token)
    told = [
        ("a completion", f"{call.request.get('error_message')}{call.request.get('datasets_published')}")
        for call in calls
        if call.kind == COMPLETE
    ]
    told += [("an object", f"{put.key}{put.metadata}") for put in of(events, StoreResponse)]
    found = {place for place, text in told if any(token in text for token in tokens)}
    return [f"SEC-1: expected no token in {place}; seen: one" for place in sorted(found)]
