"""Generates the cells of a scenario from the history of an honest run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from harness.explore.cells import SIGNALLED, Cell, Operation, Skipped, breadth_first, cell_name
from harness.explore.expect import Expectation
from harness.explore.faults import dispatcher_faults, rpc_faults, store_faults
from harness.explore.kills import SIGNALS, KillPoint, kill_points, triggers
from harness.explore.requests import dispatcher_targets, rpc_targets, store_targets
from harness.faults import Trigger
from harness.faults.store import DEFECTS
from harness.history import Event
from harness.scenario import Outcome, Scenario

PROTECTION = "LAY-5"
"""The clause by which a worker notices that a store did not keep what it sent."""

KILLED: dict[str, tuple[Outcome, ...]] = {
    "SIGKILL": ("killed", "success"),
    "SIGTERM": ("stopped", "killed", "success", "retryable_error"),
    "SIGSTOP": ("success", "retryable_error"),
}
"""The outcomes of a process for one attempt that gets this signal: it may have ended just before."""
SIGNAL_SECONDS = 170.0
"""A message that a killed worker had received is delivered again after its visibility timeout, often a minute."""


def generate(scenario: Scenario, events: Sequence[Event]) -> tuple[list[Cell], list[Skipped]]:
    """Return the cells of an explored scenario and of the history of its honest run, breadth first; and those left out.

    The scenario is one that `explored` returned.
    """
    cells: list[Cell] = []
    skipped: list[Skipped] = []
    stores, others = store_targets(events)
    for store in stores:
        for name, store_fault, expectation in store_faults(store):
            added: dict[str, Any] = {"store_faults": (*scenario.store_faults, store_fault)}
            cells.append(_with_fault(scenario, store.operation, name, expectation, added))
    skipped += [Skipped(str(operation), "no fault of the store selects this operation alone") for operation in others]
    for call in rpc_targets(events):
        for name, rpc_fault, expectation in rpc_faults(call):
            added = {"rpc_faults": (*scenario.rpc_faults, rpc_fault)}
            cells.append(_with_fault(scenario, call.operation, name, expectation, added))
    for request in dispatcher_targets(events):
        lease_seconds = scenario.platform.lease_seconds
        for name, dispatcher_fault, expectation in dispatcher_faults(request, lease_seconds=lease_seconds):
            added = {"dispatcher_faults": (*scenario.dispatcher_faults, dispatcher_fault)}
            cells.append(_with_fault(scenario, request.operation, name, expectation, added))
    for point in kill_points(events):
        for signal in SIGNALS:
            try:
                found = tuple(triggers(point, signal, service=scenario.delivery == "worker"))
            except ValueError as reason:
                skipped.append(Skipped(cell_name(point.operation, signal), str(reason)))
                continue
            cells.append(_with_signal(scenario, point, signal, found))
    return breadth_first(cells), skipped


def without_defects(
    cells: list[Cell], skipped: list[Skipped], clauses: Collection[str]
) -> tuple[list[Cell], list[Skipped]]:
    """Leave out the cells in which the store is at fault, unless the clauses ask for protection from that (LAY-5)."""
    if PROTECTION in clauses:
        return cells, skipped
    reason = f"a store that loses bytes or ignores conditions, which only {PROTECTION} asks to survive"
    left_out = [Skipped(cell.name, reason) for cell in cells if cell.fault in DEFECTS]
    return [cell for cell in cells if cell.fault not in DEFECTS], [*skipped, *left_out]


def _with_fault(
    scenario: Scenario, operation: Operation, fault: str, expectation: Expectation, added: dict[str, Any]
) -> Cell:
    patience = max(scenario.patience_seconds, expectation.patience_seconds)
    changed = scenario.model_copy(update=added | {"patience_seconds": patience})
    allowed = [expectation.outcomes for _ in scenario.tasks]
    if scenario.delivery == "run":
        failed: tuple[Outcome, ...] = ("retryable_error",)
        allowed = [(*expectation.outcomes, *failed)]
    return _cell(changed, operation, fault, allowed, expectation.dropped)


def _with_signal(scenario: Scenario, point: KillPoint, signal: str, found: tuple[Trigger, ...]) -> Cell:
    """Return a cell with a signal.

    It ends when nothing more happens: the wake-up of a worker that was killed comes back long after another worker has
    run the task. Only where a paused worker continues at a claim, that claim has to be awaited.
    """
    allowed: list[tuple[Outcome, ...]] = [("success",) for _ in scenario.tasks]
    changes: dict[str, Any] = {"triggers": found, "patience_seconds": max(SIGNAL_SECONDS, scenario.patience_seconds)}
    if scenario.delivery == "run":
        allowed = [KILLED[signal]]
    elif scenario.platform.until == "ended":
        awaited = [f"{each.event} {each.nth}" for each in found if each.do == "SIGCONT" and each.event == "claim"]
        until = awaited[0] if awaited else "quiet"
        changes["platform"] = scenario.platform.model_copy(update={"until": until})
    return _cell(scenario.model_copy(update=changes), point.operation, signal, allowed, SIGNALLED)


def _cell(
    scenario: Scenario,
    operation: Operation,
    fault: str,
    allowed: list[tuple[Outcome, ...]],
    dropped: frozenset[str],
) -> Cell:
    """Return a cell; where each attempt is a process of its own, a second attempt follows, which must publish."""
    lines = list(scenario.tasks)
    if scenario.delivery == "run":
        lines.append(lines[0].model_copy(update={"same_task": True, "attempt": lines[0].attempt + 1}))
        allowed = [*allowed, ("success",)]
    tasks = tuple(
        line.model_copy(update={"outcome": outcomes[0]}) for line, outcomes in zip(lines, allowed, strict=True)
    )
    name = cell_name(operation, fault)
    generated = scenario.model_copy(
        update={
            "name": name,
            "title": f"{scenario.name} with {fault} at {operation}",
            "tasks": tasks,
            "clauses": tuple(clause for clause in scenario.clauses if clause not in dropped),
        }
    )
    return Cell(operation, fault, generated, tuple(allowed))
