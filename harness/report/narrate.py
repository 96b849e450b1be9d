"""A history told as steps between lanes: who said what to whom. What belongs together is one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.history import (
    DispatcherCall,
    Event,
    Exit,
    FaultFired,
    LogLine,
    RpcCall,
    StoreAnswered,
    StoreAsked,
)
from harness.report.names import names_of, shorten
from harness.report.steps import Step, steps_of

LONGEST, LONGEST_QUIET = 400, 160
"""Characters of a step's text; its events have all."""


def narrate(events: Sequence[Event], cited: frozenset[int] = frozenset()) -> list[Step]:
    """Return the steps of a history; a cited event is never folded into others of its kind."""
    names = names_of(events)
    began = events[0].at if events else 0.0
    steps = [_short(step, names, began) for step in _steps(events)]
    return list(_folded(steps, cited))


def last_words(events: Sequence[Event], cited: frozenset[int]) -> str:
    """Return what a worker logged last before an end of an attempt that is cited; empty where none is."""
    said, names = "", names_of(events)
    for event in events:
        if isinstance(event, LogLine):
            said = event.text
        elif (isinstance(event, Exit) or event.kind == "complete") and event.number in cited:
            return " ".join(shorten(said, names).split())
    return ""


def _short(step: Step, names: dict[str, str], began: float) -> Step:
    text = " ".join(shorten(step.text, names).split())
    longest = LONGEST_QUIET if step.quiet else LONGEST
    if len(text) > longest:
        text = f"{text[:longest]}…"
    return replace(step, text=text, answer=shorten(step.answer, names), at=round(step.at - began, 3))


def _steps(events: Sequence[Event]) -> Iterator[Step]:
    place = 0
    while place < len(events):
        group = [events[place]]
        while place + len(group) < len(events) and _belongs(group, events[place + len(group)]):
            group.append(events[place + len(group)])
        place += len(group)
        yield from _told(group)


def _told(group: list[Event]) -> Iterator[Step]:
    """Tell what some events that belong together say: the last that is not the mark of a fault speaks for all."""
    speaker = ([event for event in group if not isinstance(event, FaultFired)] or group)[-1]
    fired = [event.fault for event in group if isinstance(event, FaultFired)]
    alone = isinstance(speaker, StoreAnswered) and not isinstance(group[0], StoreAsked)
    numbers = tuple(event.number for event in group)
    for told in steps_of(speaker):
        step = replace(told, numbers=numbers, at=group[0].at, events=tuple(group))
        if alone:
            step = replace(step, origin=step.goal, goal=step.origin or "worker", text=f"answer to {step.text}")
        if fired:
            step = replace(step, mark="fault", text=_with_fault(step.text, fired))
        yield step


def _belongs(group: list[Event], event: Event) -> bool:
    """Tell whether an event is of one step with those just before it: a request's answer, or the fault that applied."""
    last = group[-1]
    if isinstance(event, FaultFired):
        family = event.fault.partition(" ")[0]
        return (family == "store" and isinstance(last, StoreAsked)) or (
            family == "dispatcher" and isinstance(last, DispatcherCall) and bool(last.fault)
        )
    if isinstance(event, StoreAnswered):
        return isinstance(group[0], StoreAsked) and event.began == group[0].number
    return isinstance(last, FaultFired) and len(group) == 1 and isinstance(event, RpcCall) and event.fault


def _with_fault(text: str, fired: list[str]) -> str:
    return f"{text} — fault: {', '.join(fired)}" if text else f"fault: {', '.join(fired)}"


def _folded(steps: list[Step], cited: frozenset[int]) -> Iterator[Step]:
    """Make one step of many calls or heartbeats in a row."""
    held: list[Step] = []
    for step in steps:
        alike = step.quiet and step.goal in {"rpc", "dispatcher"} and not cited.intersection(step.numbers)
        if held and not (alike and step.goal == held[0].goal):
            yield _fold(held)
            held = []
        if alike:
            held.append(step)
        else:
            yield step
    if held:
        yield _fold(held)


def _fold(steps: list[Step]) -> Step:
    first = steps[0]
    if len(steps) == 1:
        return first
    counted = Counter(step.text.partition(" ")[0] for step in steps)
    text = ", ".join(f"{times} x {what}" if times > 1 else what for what, times in counted.items())
    numbers = tuple(number for step in steps for number in step.numbers)
    return replace(first, numbers=numbers, text=text, events=tuple(event for step in steps for event in step.events))
