"""Laws of runs with a signal, which checks of single scenarios can't know."""

from __future__ import annotations

from collections.abc import Sequence

from harness.contract import MANIFEST_NAME
from harness.explore.cells import Cell
from harness.history import (
    CryoEnded,
    CryoStarted,
    DispatcherCall,
    Event,
    HarnessAction,
    StoreResponse,
    final_state,
    of,
)

CRYO_SECONDS = 3.0
"""How long Cryo may run after its worker was killed: the kernel stops it at once, and the machine may be busy."""
OK = 200


def broken_laws(cell: Cell, events: Sequence[Event]) -> list[tuple[str, str]]:
    """Return the clauses that a cell with a signal breaks, with what was expected and seen."""
    if not cell.scenario.triggers:
        return []
    return [*_cryo_outlives_worker(cell, events), *_cryo_runs_again(events)]


def _cryo_outlives_worker(cell: Cell, events: Sequence[Event]) -> list[tuple[str, str]]:
    """Find Cryo processes that still run a while after SIGKILL of their worker (STG-5)."""
    kills = [event for event in of(events, HarnessAction) if event.action == "SIGKILL"]
    if cell.fault != "SIGKILL" or not kills:
        return []
    ends = {event.start_number: event.at for event in of(events, CryoEnded)}
    found = []
    for cryo in of(events, CryoStarted):
        seconds = ends.get(cryo.number, final_state(events).at) - kills[0].at
        if cryo.number < kills[0].number and seconds > CRYO_SECONDS:
            text = f"expected Cryo ends with its worker; seen: it ran for {seconds:.1f} s after SIGKILL"
            found.append(("STG-5", text))
    return found


def _cryo_runs_again(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Find Cryo processes of attempts that were claimed when the version was already stored with its manifest (LAY-10).

    Without faults of the store, the manifest comes last.
    """
    stored = [
        event.number
        for event in of(events, StoreResponse)
        if event.kind == "object_put" and event.key.endswith(MANIFEST_NAME) and event.status == OK
    ]
    claims = [
        event.number
        for event in of(events, DispatcherCall)
        if event.kind == "claim" and event.attempt and stored and event.number > stored[0]
    ]
    late = [event.number for event in of(events, CryoStarted) if claims and event.number > claims[0]]
    text = "expected no Cryo for a version that is complete; seen: Cryo was started again"
    return [("LAY-10", text) for _ in late[:1]]
