"""Records the history: numbers events under one lock, replaces secrets, calls listeners and wakes waiting threads."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from harness.history import Event
from harness.runner.secrecy import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable

E = TypeVar("E", bound=Event)


class Stopped(Exception):
    """The run was interrupted by Ctrl-C or SIGTERM."""


class Recorder:
    """Records events from any thread. Listeners are called in the thread that adds the event, after it is recorded."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()
        self._changed = threading.Condition(threading.RLock())
        self._began = time.monotonic()
        self._listeners: list[Callable[[Event], None]] = []
        self.secrets = Secrets()
        self.events: list[Event] = []

    def add(self, event_type: type[E], /, **fields: Any) -> E:
        """Record an event, with every secret in its fields replaced."""
        clean = {name: self.secrets.scrubbed(value) for name, value in fields.items()}
        with self._changed:
            event = event_type(number=len(self.events) + 1, at=round(time.monotonic() - self._began, 6), **clean)
            self.events.append(event)
            self._changed.notify_all()
            for listener in self._listeners:
                listener(event)
            return event

    def scrub_late_secrets(self) -> None:
        """Replace secrets in all events again, because some became known after an event was recorded."""
        with self._changed:
            self.events[:] = [self.secrets.scrubbed(event) for event in self.events]

    def quiet_seconds(self) -> float:
        """Return the seconds since the last event."""
        return time.monotonic() - self._began - self.events[-1].at

    def on_event(self, listener: Callable[[Event], None]) -> None:
        """Call a function with every event from now on."""
        self._listeners.append(listener)

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition is true, and return whether it is; it is tested at each event and ten times a second.

        Raises:
            Stopped: the run was interrupted.
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
