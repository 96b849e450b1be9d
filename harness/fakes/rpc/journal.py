"""Everything that a pool was asked, in order, readable while it runs. Events only; nothing here judges them."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple


class Called(NamedTuple):
    """A call arrived. `at` is monotonic seconds, `blocks` the block or inclusive range that it is about."""

    number: int
    at: float
    endpoint: str
    method: str
    params: object
    blocks: tuple[int, int] | None


class Answered(NamedTuple):
    """A call was answered: `error` is the JSON-RPC error's code where it was one."""

    call: int
    at: float
    error: int | None


class Fired(NamedTuple):
    """A scripted fault spoilt a call; `fault` is its place in the script."""

    call: int
    at: float
    fault: int


Event = Called | Answered | Fired


class Journal:
    """A growing list of events. One thread writes, any may read: lists only ever grow here."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def append(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)

    @property
    def events(self) -> tuple[Event, ...]:
        """All events so far."""
        return tuple(self._events)

    def calls(self, method: str | None = None) -> tuple[Called, ...]:
        """Return the calls so far, of one method or all."""
        return tuple(event for event in self.events if isinstance(event, Called) and method in {None, event.method})

    def fired(self) -> tuple[Fired, ...]:
        """Return the faults that fired so far."""
        return tuple(event for event in self.events if isinstance(event, Fired))

    def methods(self) -> Counter[str]:
        """Count the calls so far by method."""
        return Counter(call.method for call in self.calls())
