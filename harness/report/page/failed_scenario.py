"""One failed scenario for the page: its setup, its violations, and its timeline as rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.checks.evidence import Violation
from harness.history import Event, scenario_started
from harness.report.groups import short_text
from harness.report.names import printable, short_names, shorten
from harness.report.result import RunResult, ScenarioResult
from harness.report.steps import LANES, TimelineStep
from harness.report.timeline import last_log_line, timeline
from harness.scenario import Scenario

LANE = 62
"""Width of a lane in pixels; style.css has the same."""
MAX_JSON_CHARACTERS = 4000
"""Of the JSON of a step's events."""
MAX_EVENTS = 3
"""Events of a merged step that are shown as JSON."""
MAX_VIOLATIONS = 8
SETUP = {
    "delivery": "the target is started as",
    "cryo_faults": "faults of fake Cryo",
    "store_faults": "fault of the store",
    "rpc_faults": "fault of the node",
    "dispatcher_faults": "fault of the dispatcher",
    "preloaded_objects": "object in the store at the start",
    "preloaded_files": "path in staging at the start",
    "triggers": "action of the harness",
    "environment": "the worker's environment has",
    "node": "the node is",
    "platform": "the platform is",
}
"""How the value of each field of a scenario is introduced."""
EXPECTED_ENDS = {"nothing": "end without a report", "success_or_retry": "end as success or retryable error"}


def describe_scenario(result: RunResult, scenario: ScenarioResult) -> dict[str, Any]:
    """Return the values that the template needs for a scenario."""
    names = short_names(scenario.events)
    rows, anchors = timeline_rows(scenario.name, scenario.events, scenario.violations)
    violations = [
        {
            "clause": violation.clause,
            "short_text": short_text(violation.clause),
            "known": printable(result.known.get(f"{violation.clause}/{scenario.name}", "")),
            "expected": shorten(violation.expected, names),
            "seen": shorten(violation.seen, names),
            "last_log_line": last_log_line(scenario.events, frozenset(numbers)),
            "events": [(number, anchors[number]) for number in sorted(numbers) if number in anchors],
        }
        for violation, numbers in merge_equal(scenario.violations)
    ]
    return {
        "result": scenario,
        "title": printable(scenario.title),
        "clauses": sorted({violation.clause for violation in scenario.violations}),
        "errors": list(map(printable, scenario.errors)),
        "setup": list(describe_setup(scenario_started(scenario.events).scenario)) if scenario.events else [],
        "violations": violations[:MAX_VIOLATIONS],
        "more": max(len(violations) - MAX_VIOLATIONS, 0),
        "replay": printable(result.replay(scenario)),
        "history": printable(scenario.history),
        "rows": rows,
        "names": sorted((short, printable(long)) for long, short in names.items()),
    }


def timeline_rows(
    name: str, events: Sequence[Event], violations: Iterable[Violation]
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """Return the rows of a timeline for the macro `timeline`, and the anchor of each event by its number.

    `name` is the part of the anchors that makes them unique in the page.
    """
    names = short_names(events)
    citations: dict[int, list[str]] = {}
    for violation in violations:
        for number in violation.events:
            citations.setdefault(number, []).append(violation.clause)
    workers = _workers(events)
    steps = timeline(events, frozenset(citations))
    # If several steps show one event, links lead to the first one.
    anchors = {
        number: f"e-{name}-{index}" for index, step in reversed([*enumerate(steps)]) for number in step.event_numbers
    }
    rows = [_row(step, f"e-{name}-{index}", citations, names) for index, step in enumerate(steps)]
    for row, step in zip(rows, steps, strict=True):
        row["worker"] = workers.get(step.event_numbers[0], "")
    return rows, anchors


def _workers(events: Sequence[Event]) -> dict[int, str]:
    """Return which worker sent what, by the numbers of events; nothing if there is one worker."""
    found = {event.number: getattr(event, "worker", None) for event in events}
    several = len({worker for worker in found.values() if worker}) > 1
    return {number: f"worker {worker}" for number, worker in found.items() if worker and several}


def merge_equal(violations: Iterable[Violation]) -> list[tuple[Violation, set[int]]]:
    """Return one violation for all with the same clause and texts, with the events of all of them."""
    merged: dict[tuple[str, str, str], tuple[Violation, set[int]]] = {}
    for violation in violations:
        key = (violation.clause, violation.expected, violation.seen)
        merged.setdefault(key, (violation, set()))[1].update(violation.events)
    return list(merged.values())


def describe_setup(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each field of a scenario that differs from the default, and for the end of each task."""
    scenario = Scenario.model_validate(fields)
    omitted: Any = {"name": True, "title": True, "clauses": True, "tasks": {"__all__": {"outcome"}}}
    for name, value in scenario.model_dump(exclude_defaults=True, exclude=omitted).items():
        for index, item in enumerate(value if isinstance(value, list | tuple) else [value]):
            if name == "rpc_faults":
                # The name of the fault is the default of its class, so it is not among the fields that differ.
                item = {"do": scenario.rpc_faults[index].do, **item}  # noqa: PLW2901 - the item as it is shown
            details = (
                ", ".join(f"{key} {_text(inner)}" for key, inner in item.items()) if isinstance(item, dict) else item
            )
            label = f"task {index} is" if name == "tasks" else SETUP.get(name, name.replace("_", " "))
            if details != "":
                yield printable(f"{label}: {details}")
    for index, line in enumerate(scenario.tasks):
        end = EXPECTED_ENDS.get(line.outcome, f"end as {line.outcome.replace('_', ' ')}")
        yield f"task {index} should {end}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _row(step: TimelineStep, anchor: str, citations: dict[int, list[str]], names: dict[str, str]) -> dict[str, Any]:
    lanes = list(LANES)
    x2 = lanes.index(step.target) * LANE + LANE // 2
    x1 = None if step.source is None else lanes.index(step.source) * LANE + LANE // 2
    cited = list(dict.fromkeys(clause for number in step.event_numbers for clause in citations.get(number, ())))
    flags = {"bad": step.failed, "minor": step.minor and not cited, "cited": bool(cited), step.mark: bool(step.mark)}
    first, last = step.event_numbers[0], step.event_numbers[-1]
    return {
        "number": str(first) if first == last else f"{first}-{last}",
        "at": f"{step.at:.2f}",
        "anchor": anchor,
        "css": " ".join(name for name, is_set in flags.items() if is_set),
        "mark": step.mark,
        "minor": step.minor,
        "x1": x1,
        "x2": x2,
        "direction": 1 if x1 is None or x2 > x1 else -1,
        "lanes": LANES[step.target] if step.source is None else f"{LANES[step.source]} → {LANES[step.target]}",
        "text": step.text,
        "response": step.response,
        "cites": cited,
        "raw": _events_as_json(step, names),
    }


def _events_as_json(step: TimelineStep, names: dict[str, str]) -> str:
    """Return a step's events as JSON; empty for the final state, which is long and can be read in the history."""
    if step.mark == "end":
        return ""
    texts = [json.dumps(event.model_dump(mode="json"), indent=1) for event in step.events[:MAX_EVENTS]]
    if len(step.events) > MAX_EVENTS:
        texts.append(f"… and {len(step.events) - MAX_EVENTS} more")
    text = shorten("\n".join(texts), names)
    return text if len(text) <= MAX_JSON_CHARACTERS else f"{text[:MAX_JSON_CHARACTERS]}\n…"
