"""Histories as files: what is read is held to what a run writes, so that checks need believe no field of it blindly."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.history.events import ADAPTER, VERSION

SHA256 = re.compile(r"[0-9a-f]{64}")


class BadHistory(ValueError):
    """A saved history can't be read: the file, the line, and what is wrong there."""


def save(events: Iterable[Any], path: Path) -> None:
    """Write events as JSON lines."""
    path.write_text("".join(event.model_dump_json() + "\n" for event in events), encoding="utf-8")


def load(path: Path) -> list[Any]:
    """Read what `save` wrote.

    Raises:
        BadHistory: a line is no event, or the events are not those of one run from its beginning to its end.
        OSError: the file can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadHistory(f"{path.name} is no history: it is no UTF-8 text") from None
    found = []
    # Not splitlines: a text may hold characters that Python takes for the end of a line, and JSON does not.
    for place, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            found.append(ADAPTER.validate_json(line))
        except ValidationError as error:
            detail = error.errors(include_input=False)[0]
            where = ".".join(map(str, detail["loc"]))
            at = f" (at {where})" if where else ""
            raise BadHistory(f"{path.name}, line {place}: {detail['msg']}{at}") from None
    if found[0].kind != "begun" or found[0].version != VERSION:
        raise BadHistory(f"{path.name}, line 1: no history of version {VERSION} begins so")
    known = _Known()
    for place, event in enumerate(found, start=1):
        if problem := _out_of_place(event, place, found) or known.problem(event):
            raise BadHistory(f"{path.name}, line {place}: {event.kind}: {problem}")
    return found


def _out_of_place(event: Any, place: int, events: list[Any]) -> str | None:
    """Say why an event can't stand on its line: lines were left out, added, moved or edited."""
    before = events[place - 2].at if place > 1 else 0.0
    if event.number != place:
        return f"its number is {event.number}: a line is missing, or one too many"
    if not math.isfinite(event.at) or event.at < before:
        return f"it is at {event.at} s, before the event above it"
    if (event.kind == "begun") != (place == 1):
        return "begins every history, and no other line is one"
    if (event.kind == "final") != (place == len(events)):
        return "ends every history" if event.kind == "final" else "comes last, where the final state has to be"
    return None


class _Known:
    """What the events so far have brought into the world, which later ones may speak of."""

    def __init__(self) -> None:
        self._tasks = 0
        self._workers: set[int] = set()
        self._ended: set[int] = set()
        self._cryos: set[int] = set()
        self._asked: set[int] = set()

    def problem(self, event: Any) -> str | None:
        """Say what an event speaks of that has not come before it; else take note of what it brings."""
        rule = getattr(self, f"_{event.kind}", self._store if hasattr(event, "began") else None)
        found: str | None = rule(event) if rule is not None else None
        return found

    def _task(self, event: Any) -> str | None:
        self._tasks += 1
        return f"its task is {event.task}, and not {self._tasks - 1}" if event.task != self._tasks - 1 else None

    def _worker_started(self, event: Any) -> str | None:
        if event.task is not None and not 0 <= event.task < self._tasks:
            return f"there is no task {event.task} above it"
        if event.worker in self._workers:
            return f"worker {event.worker} has been started before"
        self._workers.add(event.worker)
        return None

    def _log_line(self, event: Any) -> str | None:
        return self._of_worker(event)

    def _exit(self, event: Any) -> str | None:
        if event.worker in self._ended:
            return f"worker {event.worker} has ended before"
        self._ended.add(event.worker)
        return self._of_worker(event)

    def _of_worker(self, event: Any) -> str | None:
        return None if event.worker in self._workers else f"no worker_started of worker {event.worker} is above it"

    def _cryo_started(self, event: Any) -> None:
        self._cryos.add(event.number)

    def _cryo_ended(self, event: Any) -> str | None:
        if event.started not in self._cryos:
            return f"no cryo_started that has not ended is above it as number {event.started}"
        self._cryos.remove(event.started)
        return None

    def _store_asked(self, event: Any) -> None:
        self._asked.add(event.number)

    def _store(self, event: Any) -> str | None:
        if event.began not in self._asked:
            return f"no store_asked that is unanswered is above it as number {event.began}"
        self._asked.remove(event.began)
        hashed = event.kind != "object_put" or SHA256.fullmatch(event.digest or "")
        return None if hashed else "of what was put there is no SHA-256 in digest"
