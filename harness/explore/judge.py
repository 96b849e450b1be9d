"""Judges the history of a cell: all checks, and liveness."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.checks.evidence import Evidence, TaskEvidence, Violation, outcome_matches
from harness.checks.outcomes import ALLOWED_EXIT_CODES
from harness.checks.verdict import NOT_SHOWN, check_history
from harness.explore.cells import Cell
from harness.explore.laws import broken_laws
from harness.history import (
    DispatcherCall,
    Event,
    HarnessAction,
    ScenarioStarted,
    TimedOut,
    WorkerExited,
    final_state,
    of,
)
from harness.scenario import Outcome

UNFIRED = "a fault never fired"


class Status(StrEnum):
    """What came of a cell."""

    PASSED = "passed"
    VIOLATED = "violated"
    UNFIRED = "unfired"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of one cell, with its problems as text and the clauses that they break."""

    cell: Cell
    status: Status
    problems: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    seconds: float = 0.0
    events: tuple[Event, ...] = ()


def judge(cell: Cell, events: Sequence[Event], clauses: Collection[str]) -> Judged:
    """Judge a history; violations of clauses that are not in `clauses` do not count.

    A cell whose fault never fired has not passed, even if nothing is wrong. A violation counts all the same.
    """
    adapted = _with_seen_outcomes(cell, events)
    checked = check_history(adapted)
    counted = [each for each in checked.violations if each.clause in clauses and not _is_excused(cell, each, events)]
    problems = [f"{each.clause}: expected {each.expected}; seen: {each.seen}" for each in counted]
    laws = [(clause, text) for clause, text in broken_laws(cell, events) if clause in clauses]
    problems += [f"{clause}: {text}" for clause, text in laws]
    problems += _not_live(cell, adapted)
    broken = tuple(dict.fromkeys([*(each.clause for each in counted), *(clause for clause, _ in laws)]))
    seconds = events[-1].at
    if problems:
        return Judged(cell, Status.VIOLATED, tuple(problems), broken, seconds, tuple(events))
    errors = tuple(each for each in checked.errors if NOT_SHOWN not in each)
    failed = [each for each in errors if not each.startswith(UNFIRED)]
    status = Status.ERROR if failed else Status.UNFIRED if errors else Status.PASSED
    return Judged(cell, status, errors, (), seconds, tuple(events))


def _is_excused(cell: Cell, each: Violation, events: Sequence[Event]) -> bool:
    """Return whether no worker could avoid a violation: one that is killed after its completion deletes nothing."""
    if cell.fault != "SIGKILL" or each.clause != "STG-3":
        return False
    kills = [event.number for event in of(events, HarnessAction) if event.action == "SIGKILL"]
    completions = [event.number for event in of(events, DispatcherCall) if event.kind == "complete"]
    return max(completions, default=0) < min(kills, default=0)


def _with_seen_outcomes(cell: Cell, events: Sequence[Event]) -> list[Event]:
    """Return the history with the outcomes that were seen as the expected ones, where the cell allows them."""
    started = events[0]
    assert isinstance(started, ScenarioStarted)  # noqa: S101 - the first event of every history
    tasks = Evidence(events).tasks
    scenario = cell.scenario.model_copy(
        update={
            "tasks": tuple(
                task.line.model_copy(update={"outcome": _allowed_outcome(task, outcomes)})
                for task, outcomes in zip(tasks, cell.allowed, strict=True)
            )
        }
    )
    return [started.model_copy(update={"scenario": scenario.model_dump(mode="json")}), *events[1:]]


def _allowed_outcome(task: TaskEvidence, allowed: tuple[Outcome, ...]) -> Outcome:
    """Return the allowed outcome that was seen, or else the expected one."""
    if not task.ends:
        return "nothing" if "nothing" in allowed else allowed[0]
    seen = task.ends[-1].outcome
    return next((outcome for outcome in allowed if outcome_matches(seen, outcome)), allowed[0])


def _not_live(cell: Cell, events: Sequence[Event]) -> list[str]:
    """Return why the run did not come to its end: tasks without their outcome, and workers that ended on their own."""
    evidence = Evidence(events)
    problems = [f"liveness: {event.what} within {cell.scenario.patience_seconds:g} s" for event in of(events, TimedOut)]
    for task in evidence.tasks:
        is_open = task.line.outcome != "nothing" and not task.ended_as_expected
        if is_open:
            seen = task.ends[-1].outcome if task.ends else "no report"
            problems.append(f"liveness: task {task.index} must end as {task.line.outcome}; seen: {seen}")
    if cell.scenario.delivery == "worker":
        signalled = {trigger.worker for trigger in cell.scenario.triggers if trigger.do.startswith("SIG")}
        problems += [
            f"liveness: worker {exited.worker} ended with exit code {exited.code}"
            for exited in of(events, WorkerExited)
            if exited.worker not in signalled and exited.code not in ALLOWED_EXIT_CODES
        ]
    registered = final_state(events).registered
    problems += [
        f"version {version} was registered {count} times" for version, count in registered.items() if count > 1
    ]
    return problems
