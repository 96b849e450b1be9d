"""Situations that a campaign must reach at least once: a campaign that never reached one has shown nothing about it.

They are recognised in the history of a run with one task. Whether the worker did the right thing in them is for the
checks to judge, not for this module.
"""

from __future__ import annotations

from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.history import CryoEnded, CryoStarted, DispatcherCall, HarnessAction, MessageReceived, StoreResponse, of

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
    return {put.key for put in of(events, StoreResponse) if put.operation == "PUT" and put.status == HTTPStatus.OK}


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
        if put.operation == "PUT" and put.status == HTTPStatus.OK and put.delivered_status is None:
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
}
"""What shows each situation, by the name under which a campaign reports it."""
