"""Records a simulated run as the events that scenarios are judged by, with virtual times."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from harness.history import Event

if TYPE_CHECKING:
    from harness.simulate.loop import SimulatedClock

E = TypeVar("E", bound=Event)


@dataclass(slots=True)
class SimulatedRecorder:
    """Numbers events and gives them the virtual time since the start."""

    clock: SimulatedClock
    events: list[Event] = field(default_factory=list)
    _began: float | None = None

    def add(self, event_type: type[E], /, **fields: Any) -> E:
        """Record an event."""
        now = self.clock.monotonic()
        self._began = now if self._began is None else self._began
        event = event_type(number=len(self.events) + 1, at=round(now - self._began, 6), **fields)
        self.events.append(event)
        return event

    def digest(self) -> str:
        """Return a digest of the whole history: equal runs have equal ones, on every machine."""
        found = hashlib.sha256()
        for event in self.events:
            found.update(event.model_dump_json().encode() + b"\n")
        return found.hexdigest()
