"""Situations that a campaign must reach at least once: a campaign that never reached one has shown nothing about it.

They are recognised in the history of a run. Whether the worker did the right thing in them is for the
checks to judge, not for this module.
"""

from __future__ import annotations

from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.history import (
    CryoEnded,
    CryoStarted,
    DispatcherCall,
    FaultFired,
    HarnessAction,
    MessageReceived,
    StoreRequest,
    StoreResponse,
    of,
)
from harness.simulate.world import BESIDE_LIVE_ATTEMPT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.history import Event


def reached(events: Sequence[Event]) -> set[str]:
    """Return the names of the situations that a history shows."""
    return {name for name, shows in SITUATIONS.items() if shows(events)}


def _attempts(events: Sequence[Event]) -> list[list[Event]]:
    """Split a history at its claims; what came before the first claim is left out."""
    starts = [
        index
        for index, event in enumerate(events)
        if isinstance(event, DispatcherCall) and event.kind == "claim" and event.response.get("attempt") is not None
    ]
    return [list(events[start:end]) for start, end in pairwise([*starts, len(events)])]


def _stored(events: Sequence[Event]) -> set[str]:
    """Return the keys that were stored, whether or not the worker knows it."""
    return {put.key for put in of(events, StoreResponse) if _is_stored(put)}


def _is_stored(put: StoreResponse) -> bool:
    return put.operation == "PUT" and put.status == HTTPStatus.OK


def _completed(events: Sequence[Event]) -> int:
    """Count the completions that the dispatcher accepted."""
    completions = [call for call in of(events, DispatcherCall) if call.kind == "complete"]
    return sum("outcome" in call.request and "error" not in call.response for call in completions)


def _has_manifest(events: Sequence[Event]) -> bool:
    return any(key.endswith("_manifest.json") for key in _stored(events))


def _cryo_runs_at_kill(events: Sequence[Event]) -> bool:
    running: set[int] = set()
    for event in events:
        if isinstance(event, CryoStarted):
            running.add(event.number)
        elif isinstance(event, CryoEnded):
            running.discard(event.start_number)
        elif isinstance(event, HarnessAction) and event.action == "SIGKILL" and running:
            return True
    return False


def _taken_over(shows: Callable[[Sequence[Event]], bool]) -> Callable[[Sequence[Event]], bool]:
    """Return whether an attempt that was not the last one shows something."""
    return lambda events: any(shows(attempt) for attempt in _attempts(events)[:-1])


def _own_lost_put(events: Sequence[Event]) -> bool:
    lost: set[str] = set()
    for put in of(events, StoreResponse):
        if put.operation == "PUT" and put.status == HTTPStatus.PRECONDITION_FAILED and put.key in lost:
            return True
        if _is_stored(put) and put.delivered_status is None:
            lost.add(put.key)
    return False


def _adopted_files(events: Sequence[Event]) -> bool:
    attempts = _attempts(events)
    if len(attempts) < 2 or not of(attempts[-1], CryoStarted):  # noqa: PLR2004 - an earlier attempt and a later one
        return False
    earlier = {key for attempt in attempts[:-1] for key in _stored(attempt) if key.endswith(".parquet")}
    return bool(earlier - _stored(attempts[-1])) and _has_manifest(attempts[-1])


def _adopted_version(events: Sequence[Event]) -> bool:
    attempts = _attempts(events)
    return any(_has_manifest(attempt) for attempt in attempts[:-1]) and not of(attempts[-1], CryoStarted)


def _renewed_after_failure(events: Sequence[Event]) -> bool:
    for attempt in _attempts(events):
        answered = [call.status == HTTPStatus.OK for call in of(attempt, DispatcherCall) if call.kind == "heartbeat"]
        if (False, True) in pairwise(answered):
            return True
    return False


def _replaced(events: Sequence[Event], suffix: str) -> bool:
    return any(
        put.if_match is not None and put.status == HTTPStatus.OK and put.key.endswith(suffix)
        for put in of(events, StoreResponse)
    )


def _others_object(events: Sequence[Event]) -> bool:
    """Return whether a PUT finds an object that another worker has stored."""
    senders = {request.number: request.worker for request in of(events, StoreRequest)}
    stored: dict[str, int | None] = {}
    for put in of(events, StoreResponse):
        sender = senders[put.request_number]
        if _is_stored(put):
            stored[put.key] = sender
        elif put.status == HTTPStatus.PRECONDITION_FAILED and stored.get(put.key, sender) != sender:
            return True
    return False


def _writes_without_lease(events: Sequence[Event]) -> bool:
    """Return whether a worker stores something after another worker has claimed the task."""
    senders = {request.number: request.worker for request in of(events, StoreRequest)}
    claims = [
        claim
        for claim in of(events, DispatcherCall)
        if claim.kind == "claim" and claim.response.get("attempt") is not None
    ]
    for put in of(events, StoreResponse):
        owners = [claim.worker for claim in claims if claim.number < put.number]
        if owners and _is_stored(put) and senders[put.request_number] != owners[-1]:
            return True
    return False


def _drained(events: Sequence[Event], outcome: str) -> bool:
    """Return whether a worker that got SIGTERM during an attempt reports it with an outcome."""
    draining: set[int | None] = set()
    for event in events:
        if isinstance(event, HarnessAction) and event.action == "SIGTERM":
            draining.add(event.worker)
        if isinstance(event, DispatcherCall) and event.kind == "complete" and event.worker in draining:
            return bool(event.request.get("outcome") == outcome)
    return False


def _acted(action: str) -> Callable[[Sequence[Event]], bool]:
    return lambda events: any(event.action == action for event in of(events, HarnessAction))


def _fired(operation: str, kind: str) -> Callable[[Sequence[Event]], bool]:
    """Return whether a fault of a kind has fired for an operation of a name."""
    return lambda events: any(
        event.fault.startswith(f"{operation}#") and f" {kind}" in event.fault for event in of(events, FaultFired)
    )


SITUATIONS: dict[str, Callable[[Sequence[Event]], bool]] = {
    "an attempt ends before Cryo starts, and another takes over": _taken_over(
        lambda attempt: not of(attempt, CryoStarted) and not _completed(attempt)
    ),
    "an attempt ends after Cryo has started and before the first file is stored, and another takes over": _taken_over(
        lambda attempt: bool(of(attempt, CryoStarted)) and not _stored(attempt)
    ),
    "an attempt ends between the first stored file and the manifest, and another takes over": _taken_over(
        lambda attempt: bool(_stored(attempt)) and not _has_manifest(attempt)
    ),
    "an attempt ends after its manifest, and another takes over": _taken_over(_has_manifest),
    "a worker is killed while Cryo runs": _cryo_runs_at_kill,
    "stored files of an earlier attempt are kept": _adopted_files,
    "a complete version of an earlier attempt is published without Cryo": _adopted_version,
    "a PUT finds the worker's own object, whose answer was lost": _own_lost_put,
    "Cryo runs again in the same attempt": lambda events: any(
        len(of(attempt, CryoStarted)) > 1 for attempt in _attempts(events)
    ),
    "a heartbeat fails, and a later one renews the lease": _renewed_after_failure,
    "a completion is sent again after it was accepted": lambda events: any(
        _completed(attempt) > 1 for attempt in _attempts(events)
    ),
    "a wake-up is delivered again": lambda events: len(of(events, MessageReceived)) > 1,
    "an object is replaced with If-Match": lambda events: _replaced(events, ".parquet"),
    "an incomplete manifest is replaced with If-Match": lambda events: _replaced(events, "_manifest.json"),
    "a PUT finds the object of another worker": _others_object,
    "a worker writes after another one has claimed its task": _writes_without_lease,
    "a draining worker finishes its attempt": lambda events: _drained(events, "success"),
    "a draining worker hands its attempt back": lambda events: _drained(events, "retryable_error"),
    "a worker starts, and sweeps, beside the locked directory of a live attempt": _acted(BESIDE_LIVE_ATTEMPT),
    "a lease is taken while its attempt runs": _acted("take-lease"),
    "the disk is full while Cryo writes": _fired("cryo.file", "cut-off"),
    "the power fails while Cryo runs": _fired("cryo.file", "power-loss"),
    "a stopped worker goes on after its lease": _fired("store.create", "stopped"),
}
"""What shows each situation, by the name under which a campaign reports it."""
