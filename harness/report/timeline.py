"""The timeline of a history: steps between lanes, in which events that belong together are one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.history import (
    DispatcherCall,
    Event,
    FaultFired,
    LogLine,
    RpcCall,
    StoreRequest,
    StoreResponse,
    WorkerExited,
)
from harness.report.names import short_names, shorten
from harness.report.steps import TimelineStep, describe_event

MAX_CHARACTERS, MAX_MINOR_CHARACTERS = 400, 160
"""Characters of a step's text; the events of a step have the whole text."""


def timeline(events: Sequence[Event], cited: frozenset[int] = frozenset()) -> list[TimelineStep]:
    """Return the steps of a history; events that a violation cites are not merged with similar ones."""
    names = short_names(events)
    start = events[0].at if events else 0.0
    steps = [_shortened(step, names, start) for group in _groups(events) for step in _steps_of_group(group)]
    return list(_merge_similar(steps, cited))


def last_log_line(events: Sequence[Event], cited: frozenset[int]) -> str:
    """Return the last log line before the first cited end of an attempt; empty if no end is cited."""
    line, names = "", short_names(events)
    for event in events:
        if isinstance(event, LogLine):
            line = event.text
        elif (isinstance(event, WorkerExited) or event.kind == "complete") and event.number in cited:
            return " ".join(shorten(line, names).split())
    return ""


def _shortened(step: TimelineStep, names: dict[str, str], start: float) -> TimelineStep:
    text = " ".join(shorten(step.text, names).split())
    longest = MAX_MINOR_CHARACTERS if step.minor else MAX_CHARACTERS
    if len(text) > longest:
        text = f"{text[:longest]}…"
    return replace(step, text=text, response=shorten(step.response, names), at=round(step.at - start, 3))


def _groups(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Yield the events in groups that make one step each."""
    group: list[Event] = []
    for event in events:
        if group and not _belongs_to(group, event):
            yield group
            group = []
        group.append(event)
    if group:
        yield group


def _belongs_to(group: list[Event], event: Event) -> bool:
    """Return whether an event belongs to the group before it: as the response to its request, or as its fault."""
    last = group[-1]
    if isinstance(event, FaultFired):
        component = event.fault.partition(" ")[0]
        return (component == "store" and isinstance(last, StoreRequest)) or (
            component == "dispatcher" and isinstance(last, DispatcherCall) and bool(last.fault)
        )
    if isinstance(event, StoreResponse):
        return isinstance(group[0], StoreRequest) and event.request_number == group[0].number
    return isinstance(last, FaultFired) and len(group) == 1 and isinstance(event, RpcCall) and event.fault


def _steps_of_group(group: list[Event]) -> Iterator[TimelineStep]:
    """Yield the steps of a group, described by its last event that is not `FaultFired`."""
    main = ([event for event in group if not isinstance(event, FaultFired)] or group)[-1]
    faults = [event.fault for event in group if isinstance(event, FaultFired)]
    response_only = isinstance(main, StoreResponse) and not isinstance(group[0], StoreRequest)
    numbers = tuple(event.number for event in group)
    for described in describe_event(main):
        step = replace(described, event_numbers=numbers, at=group[0].at, events=tuple(group))
        if response_only:
            target = step.source or "worker"
            step = replace(step, source=step.target, target=target, text=f"response to {step.text}")
        if faults:
            step = replace(step, mark="fault", text=_with_faults(step.text, faults))
        yield step


def _with_faults(text: str, faults: list[str]) -> str:
    return f"{text} — fault: {', '.join(faults)}" if text else f"fault: {', '.join(faults)}"


def _merge_similar(steps: list[TimelineStep], cited: frozenset[int]) -> Iterator[TimelineStep]:
    """Merge consecutive minor calls to the same node or dispatcher into one step."""
    similar: list[TimelineStep] = []
    for step in steps:
        can_merge = step.minor and step.target in {"rpc", "dispatcher"} and not cited.intersection(step.event_numbers)
        if similar and not (can_merge and step.target == similar[0].target):
            yield _merged(similar)
            similar = []
        if can_merge:
            similar.append(step)
        else:
            yield step
    if similar:
        yield _merged(similar)


def _merged(steps: list[TimelineStep]) -> TimelineStep:
    first = steps[0]
    if len(steps) == 1:
        return first
    counts = Counter(step.text.partition(" ")[0] for step in steps)
    text = ", ".join(f"{count} x {call}" if count > 1 else call for call, count in counts.items())
    numbers = tuple(number for step in steps for number in step.event_numbers)
    events = tuple(event for step in steps for event in step.events)
    return replace(first, event_numbers=numbers, text=text, events=events)
