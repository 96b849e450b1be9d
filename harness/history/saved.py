"""Histories as files: what is read is held to what a run writes, so that checks need believe no field of it blindly."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from harness.history.events import (
    ADAPTER,
    VERSION,
    Begun,
    CryoEnded,
    CryoStarted,
    Event,
    Exit,
    Final,
    LogLine,
    StoreAnswered,
    StoreAsked,
    TaskEntered,
    WorkerStarted,
)

SHA256 = re.compile(r"[0-9a-f]{64}")


class BadHistory(ValueError):
    """A saved history can't be read: the file, the line, and what is wrong there."""


def save(events: Iterable[Event], path: Path) -> None:
    """Write events as JSON lines."""
    path.write_text("".join(event.model_dump_json() + "\n" for event in events), encoding="utf-8")


def load(path: Path) -> list[Event]:
    """Read what `save` wrote.

    Raises:
        BadHistory: a line is no event, or the events are not those of one run from its beginning to its end.
        OSError: the file can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadHistory(f"{path.name} is no history: it is no UTF-8 text") from None
    found: list[Event] = []
    # Not splitlines: a text may hold characters that Python takes for the end of a line, and JSON does not.
    for place, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            found.append(ADAPTER.validate_json(line))
        except ValidationError as error:
            detail = error.errors(include_input=False)[0]
            where = ".".join(map(str, detail["loc"]))
            at = f" (at {where})" if where else ""
            raise BadHistory(f"{path.name}, line {place}: {detail['msg']}{at}") from None
    first = found[0]
    if not isinstance(first, Begun) or first.version != VERSION:
        raise BadHistory(f"{path.name}, line 1: no history of version {VERSION} begins so")
    known = _Known()
    for place, event in enumerate(found, start=1):
        if problem := _out_of_place(event, place, found) or known.problem(event):
            raise BadHistory(f"{path.name}, line {place}: {event.kind}: {problem}")
    return found


def _out_of_place(event: Event, place: int, events: list[Event]) -> str | None:
    """Say why an event can't stand on its line: lines were left out, added, moved or edited."""
    before = events[place - 2].at if place > 1 else 0.0
    if event.number != place:
        return f"its number is {event.number}: a line is missing, or one too many"
    if not math.isfinite(event.at) or event.at < before:
        return f"it is at {event.at} s, before the event above it"
    if isinstance(event, Begun) != (place == 1):
        return "begins every history, and no other line is one"
    if isinstance(event, Final) != (place == len(events)):
        return "ends every history" if isinstance(event, Final) else "comes last, where the final state has to be"
    return None


class _Known:
    """What the events so far have brought into the world, which later ones may speak of."""

    def __init__(self) -> None:
        self._tasks = 0
        self._workers: set[int] = set()
        self._ended: set[int] = set()
        self._cryos: set[int] = set()
        self._asked: set[int] = set()

    def problem(self, event: Event) -> str | None:  # noqa: PLR0911 - a line for each class of events
        """Say what an event refers to that has not come before it; else take note of what it brings."""
        match event:
            case TaskEntered():
                return self._task(event)
            case WorkerStarted():
                return self._worker_started(event)
            case Exit():
                return self._exit(event)
            case LogLine():
                return self._of_worker(event)
            case CryoStarted():
                self._cryos.add(event.number)
            case CryoEnded():
                return self._cryo_ended(event)
            case StoreAsked():
                self._asked.add(event.number)
            case StoreAnswered():
                return self._store_answered(event)
            case _:
                pass
        return None

    def _task(self, event: TaskEntered) -> str | None:
        self._tasks += 1
        return f"its task is {event.task}, and not {self._tasks - 1}" if event.task != self._tasks - 1 else None

    def _worker_started(self, event: WorkerStarted) -> str | None:
        if event.task is not None and not 0 <= event.task < self._tasks:
            return f"there is no task {event.task} above it"
        if event.worker in self._workers:
            return f"worker {event.worker} has been started before"
        self._workers.add(event.worker)
        return None

    def _exit(self, event: Exit) -> str | None:
        if event.worker in self._ended:
            return f"worker {event.worker} has ended before"
        self._ended.add(event.worker)
        return self._of_worker(event)

    def _of_worker(self, event: Exit | LogLine) -> str | None:
        return None if event.worker in self._workers else f"no worker_started of worker {event.worker} is above it"

    def _cryo_ended(self, event: CryoEnded) -> str | None:
        if event.started not in self._cryos:
            return f"no cryo_started that has not ended is above it as number {event.started}"
        self._cryos.remove(event.started)
        return None

    def _store_answered(self, event: StoreAnswered) -> str | None:
        if event.began not in self._asked:
            return f"no store_asked that is unanswered is above it as number {event.began}"
        self._asked.remove(event.began)
        hashed = event.kind != "object_put" or SHA256.fullmatch(event.digest or "")
        return None if hashed else "of what was put there is no SHA-256 in digest"
