"""The history as it is recorded: events are numbered under one lock, without secrets, and reported to listeners."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from harness.runner.secrecy import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable

_Event = TypeVar("_Event", bound=BaseModel)


class Stopped(Exception):
    """The whole run is to end: somebody pressed Ctrl-C, or sent SIGTERM."""


class Recorder:
    """Takes events from any thread. A listener is called in the thread that brings the event, after it is written."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()
        self._changed = threading.Condition(threading.RLock())
        self._began = time.monotonic()
        self._listeners: list[Callable[[Any], None]] = []
        self.secrets = Secrets()
        self.events: list[Any] = []

    def add(self, event_type: type[_Event], /, **fields: Any) -> _Event:
        """Write an event, without secrets: no field can hold one."""
        clean = {name: self.secrets.scrubbed(value) for name, value in fields.items()}
        with self._changed:
            event = event_type(number=len(self.events) + 1, at=round(time.monotonic() - self._began, 6), **clean)
            self.events.append(event)
            self._changed.notify_all()
            for listener in self._listeners:
                listener(event)
            return event

    def scrub_again(self) -> None:
        """Take out the secrets that were not known yet when an event was written."""
        with self._changed:
            self.events[:] = [self.secrets.scrubbed(event) for event in self.events]

    def quiet_seconds(self) -> float:
        """Return how long ago the last event was."""
        return float(time.monotonic() - self._began - self.events[-1].at)

    def on_event(self, listener: Callable[[Any], None]) -> None:
        """Have a function called with every event from now on."""
        self._listeners.append(listener)

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition holds, looking again at every event and a few times a second.

        Raises:
            Stopped: the whole run is to end.
        """
        end = time.monotonic() + seconds
        while not condition():
            if self._stop.is_set():
                raise Stopped("the run was stopped")
            left = end - time.monotonic()
            if left <= 0:
                return False
            with self._changed:
                self._changed.wait(min(left, 0.1))
        return True
