"""The law that tokens stay where they belong (SEC-1).

The check of SEC-1 looks for what the runner puts in place of a secret. A simulated history comes from no runner: its
requests to the dispatcher have the labels of the dispatcher's journal, and its objects are as the worker sent them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.fakes.dispatcher.wire import COMPLETE
from harness.history import DispatcherCall, StoreResponse, of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.history import Event


def told_tokens(events: Sequence[Event], secrets: Mapping[str, str]) -> list[str]:
    """Find tokens in what a worker reports of an attempt and in what it stores; `secrets` has them by their labels."""
    told = [
        ("a completion", f"{call.request.get('error_message')}{call.request.get('datasets_published')}")
        for call in of(events, DispatcherCall)
        if call.kind == COMPLETE
    ]
    told += [("an object", f"{put.key}{put.metadata}") for put in of(events, StoreResponse)]
    marks = [text for label, secret in secrets.items() for text in (secret, f"<{label}>")]
    found = {place for place, text in told if any(mark in text for mark in marks)}
    return [f"SEC-1: expected no token in {place}; seen: one" for place in sorted(found)]
