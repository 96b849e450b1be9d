"""One failed scenario as the page tells it: what it does, what is wrong, and every step with its place in the lanes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.checks.evidence import Violation
from harness.history import begun
from harness.report.groups import gist
from harness.report.names import names_of, printable, shorten
from harness.report.narrate import last_words, narrate
from harness.report.result import Ran, Result
from harness.report.steps import LANES, Step
from harness.scenario import Scenario

LANE = 62
"""Pixels; style.css has the same."""
RAW = 4000
"""Characters of a step's events that are shown."""
FOLDED = 3
"""So many events of a folded step are shown whole."""
VIOLATIONS = 8
SETUP = {
    "delivery": "the target is started as",
    "cryo_faults": "faults of fake Cryo",
    "store_faults": "the store fails",
    "rpc_faults": "the node fails",
    "dispatcher_faults": "the dispatcher fails",
    "preloaded_objects": "in the store before",
    "preloaded_files": "in staging before",
    "triggers": "the harness does",
    "environment": "the worker's environment has",
    "node": "the node is",
    "platform": "the platform is",
}


SHOULD = {"nothing": "end without a report", "success_or_retry": "end as success or retryable error"}


def story(result: Result, ran: Ran) -> dict[str, Any]:
    """Return what the template needs of a scenario."""
    names = names_of(ran.events)
    cites: dict[int, list[str]] = {}
    for violation in ran.judged.violations:
        for number in violation.events:
            cites.setdefault(number, []).append(violation.clause)
    steps = narrate(ran.events, frozenset(cites))
    anchors = {
        number: f"e-{ran.name}-{place}" for place, step in reversed([*enumerate(steps)]) for number in step.numbers
    }
    violations = [
        {
            "clause": one.clause,
            "gist": gist(one.clause),
            "known": printable(result.known.get(f"{one.clause}/{ran.name}", "")),
            "expected": shorten(one.expected, names),
            "seen": shorten(one.seen, names),
            "words": last_words(ran.events, frozenset(numbers)),
            "events": [(number, anchors[number]) for number in sorted(numbers) if number in anchors],
        }
        for one, numbers in alike(ran.judged.violations)
    ]
    return {
        "ran": ran,
        "title": printable(ran.title),
        "clauses": sorted({one.clause for one in ran.judged.violations}),
        "errors": list(map(printable, ran.judged.errors)),
        "setup": list(setup(begun(ran.events).scenario)) if ran.events else [],
        "violations": violations[:VIOLATIONS],
        "more": max(len(violations) - VIOLATIONS, 0),
        "replay": printable(result.replay(ran)),
        "history": printable(ran.history),
        "rows": [_row(step, f"e-{ran.name}-{place}", cites, names) for place, step in enumerate(steps)],
        "names": sorted((short, printable(long)) for long, short in names.items()),
    }


def alike(violations: Iterable[Violation]) -> list[tuple[Violation, set[int]]]:
    """Return violations that say the same as one, with the events of all."""
    found: dict[tuple[str, str, str], tuple[Violation, set[int]]] = {}
    for one in violations:
        found.setdefault((one.clause, one.expected, one.seen), (one, set()))[1].update(one.events)
    return list(found.values())


def setup(fields: Mapping[str, Any]) -> Iterator[str]:
    """Say in what a scenario differs from a plain one, and how its tasks should end."""
    scenario = Scenario.model_validate(fields)
    left_out: Any = {"name": True, "title": True, "clauses": True, "tasks": {"__all__": {"outcome"}}}
    for name, value in scenario.model_dump(exclude_defaults=True, exclude=left_out).items():
        for place, one in enumerate(value if isinstance(value, list | tuple) else [value]):
            said = ", ".join(f"{key} {_plain(inner)}" for key, inner in one.items()) if isinstance(one, dict) else one
            what = f"task {place} is" if name == "tasks" else SETUP.get(name, name.replace("_", " "))
            if said != "":
                yield printable(f"{what}: {said}")
    for place, line in enumerate(scenario.tasks):
        plain = f"end as {line.outcome.replace('_', ' ')}"
        yield f"task {place} should {SHOULD.get(line.outcome, plain)}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _row(step: Step, anchor: str, cites: dict[int, list[str]], names: dict[str, str]) -> dict[str, Any]:
    lanes = list(LANES)
    x2 = lanes.index(step.goal) * LANE + LANE // 2
    x1 = None if step.origin is None else lanes.index(step.origin) * LANE + LANE // 2
    cited = list(dict.fromkeys(clause for number in step.numbers for clause in cites.get(number, ())))
    flags = {"bad": step.bad, "quiet": step.quiet and not cited, "cited": bool(cited), step.mark: bool(step.mark)}
    first, last = step.numbers[0], step.numbers[-1]
    return {
        "number": str(first) if first == last else f"{first}-{last}",
        "at": f"{step.at:.2f}",
        "anchor": anchor,
        "css": " ".join(name for name, is_so in flags.items() if is_so),
        "mark": step.mark,
        "quiet": step.quiet,
        "x1": x1,
        "x2": x2,
        "way": 1 if x1 is None or x2 > x1 else -1,
        "who": LANES[step.goal] if step.origin is None else f"{LANES[step.origin]} → {LANES[step.goal]}",
        "text": step.text,
        "answer": step.answer,
        "cites": cited,
        "raw": _raw(step, names),
    }


def _raw(step: Step, names: dict[str, str]) -> str:
    """Return a step's events as JSON; those of the end are long and stand in the history."""
    if step.mark == "end":
        return ""
    shown = [json.dumps(event.model_dump(mode="json"), indent=1) for event in step.events[:FOLDED]]
    if len(step.events) > FOLDED:
        shown.append(f"… and {len(step.events) - FOLDED} more")
    text = shorten("\n".join(shown), names)
    return text if len(text) <= RAW else f"{text[:RAW]}\n…"
