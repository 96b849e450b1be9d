"""Questions about a history, by the class of its events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from harness.history.events import Begun, Event

E = TypeVar("E")


def of(events: Iterable[Event], event_class: type[E]) -> list[E]:
    """Return the events of a class, in their order."""
    return [event for event in events if isinstance(event, event_class)]


def begun(events: Sequence[Event]) -> Begun:
    """Return the first event, which says what was run and where.

    Raises:
        TypeError: this is no history.
    """
    first = events[0]
    if not isinstance(first, Begun):
        raise TypeError(f"a history begins with the event begun, not {first.kind}")
    return first
