"""Histories as files. `load` validates what it reads, so that checks can rely on every field."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from harness.history.events import (
    EVENT_ADAPTER,
    VERSION,
    CryoEnded,
    CryoStarted,
    Event,
    FinalState,
    LogLine,
    ScenarioStarted,
    StoreRequest,
    StoreResponse,
    TaskCreated,
    WorkerExited,
    WorkerStarted,
)

SHA256 = re.compile(r"[0-9a-f]{64}")


class BadHistory(ValueError):
    """A saved history is invalid; the message names the file, the line and the problem."""


def save(events: Iterable[Event], path: Path) -> None:
    """Write events as JSON lines."""
    path.write_text("".join(event.model_dump_json() + "\n" for event in events), encoding="utf-8")


def load(path: Path) -> list[Event]:
    """Read a history that `save` wrote.

    Raises:
        BadHistory: a line is not an event, or the events are not those of one complete run.
        OSError: the file can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadHistory(f"{path.name} is not a history: it is not UTF-8 text") from None
    events: list[Event] = []
    # Not splitlines: it also splits at characters such as U+2028, which JSON allows within a string.
    for line_number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            events.append(EVENT_ADAPTER.validate_json(line))
        except ValidationError as error:
            detail = error.errors(include_input=False)[0]
            field = ".".join(map(str, detail["loc"]))
            location = f" (at {field})" if field else ""
            raise BadHistory(f"{path.name}, line {line_number}: {detail['msg']}{location}") from None
    first = events[0]
    if not isinstance(first, ScenarioStarted) or first.version != VERSION:
        raise BadHistory(f"{path.name}, line 1: not the first event of a history of version {VERSION}")
    references = _References()
    for line_number, event in enumerate(events, start=1):
        if problem := _order_problem(event, line_number, events) or references.problem(event):
            raise BadHistory(f"{path.name}, line {line_number}: {event.kind}: {problem}")
    return events


def _order_problem(event: Event, line_number: int, events: list[Event]) -> str | None:
    """Return what is wrong with the number, time or position of an event, or None."""
    before = events[line_number - 2].at if line_number > 1 else 0.0
    if event.number != line_number:
        return f"its number is {event.number}: lines are missing or were added"
    if not math.isfinite(event.at) or event.at < before:
        return f"its time, {event.at} s, is before that of the line above"
    if isinstance(event, ScenarioStarted) != (line_number == 1):
        return "only the first event may be of this kind"
    if isinstance(event, FinalState) != (line_number == len(events)):
        return (
            "only the last event may be of this kind"
            if isinstance(event, FinalState)
            else "the last event must be final_state"
        )
    return None


class _References:
    """Collects the tasks, workers, runs and requests of earlier events; later events may refer only to them."""

    def __init__(self) -> None:
        self._task_count = 0
        self._started_workers: set[int] = set()
        self._ended_workers: set[int] = set()
        self._open_cryo_starts: set[int] = set()
        self._open_requests: set[int] = set()

    def problem(self, event: Event) -> str | None:  # noqa: PLR0911 - one case for each class of events
        """Return what is wrong with the references of an event, or None; add what later events may refer to."""
        match event:
            case TaskCreated():
                return self._task_created(event)
            case WorkerStarted():
                return self._worker_started(event)
            case WorkerExited():
                return self._worker_exited(event)
            case LogLine():
                return self._worker_problem(event)
            case CryoStarted():
                self._open_cryo_starts.add(event.number)
            case CryoEnded():
                return self._cryo_ended(event)
            case StoreRequest():
                self._open_requests.add(event.number)
            case StoreResponse():
                return self._store_response(event)
            case _:
                pass
        return None

    def _task_created(self, event: TaskCreated) -> str | None:
        expected = self._task_count
        self._task_count += 1
        return f"its task is {event.task}, expected {expected}" if event.task != expected else None

    def _worker_started(self, event: WorkerStarted) -> str | None:
        if event.task is not None and not 0 <= event.task < self._task_count:
            return f"there is no earlier task_created event of task {event.task}"
        if event.worker in self._started_workers:
            return f"worker {event.worker} has already started"
        self._started_workers.add(event.worker)
        return None

    def _worker_exited(self, event: WorkerExited) -> str | None:
        if event.worker in self._ended_workers:
            return f"worker {event.worker} has already ended"
        self._ended_workers.add(event.worker)
        return self._worker_problem(event)

    def _worker_problem(self, event: WorkerExited | LogLine) -> str | None:
        known = event.worker in self._started_workers
        return None if known else f"there is no earlier worker_started event of worker {event.worker}"

    def _cryo_ended(self, event: CryoEnded) -> str | None:
        if event.start_number not in self._open_cryo_starts:
            return f"event {event.start_number} is not an earlier cryo_started event whose run has not ended yet"
        self._open_cryo_starts.remove(event.start_number)
        return None

    def _store_response(self, event: StoreResponse) -> str | None:
        if event.request_number not in self._open_requests:
            return f"event {event.request_number} is not an earlier store_request event without a response"
        self._open_requests.remove(event.request_number)
        digest_is_valid = event.kind != "object_put" or SHA256.fullmatch(event.digest or "")
        return None if digest_is_valid else "the digest of an object_put must be a SHA-256"
