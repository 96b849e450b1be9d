"""A history as checks read it: tasks with how their attempts ended, requests by kind, the final state, the oracle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.contract import MANIFEST_NAME, dataset_version, prefix
from harness.json_utils import json_object
from harness.resources import clauses
from harness.scenario import Scenario, TaskLine
from harness.world.chain import Chain
from harness.world.content import oracle
from harness.world.quirks import Quirks

OUTCOMES = {
    0: "success",
    64: "usage",
    65: "fatal_error",
    69: "fatal_error",
    75: "retryable_error",
    78: "bad_configuration",
}
STOPPED = {130, 143}
MOST_PUBLICATIONS = 100


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken clause, quoted; what was expected, what was seen, and the numbers of the events that show it."""

    clause: str
    expected: str
    seen: str
    events: tuple[int, ...] = ()

    @property
    def quote(self) -> str:
        """The clause's own words."""
        return clauses()[self.clause]["text"]


class Inconclusive(Exception):
    """The store of this run can't show whether the clause is kept; the reason is on its card."""


NOTHING = None
Found = list[Violation] | None


@dataclass(frozen=True, slots=True)
class End:
    """How one attempt ended, as the platform saw it."""

    outcome: str
    message: str
    publications: tuple[dict[str, Any], ...]
    number: int
    attempt: int = 1


def meets(seen: str, expected: str) -> bool:
    """Tell whether an attempt ended as it may."""
    return seen in {"success", "retryable_error"} if expected == "success_or_retry" else seen == expected


@dataclass(slots=True)
class Task:
    """One task of the scenario: what was sent, what should come of it, and what came."""

    place: int
    task_id: str
    payload: Any
    line: TaskLine
    began: int
    ends: list[End] = field(default_factory=list)

    @property
    def extractable(self) -> bool:
        """Whether the scenario sends a payload that a Cryo may be started for."""
        return isinstance(self.payload, dict) and self.line.cryo is not False

    @property
    def ended_as_expected(self) -> bool:
        """Whether the last attempt ended as the scenario says."""
        return bool(self.ends) and meets(self.ends[-1].outcome, self.line.outcome)

    @property
    def succeeded(self) -> bool:
        """Whether a success was expected and the platform saw one."""
        return self.ended_as_expected and self.ends[-1].outcome == "success"

    @property
    def failed(self) -> bool:
        """Whether a failure was expected and the platform saw it."""
        failing = self.line.outcome not in {"success", "nothing", "killed"}
        return failing and self.ended_as_expected and not self.succeeded


class Evidence:
    """All that a check may look at."""

    def __init__(self, events: list[Any]) -> None:
        self.events = events
        self.begun, self.final = events[0], events[-1]
        self.scenario = Scenario.model_validate(self.begun.scenario)
        self._oracles: dict[tuple[str, int, int], dict[str, dict[str, Any]]] = {}
        self.chain = Chain(self.scenario.node.chain_id, quirks=Quirks(**self.scenario.node.quirks))

    def of(self, *kinds: str) -> list[Any]:
        """Return the events of some kinds, in order."""
        return [event for event in self.events if event.kind in kinds]

    @cached_property
    def tasks(self) -> list[Task]:
        """The tasks with how they ended."""
        found = [
            Task(event.task, event.task_id, event.payload, self.scenario.tasks[event.task], event.number)
            for event in self.of("task")
        ]
        workers = {event.worker: event for event in self.of("worker_started")}
        if self.scenario.delivery == "run":
            for event in self.of("exit"):
                started = workers[event.worker]
                if started.task is not None:
                    found[started.task].ends.append(self._end_of_process(event))
        else:
            for event in self.of("complete"):
                if event.status == 200 or (event.status is None and "after" in (event.fault or "")):
                    for task in found:
                        if task.task_id == event.task_id:
                            _add_report(task, event)
        return found

    def _end_of_process(self, event: Any) -> End:
        outcome = OUTCOMES.get(event.code, "stopped" if event.code in STOPPED else "killed" if event.code < 0 else "?")
        published = _publications(event.stdout)
        return End(outcome, self.log_of(event.worker), published, event.number)

    def only_worker_at(self, number: int) -> int | None:
        """Return the one worker that had been started by an event, or None where there were several."""
        started = [event.worker for event in self.of("worker_started") if event.number < number]
        return started[0] if len(started) == 1 else None

    def log_of(self, worker: int) -> str:
        """Return what one worker logged."""
        return "\n".join(event.text for event in self.of("log_line") if event.worker == worker)

    @cached_property
    def successes(self) -> list[Task]:
        """The tasks that should have succeeded and did."""
        return [task for task in self.tasks if task.succeeded]

    @cached_property
    def failures(self) -> list[Task]:
        """The tasks that should have failed and did."""
        return [task for task in self.tasks if task.failed]

    @property
    def shows(self) -> bool:
        """Whether every task went as the scenario says, every success with its rows: else no clause is kept."""
        return all(self._as_told(task) for task in self.tasks)

    def _as_told(self, task: Task) -> bool:
        if task.line.cryo is not None and bool(self.cryos(task)) is not task.line.cryo:
            return False
        if task.line.outcome == "nothing":
            return not any(end.outcome == "success" for end in task.ends)
        return task.ended_as_expected and (not task.succeeded or self._whole(task))

    def _whole(self, task: Task) -> bool:
        stored = self.stored(task)
        facts = {name: (stored[name].parquet or {}).get("digest") for name in stored}
        wanted = {name: one["digest"] for name, one in self.oracle(task).items()}
        return MANIFEST_NAME in stored and wanted.items() <= facts.items()

    def prefix(self, task: Task) -> str:
        """Return the prefix of a task's version (LAY-1, VER-2)."""
        return prefix(task.payload)

    def version(self, task: Task) -> str:
        """Return a task's version (VER-2)."""
        return dataset_version(task.payload)

    def oracle(self, task: Task) -> dict[str, dict[str, Any]]:
        """Return what each file of a task must hold."""
        one = task.payload
        if self.begun.oracle is not None:
            found: dict[str, dict[str, Any]] = self.begun.oracle
            return found
        asked = (one["cryo_dataset_name"], one["range_start"], one["range_end"])
        if asked not in self._oracles:
            self._oracles[asked] = oracle(self.chain, *asked)
        return self._oracles[asked]

    def stored(self, task: Task) -> dict[str, Any]:
        """Return what lies below a task's prefix at the end, by name."""
        below = self.prefix(task)
        return {key.removeprefix(below): stored for key, stored in self.final.objects.items() if key.startswith(below)}

    def manifest(self, task: Task) -> dict[str, Any] | None:
        """Return a task's manifest at the end, where there is one that is a JSON object."""
        stored = self.stored(task).get(MANIFEST_NAME)
        return json_object(stored.text) if stored is not None and stored.text is not None else None

    def listed(self, task: Task) -> list[str]:
        """Return the keys that a task's manifest lists; none where they are no list of texts."""
        keys = (self.manifest(task) or {}).get("parquet_keys")
        return keys if isinstance(keys, list) and all(isinstance(key, str) for key in keys) else []

    @cached_property
    def puts(self) -> list[Any]:
        """The PUTs that the store took."""
        return [event for event in self.of("object_put") if event.status is not None and event.status < 300]

    def cryos(self, task: Task | None = None) -> list[Any]:
        """Return the Cryos that were started for one task, or for all; they are told apart by their directory."""
        found = self.of("cryo_started")
        if task is None:
            return found
        if self.scenario.delivery == "run" and len(self.tasks) > 1:
            return [event for event in found if self._owner(event) == task.place]
        return [event for event in found if task.task_id in event.directory or len(self.tasks) == 1]

    def _owner(self, cryo: Any) -> int | None:
        """Return which task's worker started a Cryo: told by its directory, else by the last worker before it."""
        paths = f"{cryo.directory} {' '.join(cryo.arguments)}"
        by_path = [task.place for task in self.tasks if f"{task.task_id}/{task.line.attempt}" in paths]
        if len(by_path) == 1:
            return by_path[0]
        started = [one.task for one in self.of("worker_started") if one.number < cryo.number]
        return started[-1] if started else None

    def refused(self, clause: str) -> list[Violation]:
        """Return what the fake dispatcher, which is strict, refused for a clause's sake."""
        return [
            violation(name, "a request by the contract", detail, self.final.number)
            for name, detail in self.final.refused
            if name == clause
        ]

    def writes(self) -> Iterator[Any]:
        """Yield all that changed the store."""
        yield from (event for event in self.of("object_put", "object_deleted") if (event.status or 500) < 300)

    def limitations(self, what: str) -> bool:
        """Tell whether the store's card says that it can't show something."""
        return what in self.begun.limitations


def _publications(stdout: str) -> tuple[dict[str, Any], ...]:
    """Return the JSON objects among the lines of a worker's output, as many as tell one from too many."""
    found: list[dict[str, Any]] = []
    for line in stdout.splitlines():
        one = json_object(line)
        if one is not None:
            found.append(one)
        if len(found) >= MOST_PUBLICATIONS:
            break
    return tuple(found)


def publications_of(request: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return what a completion call publishes; what is no publication as an object that says what it is."""
    published = request.get("datasets_published")
    if not isinstance(published, list | tuple | None):
        return ({"no list": published},)
    return tuple(one if isinstance(one, dict) else {"no object": one} for one in published or ())


def _add_report(task: Task, event: Any) -> None:
    fields = event.request
    end = End(
        str(fields.get("outcome")),
        str(fields.get("error_message") or ""),
        publications_of(fields),
        event.number,
        event.attempt or 0,
    )
    same = [one for one in task.ends if one.attempt == end.attempt and one.outcome == end.outcome]
    if not same:
        task.ends.append(end)


def violation(clause: str, expected: object, seen: object, *events: int) -> Violation:
    """Make a violation."""
    return Violation(clause, str(expected), str(seen), events)


def _ran_as_expected(evidence: Evidence, clause: str, task: Task) -> list[Violation]:
    line, ran = task.line, evidence.cryos(task)
    numbers = [event.number for event in ran]
    if line.cryo is not None and bool(ran) is not line.cryo:
        expected = "Cryo runs" if line.cryo else "Cryo is not started"
        return [violation(clause, expected, f"{len(ran)} runs", *numbers)]
    if line.runs is not None and len(ran) != line.runs:
        return [violation(clause, f"{line.runs} runs of Cryo", f"{len(ran)} runs", *numbers)]
    return []


def as_expected(evidence: Evidence, clause: str, outcome: str | None = None) -> Found:
    """Judge a clause by how the scenario's tasks end: the outcome, the words of the message, whether Cryo ran."""
    found: list[Violation] = []
    judged = False
    for task in evidence.tasks:
        line = task.line
        if (outcome is not None and line.outcome != outcome) or clause not in evidence.scenario.clauses:
            continue
        judged = True
        seen = task.ends[-1] if task.ends else None
        found += _ran_as_expected(evidence, clause, task)
        if line.outcome == "nothing":
            if seen is not None and seen.outcome == "success":
                found.append(violation(clause, "no report", seen.outcome, seen.number))
            continue
        if seen is None or not meets(seen.outcome, line.outcome):
            ended = seen.outcome if seen else "no report"
            found.append(
                violation(clause, f"task {task.place} ends as {line.outcome}", ended, *([seen.number] if seen else []))
            )
            continue
        missing = [word for word in line.message_contains if not re.search(re.escape(word), seen.message)]
        if missing:
            found.append(violation(clause, f"the message says {', '.join(missing)}", seen.message[-300:], seen.number))
    return found if judged else NOTHING
