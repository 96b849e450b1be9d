"""Kill points: at each event of an honest run the worker is killed, told to stop, or paused past its lease."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.explore.cells import Operation
from harness.explore.requests import Labels, key_pattern, request_name
from harness.faults import Trigger
from harness.history import (
    CryoEnded,
    CryoStarted,
    CryoWrote,
    DispatcherCall,
    Event,
    MessageAcknowledged,
    MessageReceived,
    RpcCall,
    StoreRequest,
    StoreResponse,
    of,
)

SIGNALS = ("SIGKILL", "SIGSTOP", "SIGTERM")
_PLAIN = (CryoStarted, CryoWrote, CryoEnded, MessageReceived, MessageAcknowledged, DispatcherCall)


@dataclass(frozen=True, slots=True)
class KillPoint:
    """An event, how a trigger selects it, and how many claims and completions came up to it."""

    operation: Operation
    event: str
    match: str
    claims: int
    completions: int
    is_acknowledged: bool


def kill_points(events: Sequence[Event]) -> list[KillPoint]:
    """Return the events at which a worker can be killed, from its first action until the harness stops it."""
    labels, counts = Labels(events), Counter[str]()
    requests = {event.number: event for event in of(events, StoreRequest)}
    points = []
    claims = completions = 0
    acknowledged = False
    for event in events:
        if event.kind in {"harness_action", "exit"}:
            break
        if isinstance(event, DispatcherCall):
            claims += event.kind == "claim"
            completions += event.kind == "complete"
        acknowledged |= isinstance(event, MessageAcknowledged)
        selected = _selected(event, requests, labels)
        if selected is None:
            continue
        name, match = selected
        counts[name] += 1
        points.append(KillPoint(Operation(name, counts[name]), event.kind, match, claims, completions, acknowledged))
    return points


def _selected(event: Event, requests: dict[int, StoreRequest], labels: Labels) -> tuple[str, str] | None:
    """Return the name of an event and the text by which a trigger finds it; None for events that are not explored."""
    if isinstance(event, RpcCall):
        return f"rpc_call-{event.method}", re.escape(event.method)
    if isinstance(event, StoreRequest):
        return f"sent-{request_name(event, labels)}", f"^{event.operation} .*{_in_words(event)}"
    if isinstance(event, StoreResponse):
        request = requests[event.request_number]
        return f"done-{request_name(request, labels)}", _in_words(request)
    return (event.kind, "") if isinstance(event, _PLAIN) else None


def _in_words(request: StoreRequest) -> str:
    """Return a pattern for the key of a request inside the words that a trigger searches."""
    if request.operation not in {"put", "get"}:
        return ""
    return key_pattern(request.key).removeprefix("(^|/)").removesuffix("$") + " "


def triggers(point: KillPoint, signal: str, *, service: bool) -> Iterator[Trigger]:
    """Yield what happens at a kill point: another worker starts, the first one gets the signal.

    A paused worker continues when the other one has completed the task. Where it had completed the task itself, it
    continues when the other one has tried to claim it. A process for one attempt continues when the other has ended.

    Raises:
        ValueError: no later event could wake a paused worker.
    """
    if signal == "SIGSTOP" and service and point.is_acknowledged:
        raise ValueError("no wake-up is left for another worker, after whose claim this one could continue")
    at: dict[str, object] = {"event": point.event, "match": point.match, "nth": point.operation.nth, "times": 1}
    if service or signal == "SIGSTOP":
        yield _trigger("start-worker", at)
    yield _trigger(signal, at)
    if signal != "SIGSTOP":
        return
    if not service:
        wake: dict[str, object] = {"event": "exit", "nth": 1}
    elif point.completions:
        wake = {"event": "claim", "nth": point.claims + 1}
    else:
        wake = {"event": "complete", "nth": 1}
    yield _trigger("SIGCONT", wake | {"times": 1})


def _trigger(do: str, fields: dict[str, object]) -> Trigger:
    return Trigger(do=do, **fields)  # type: ignore[arg-type] # pydantic checks them
