"""Typed queries on a history, by the class of its events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from harness.history.events import Event, FinalState, ScenarioStarted

E = TypeVar("E", bound=Event)


def of(events: Iterable[Event], event_class: type[E]) -> list[E]:
    """Return the events of a class, in order."""
    return [event for event in events if isinstance(event, event_class)]


def scenario_started(events: Sequence[Event]) -> ScenarioStarted:
    """Return the first event, which has the scenario, the target and the store.

    Raises:
        TypeError: the first event is of another class.
    """
    first = events[0]
    if not isinstance(first, ScenarioStarted):
        raise TypeError(f"the first event of a history is scenario_started, not {first.kind}")
    return first


def final_state(events: Sequence[Event]) -> FinalState:
    """Return the last event, which has the final state.

    Raises:
        TypeError: the last event is of another class, because the history is incomplete.
    """
    last = events[-1]
    if not isinstance(last, FinalState):
        raise TypeError(f"the last event of a history is final_state, not {last.kind}")
    return last
