"""A history told as steps between lanes: who said what to whom. What belongs together is one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.report.names import names_of, shorten
from harness.report.steps import DISPATCHER, TELL, Step

LONGEST, LONGEST_QUIET = 400, 160
"""Characters of a step's text; its events have all."""


def narrate(events: Sequence[Any], cited: frozenset[int] = frozenset()) -> list[Step]:
    """Return the steps of a history; a cited event is never folded into others of its kind."""
    names = names_of(events)
    began = events[0].at if events else 0.0
    steps = [_short(step, names, began) for step in _steps(events)]
    return list(_folded(steps, cited))


def last_words(events: Sequence[Any], cited: frozenset[int]) -> str:
    """Return what a worker logged last before an end of an attempt that is cited; empty where none is."""
    said, names = "", names_of(events)
    for event in events:
        if event.kind == "log_line":
            said = event.text
        elif event.kind in {"exit", "complete"} and event.number in cited:
            return " ".join(shorten(said, names).split())
    return ""


def _short(step: Step, names: dict[str, str], began: float) -> Step:
    text = " ".join(shorten(step.text, names).split())
    longest = LONGEST_QUIET if step.quiet else LONGEST
    if len(text) > longest:
        text = f"{text[:longest]}…"
    return replace(step, text=text, answer=shorten(step.answer, names), at=round(step.at - began, 3))


def _steps(events: Sequence[Any]) -> Iterator[Step]:
    place = 0
    while place < len(events):
        group = [events[place]]
        while place + len(group) < len(events) and _belongs(group, events[place + len(group)]):
            group.append(events[place + len(group)])
        place += len(group)
        yield from _told(group)


def _told(group: list[Any]) -> Iterator[Step]:
    """Tell what some events that belong together say: the last that is not the mark of a fault speaks for all."""
    speaker = ([event for event in group if event.kind != "fault_fired"] or group)[-1]
    struck = [event.fault for event in group if event.kind == "fault_fired"]
    alone = hasattr(speaker, "began") and group[0].kind != "store_asked"
    numbers = tuple(event.number for event in group)
    for told in TELL[speaker.kind](speaker):
        step = replace(told, numbers=numbers, at=group[0].at, events=tuple(group))
        if alone:
            step = replace(step, origin=step.goal, goal=step.origin or "worker", text=f"answer to {step.text}")
        if struck:
            step = replace(step, mark="fault", text=_with_fault(step.text, struck))
        yield step


def _belongs(group: list[Any], event: Any) -> bool:
    """Tell whether an event is of one step with those just before it: a request's answer, or the fault that struck."""
    last = group[-1]
    asked = group[0] if group[0].kind == "store_asked" else None
    if event.kind == "fault_fired":
        family = event.fault.partition(" ")[0]
        return (family == "store" and last.kind == "store_asked") or (
            family == "dispatcher" and last.kind in DISPATCHER and bool(last.fault)
        )
    if hasattr(event, "began"):
        return asked is not None and event.began == asked.number
    return bool(last.kind == "fault_fired" and len(group) == 1 and event.kind == "rpc_call" and event.fault)


def _with_fault(text: str, struck: list[str]) -> str:
    return f"{text} — fault: {', '.join(struck)}" if text else f"fault: {', '.join(struck)}"


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
