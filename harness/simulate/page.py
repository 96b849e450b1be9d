"""The results of a campaign as one self-contained HTML page; style, timeline and template parts are the report's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import check_history
from harness.history import FinalState
from harness.report.groups import short_text
from harness.report.names import printable, short_names, shorten
from harness.report.page import render_page
from harness.report.page.failed_scenario import timeline_rows
from harness.resources import clauses
from harness.simulate.plan import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.checks.evidence import Violation
    from harness.history import Event

Cell = tuple[str, str, Kind]
"""A world, the name of an operation, and a kind of fault."""

FAULTS = {
    "refused": "it has no effect, and fails",
    "unanswered": "it has its effect, but no answer comes",
    "cut-off": "it has its effect, and the answer ends in the middle",
    "slow": "it is on its way for longer than the lease lasts",
    "crash-before": "the worker is killed before it",
    "crash-between": "the worker is killed after its effect, before the answer",
    "crash-after": "the worker is killed after the answer",
    "power-loss": "all workers are killed, and files that were not synced are lost",
    "stopped": "the worker is stopped before it, and goes on after its lease has ended",
    "terminated": "the worker gets SIGTERM",
    "lease-taken": "the dispatcher ends the lease, and the worker does not know",
    "overtaken": "just before it, another worker completes the version in the store",
}
"""What each kind of fault does to its operation."""

MAX_OTHERS = 6
"""Further runs of a group that are listed; each of them shows nearly the same."""
MAX_OF_A_CLAUSE = 3
"""Problems of one clause that are shown; the others mostly are the same of other attempts."""
THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class Failure:
    """A run with problems: its world, its seed, the parts of its plan as text, and its history, which may be empty.

    `replay` is the command that runs it again, empty if it was not saved.
    """

    world: str
    seed: int
    plan: tuple[str, ...]
    problems: tuple[str, ...]
    events: Sequence[Event] = ()
    replay: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """What the page shows: `exercised` and `broken` count the runs of each cell, with and without a problem.

    `explored` says what was run. `seconds` are those of the campaign, `unfired` are parts of plans that never came into
    play, `situations` tells of each whether it came up. `failed_runs` may be more than the `failures`, of which each
    was made smaller.
    """

    target: str
    kinds: tuple[Kind, ...]
    runs: int
    attempts: int
    virtual_seconds: float
    seconds: float
    digest: str
    exercised: Mapping[Cell, int] = field(default_factory=dict)
    broken: Mapping[Cell, int] = field(default_factory=dict)
    unfired: tuple[str, ...] = ()
    situations: Mapping[str, bool] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    failed_runs: int = 0
    explored: tuple[str, ...] = ()

    @property
    def has_passed(self) -> bool:
        """Whether no run had a problem, every fault fired and every situation came up."""
        return not self.failures and not self.unfired and all(self.situations.values())


def render(results: Results) -> str:
    """Return the page."""
    rows = list(_matrix(results))
    cells = Counter(cell["css"] for row in rows for cell in row["cells"])
    return render_page(
        _read("page.html.j2"),
        more_style=_read("page.css"),
        results=results,
        target=printable(results.target),
        verdict="PASS" if results.has_passed else "FAIL",
        headline=_headline(results),
        facts=list(_facts(results)),
        rows=rows,
        cells=cells,
        bar=list(_bar(cells)),
        faults={kind: FAULTS.get(kind, "") for kind in results.kinds},
        groups=[_group(index, failures) for index, failures in enumerate(_grouped(results.failures), start=1)],
        missed=[name for name, came_up in results.situations.items() if not came_up],
    )


def _read(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _headline(results: Results) -> str:
    if results.failures:
        return f"has problems in {max(results.failed_runs, len(results.failures)):,} of {results.runs:,} runs"
    if results.has_passed:
        return f"kept the contract in all {results.runs:,} runs"
    return f"kept the contract in all {results.runs:,} runs, but not everything was exercised"


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    yield "Runs", f"{results.runs:,}"
    yield "Attempts", f"{results.attempts:,}"
    yield "Virtual time", f"{results.virtual_seconds / 3600:,.1f} h"
    yield "Took", f"{results.seconds:,.1f} s"
    if results.seconds:
        yield "Attempts a second", f"{results.attempts / results.seconds:,.0f}"


def _bar(cells: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    total, x = sum(cells.values()) or 1, 0.0
    for css in ("pass", "fail", "not-exercised"):
        width = 1000 * cells.get(css, 0) / total
        if width:
            yield {"css": css, "x": round(x, 1), "width": round(max(width - 2, 1), 1)}
        x += width


def _matrix(results: Results) -> Iterator[dict[str, Any]]:
    """Yield a row for each operation, with a cell for each kind of fault."""
    component = ""
    for name in sorted({name for _, name, _ in results.exercised}):
        first, _, _ = name.partition(".")
        yield {
            "name": name,
            "is_first": first != component,
            "cells": [_cell(results, name, kind) for kind in results.kinds],
        }
        component = first


def _cell(results: Results, name: str, kind: str) -> dict[str, Any]:
    by_world = {
        world: count
        for (world, operation, each), count in sorted(results.exercised.items())
        if (operation, each) == (name, kind) and count
    }
    runs = sum(by_world.values())
    broken = sum(count for (_, operation, each), count in results.broken.items() if (operation, each) == (name, kind))
    if not runs:
        return {"css": "not-exercised", "text": "", "title": f"{name} {kind}: never reached"}
    worlds = f" ({', '.join(f'{world} {count:,}' for world, count in by_world.items())})" if len(by_world) > 1 else ""
    problems = f"{broken:,} with problems" if broken else "no problem"
    return {
        "css": "fail" if broken else "pass",
        "text": f"{_short(broken)}/{_short(runs)}" if broken else _short(runs),
        "title": f"{name} {kind}: {runs:,} {'run' if runs == 1 else 'runs'}{worlds}, {problems}",
    }


def _short(count: int) -> str:
    """Return a count in at most four characters."""
    if count < THOUSAND:
        return str(count)
    return f"{count / THOUSAND:.1f}k" if count < 10 * THOUSAND else f"{count // THOUSAND}k"


def _grouped(failures: Sequence[Failure]) -> list[list[Failure]]:
    """Group failures by the clauses that they break: the largest group first, each with its simplest failure first."""
    groups: dict[tuple[str, ...], list[Failure]] = {}
    for failure in failures:
        groups.setdefault(tuple(sorted(_clauses(failure))), []).append(failure)
    for group in groups.values():
        group.sort(key=lambda failure: (not failure.events, len(failure.plan), len(failure.problems)))
    return sorted(groups.values(), key=len, reverse=True)


def _clauses(failure: Failure) -> list[str]:
    """Return the clauses that a run breaks, in their order in the problems."""
    named = (problem.partition(":")[0] for problem in failure.problems)
    return list(dict.fromkeys(clause for clause in named if clause in clauses()))


def _group(number: int, failures: list[Failure]) -> dict[str, Any]:
    shown, *others = failures
    names = short_names(shown.events)
    rows, _ = timeline_rows(f"g{number}", shown.events, _violations(shown)) if shown.events else ([], {})
    return {
        "number": number,
        "count": len(failures),
        "clauses": _clauses(shown),
        "world": shown.world,
        "seed": shown.seed,
        "plan": [(printable(step), _explained(step)) for step in shown.plan],
        "problems": list(_problems(shown, names)),
        "names": sorted((short, printable(long)) for long, short in names.items()),
        "rows": rows,
        "replay": printable(shown.replay),
        "others": [
            f"{printable(each.world)}, seed {each.seed}: {printable('; '.join(each.plan)) or 'no fault'}"
            for each in others[:MAX_OTHERS]
        ],
        "more": max(len(others) - MAX_OTHERS, 0),
    }


def _violations(failure: Failure) -> list[Violation]:
    """Return the violations of the checks that the run was reported for, with the events that show them."""
    if not isinstance(failure.events[-1], FinalState):
        return []
    found = check_history(failure.events).violations
    return [each for each in found if f"{each.clause}: expected {each.expected}; seen: {each.seen}" in failure.problems]


def _explained(step: str) -> str:
    """Return what a fault does to its operation; empty for other parts of a plan."""
    return next((FAULTS[word] for word in step.split() if word in FAULTS), "")


def _problems(failure: Failure, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the first problems of each clause; `more` of the last one counts those that are not shown."""
    by_clause: dict[str, list[dict[str, Any]]] = {}
    for text in dict.fromkeys(failure.problems):
        problem = _problem(text, names)
        by_clause.setdefault(problem["clause"], []).append(problem)
    for problems in by_clause.values():
        shown = problems[:MAX_OF_A_CLAUSE]
        shown[-1]["more"] = len(problems) - len(shown)
        yield from shown


def _problem(text: str, names: dict[str, str]) -> dict[str, Any]:
    clause, separator, rest = text.partition(": expected ")
    expected, _, seen = rest.partition("; seen: ")
    if not separator or clause not in clauses():
        return {"clause": "", "short_text": "", "expected": "", "seen": shorten(text, names), "more": 0}
    return {
        "clause": clause,
        "short_text": short_text(clause),
        "expected": shorten(expected, names),
        "seen": shorten(seen, names),
        "more": 0,
    }
