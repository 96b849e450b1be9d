"""A history in the form that checks read: tasks and how their attempts ended, typed queries, final state, oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from harness.contract import MANIFEST_NAME, chunks, dataset_version, file_name, prefix
from harness.history import (
    CryoStarted,
    DispatcherCall,
    DispatcherKind,
    Event,
    FinalObject,
    LogLine,
    StoreKind,
    StoreResponse,
    TaskCreated,
    WorkerExited,
    WorkerStarted,
    final_state,
    of,
    scenario_started,
)
from harness.json_utils import json_object
from harness.resources import clauses
from harness.scenario import Scenario, TaskLine
from harness.scenario.expectations import STATE_MESSAGES, STATE_WHETHER_CRYO_RUNS
from harness.world.chain import Chain
from harness.world.content import oracle
from harness.world.quirks import Quirks

E = TypeVar("E", bound=Event)

OUTCOMES = {
    0: "success",
    64: "usage",
    65: "fatal_error",
    69: "fatal_error",
    75: "retryable_error",
    78: "bad_configuration",
}
"""The outcome that each exit code means."""
STOPPED = {130, 143}
"""Exit codes for SIGINT and SIGTERM."""
OK, FIRST_ERROR_STATUS, MAX_PUBLICATIONS = 200, 300, 100


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken clause: what was expected, what was seen, and the numbers of the events that show it."""

    clause: str
    expected: str
    seen: str
    events: tuple[int, ...] = ()

    @property
    def clause_text(self) -> str:
        """The text of the clause in the contract."""
        return clauses()[self.clause]["text"]


class Inconclusive(Exception):
    """The clause can't be checked on this store, because of one of its limitations; the message says why."""


NOT_EXERCISED = None
"""What a check returns for a history in which its clause does not apply."""
Findings = list[Violation] | None


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How one attempt ended, from the platform's point of view; `number` is that of the exit or completion event."""

    outcome: str
    message: str
    publications: tuple[dict[str, Any], ...]
    number: int
    attempt: int = 1


def outcome_matches(seen: str, expected: str) -> bool:
    """Return whether an outcome is the expected one, or one of those that `success_or_retry` allows."""
    return seen in {"success", "retryable_error"} if expected == "success_or_retry" else seen == expected


@dataclass(slots=True)
class TaskEvidence:
    """One task: its payload, its line in the scenario, and how its attempts ended, in order."""

    index: int
    task_id: str
    payload: Any
    line: TaskLine
    ends: list[AttemptEnd] = field(default_factory=list)

    @property
    def may_start_cryo(self) -> bool:
        """Whether the payload is an object and the scenario does not rule out that Cryo starts."""
        return isinstance(self.payload, dict) and self.line.cryo is not False

    @property
    def ended_as_expected(self) -> bool:
        """Whether the last attempt ended with the outcome that the scenario expects."""
        return bool(self.ends) and outcome_matches(self.ends[-1].outcome, self.line.outcome)

    @property
    def succeeded(self) -> bool:
        """Whether the last attempt succeeded, as expected."""
        return self.ended_as_expected and self.ends[-1].outcome == "success"

    @property
    def failed(self) -> bool:
        """Whether the last attempt failed, as expected."""
        failure_expected = self.line.outcome not in {"success", "nothing", "killed"}
        return failure_expected and self.ended_as_expected and not self.succeeded


class Evidence:
    """Everything that a check may read.

    Raises:
        TypeError: the events are not a complete history.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.start, self.final = scenario_started(events), final_state(events)
        self.scenario = Scenario.model_validate(self.start.scenario)
        self._oracles: dict[tuple[str, int, int], dict[str, dict[str, Any]]] = {}
        self._by_class: dict[type[object], list[Event]] = {}
        for event in events:
            self._by_class.setdefault(type(event), []).append(event)

    @cached_property
    def chain(self) -> Chain:
        """The deterministic chain of the scenario."""
        return Chain(self.scenario.node.chain_id, quirks=Quirks(**self.scenario.node.quirks))

    def of(self, event_class: type[E]) -> list[E]:
        """Return the events of a class, in order."""
        return of(self._by_class.get(event_class, ()), event_class)

    def dispatcher_calls(self, *kinds: DispatcherKind) -> list[DispatcherCall]:
        """Return the calls to the dispatcher of some kinds, in order."""
        return [event for event in self.of(DispatcherCall) if event.kind in kinds]

    def store_responses(self, *kinds: StoreKind) -> list[StoreResponse]:
        """Return the responses of the store of some kinds, in order."""
        return [event for event in self.of(StoreResponse) if event.kind in kinds]

    @cached_property
    def claims(self) -> list[DispatcherCall]:
        """All claims, with any status."""
        return self.dispatcher_calls("claim")

    @cached_property
    def completions(self) -> list[DispatcherCall]:
        """All completions, with any status."""
        return self.dispatcher_calls("complete")

    @cached_property
    def puts(self) -> list[StoreResponse]:
        """The PUTs that the store accepted."""
        return [event for event in self.store_responses("object_put") if _accepted(event)]

    @cached_property
    def writes(self) -> list[StoreResponse]:
        """The PUTs and DELETEs that the store accepted."""
        return [event for event in self.store_responses("object_put", "object_deleted") if _accepted(event)]

    @cached_property
    def tasks(self) -> list[TaskEvidence]:
        """The tasks, with the ends of their attempts."""
        tasks = [
            TaskEvidence(event.task, event.task_id, event.payload, self.scenario.tasks[event.task])
            for event in self.of(TaskCreated)
        ]
        if self.scenario.delivery == "run":
            workers = {event.worker: event for event in self.of(WorkerStarted)}
            for exited in self.of(WorkerExited):
                index = workers[exited.worker].task
                if index is not None:
                    tasks[index].ends.append(self._end_of_process(exited))
        else:
            for call in self.completions:
                if call.status == OK or (call.status is None and "after" in (call.fault or "")):
                    for task in tasks:
                        if task.task_id == call.task_id:
                            _add_completion(task, call)
        return tasks

    def _end_of_process(self, event: WorkerExited) -> AttemptEnd:
        outcome = OUTCOMES.get(event.code, "stopped" if event.code in STOPPED else "killed" if event.code < 0 else "?")
        return AttemptEnd(outcome, self.log_of(event.worker), _publications(event.stdout), event.number)

    def sole_worker_before(self, number: int) -> int | None:
        """Return the worker that started before an event, or None if none or several did."""
        workers = [event.worker for event in self.of(WorkerStarted) if event.number < number]
        return workers[0] if len(workers) == 1 else None

    def log_of(self, worker: int) -> str:
        """Return the log of one worker."""
        return "\n".join(event.text for event in self.of(LogLine) if event.worker == worker)

    @cached_property
    def successes(self) -> list[TaskEvidence]:
        """The tasks that succeeded, as expected."""
        return [task for task in self.tasks if task.succeeded]

    @cached_property
    def failures(self) -> list[TaskEvidence]:
        """The tasks that failed, as expected."""
        return [task for task in self.tasks if task.failed]

    @property
    def went_as_expected(self) -> bool:
        """Whether each task went as the scenario says, with the right rows; otherwise no clause can pass."""
        return all(self._task_went_as_expected(task) for task in self.tasks)

    def _task_went_as_expected(self, task: TaskEvidence) -> bool:
        states_cryo = not STATE_WHETHER_CRYO_RUNS.isdisjoint(self.scenario.clauses)
        if states_cryo and task.line.cryo not in {None, bool(self.cryo_starts(task))}:
            return False
        if task.line.outcome == "nothing":
            return not any(end.outcome == "success" for end in task.ends)
        return task.ended_as_expected and (not task.succeeded or self._is_complete(task))

    def _is_complete(self, task: TaskEvidence) -> bool:
        """Return whether a task's prefix has a manifest and every file of the range with the right rows."""
        objects = self.objects_of(task)
        digests = {name: (stored.parquet or {}).get("digest") for name, stored in objects.items()}
        expected = {name: facts["digest"] for name, facts in self.oracle(task).items()}
        return MANIFEST_NAME in objects and expected.items() <= digests.items()

    def prefix(self, task: TaskEvidence) -> str:
        """Return the prefix of a task's version (LAY-1, VER-2)."""
        return prefix(task.payload)

    def version(self, task: TaskEvidence) -> str:
        """Return a task's version (VER-2)."""
        return dataset_version(task.payload)

    def oracle(self, task: TaskEvidence) -> dict[str, dict[str, Any]]:
        """Return the expected facts of each file of a task, by file name."""
        payload = task.payload
        if self.start.oracle is not None:
            parts = chunks(payload["range_start"], payload["range_end"])
            names = {file_name(payload["chain_id"], payload["cryo_dataset_name"], part) for part in parts}
            return {name: facts for name, facts in self.start.oracle.items() if name in names}
        key = (payload["cryo_dataset_name"], payload["range_start"], payload["range_end"])
        if key not in self._oracles:
            self._oracles[key] = oracle(self.chain, *key)
        return self._oracles[key]

    def objects_of(self, task: TaskEvidence) -> dict[str, FinalObject]:
        """Return the objects below a task's prefix in the final state, by name."""
        below = self.prefix(task)
        return {key.removeprefix(below): stored for key, stored in self.final.objects.items() if key.startswith(below)}

    def manifest(self, task: TaskEvidence) -> dict[str, Any] | None:
        """Return a task's final manifest, or None if there is none that is a JSON object."""
        stored = self.objects_of(task).get(MANIFEST_NAME)
        return json_object(stored.text) if stored is not None and stored.text is not None else None

    def manifest_keys(self, task: TaskEvidence) -> list[str]:
        """Return the keys in a task's manifest; none where `parquet_keys` is not a list of strings."""
        keys = (self.manifest(task) or {}).get("parquet_keys")
        return keys if isinstance(keys, list) and all(isinstance(key, str) for key in keys) else []

    def cryo_starts(self, task: TaskEvidence | None = None) -> list[CryoStarted]:
        """Return the starts of Cryo for one task, by its directory, or for all tasks."""
        starts = self.of(CryoStarted)
        if task is None:
            return starts
        if self.scenario.delivery == "run" and len(self.tasks) > 1:
            return [event for event in starts if self._task_of_start(event) == task.index]
        return [event for event in starts if len(self.tasks) == 1 or task.task_id in _paths_of(event)]

    def _task_of_start(self, cryo: CryoStarted) -> int | None:
        """Return the task for which Cryo ran: by its paths, else by the last worker that started before it."""
        paths = _paths_of(cryo)
        by_path = [task.index for task in self.tasks if f"{task.task_id}/{task.line.attempt}" in paths]
        if len(by_path) == 1:
            return by_path[0]
        started = [event.task for event in self.of(WorkerStarted) if event.number < cryo.number]
        return started[-1] if started else None

    def rejected_requests(self, clause: str) -> list[Violation]:
        """Return a violation for each request that the fake dispatcher rejected because of a clause."""
        return [
            violation(name, "a request that follows the contract", detail, self.final.number)
            for name, detail in self.final.rejected_requests
            if name == clause
        ]

    def store_has_limitation(self, name: str) -> bool:
        """Return whether a limitation of the store is known."""
        return name in self.start.limitations


def _paths_of(cryo: CryoStarted) -> str:
    """Return the directory and the arguments of a Cryo; one of them names its task's staging directory."""
    return f"{cryo.directory} {' '.join(cryo.arguments)}"


def _accepted(event: StoreResponse) -> bool:
    return event.status is not None and event.status < FIRST_ERROR_STATUS


def _publications(stdout: str) -> tuple[dict[str, Any], ...]:
    """Return the JSON objects among the lines of a worker's output, at most `MAX_PUBLICATIONS`."""
    publications: list[dict[str, Any]] = []
    # Not splitlines: it also splits at characters such as U+2028, which JSON allows within a string.
    for line in stdout.split("\n"):
        value = json_object(line)
        if value is not None:
            publications.append(value)
        if len(publications) >= MAX_PUBLICATIONS:
            break
    return tuple(publications)


def publications_of(request: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the publications of a completion; a value of the wrong type becomes an object that describes it."""
    published = request.get("datasets_published")
    if not isinstance(published, list | tuple | None):
        return ({"not a list": published},)
    return tuple(item if isinstance(item, dict) else {"not an object": item} for item in published or ())


def _add_completion(task: TaskEvidence, call: DispatcherCall) -> None:
    """Add the end that a completion reports, unless the same attempt has already reported the same outcome."""
    request = call.request
    end = AttemptEnd(
        str(request.get("outcome")),
        str(request.get("error_message") or ""),
        publications_of(request),
        call.number,
        call.attempt or 0,
    )
    if not any(earlier.attempt == end.attempt and earlier.outcome == end.outcome for earlier in task.ends):
        task.ends.append(end)


def violation(clause: str, expected: object, seen: object, *events: int) -> Violation:
    """Return a violation, with `expected` and `seen` as text."""
    return Violation(clause, str(expected), str(seen), events)


def times(count: int) -> str:
    """Return a count as text."""
    return "once" if count == 1 else f"{count} times"


def _check_cryo_runs(evidence: Evidence, clause: str, task: TaskEvidence) -> list[Violation]:
    line, starts = task.line, evidence.cryo_starts(task)
    numbers = [event.number for event in starts]
    seen = f"Cryo was started {times(len(starts))}"
    if line.cryo is not None and bool(starts) is not line.cryo:
        return [violation(clause, f"Cryo is {'' if line.cryo else 'not '}started", seen, *numbers)]
    if line.runs is not None and len(starts) != line.runs:
        return [violation(clause, f"Cryo is started {times(line.runs)}", seen, *numbers)]
    return []


def check_outcomes(evidence: Evidence, clause: str, outcome: str | None = None) -> Findings:
    """Check a clause by how tasks end: the outcome and, if the clause states them, the message and whether Cryo ran.

    The clause is exercised where the scenario names it; with `outcome`, only by tasks that should end so.
    """
    violations: list[Violation] = []
    exercised = False
    for task in evidence.tasks:
        line = task.line
        if (outcome is not None and line.outcome != outcome) or clause not in evidence.scenario.clauses:
            continue
        exercised = True
        end = task.ends[-1] if task.ends else None
        if clause in STATE_WHETHER_CRYO_RUNS:
            violations += _check_cryo_runs(evidence, clause, task)
        if line.outcome == "nothing":
            if end is not None and end.outcome == "success":
                violations.append(violation(clause, "no success is reported", end.outcome, end.number))
            continue
        if end is None or not outcome_matches(end.outcome, line.outcome):
            seen = end.outcome if end else "no outcome was reported"
            numbers = [end.number] if end else []
            violations.append(violation(clause, f"task {task.index} ends as {line.outcome}", seen, *numbers))
            continue
        missing = [text for text in line.message_contains if text not in end.message]
        if missing and clause in STATE_MESSAGES:
            expected = f"the message contains {', '.join(missing)}"
            violations.append(violation(clause, expected, end.message[-300:], end.number))
    return violations if exercised else NOT_EXERCISED
