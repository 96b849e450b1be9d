"""The result of an exploration, as text and as JSON."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.explore.cells import Cell, Skipped
from harness.explore.faults import LEFT_OUT
from harness.explore.judge import Judged, Status


@dataclass(frozen=True, slots=True)
class Exploration:
    """The result of the exploration of one scenario; `not_run` are the cells that the options left out."""

    scenario: str
    judged: tuple[Judged, ...]
    not_run: tuple[Cell, ...]
    skipped: tuple[Skipped, ...]

    def count(self, status: Status) -> int:
        """Return how many cells ended with a status."""
        return sum(each.status is status for each in self.judged)

    @property
    def problems(self) -> list[Judged]:
        """The cells that violate the contract, and those whose run failed."""
        return [each for each in self.judged if each.status in {Status.VIOLATED, Status.ERROR}]

    @property
    def generated(self) -> int:
        """How many cells were generated."""
        return len(self.judged) + len(self.not_run)


def lines(found: Exploration) -> Iterator[str]:
    """Yield the lines of the report: a table, then cells without a pass, then the counts."""
    yield from _table(found.judged)
    for each in found.judged:
        if each.status is not Status.PASSED:
            yield f"{each.status.upper()} {each.cell.name} ({each.seconds:.1f} s)"
            yield from (f"  {problem}" for problem in each.problems)
    by_reason: dict[str, list[str]] = defaultdict(list)
    for left_out in found.skipped:
        by_reason[left_out.reason].append(left_out.name)
    for reason, names in by_reason.items():
        yield f"skipped {', '.join(names)}: {reason}"
    yield from (f"never generated: {kind}: {reason}" for kind, reason in LEFT_OUT.items())
    yield (
        f"{found.scenario}: {found.generated} cells, {len(found.judged)} run: {found.count(Status.PASSED)} passed, "
        f"{found.count(Status.VIOLATED)} violated, {found.count(Status.UNFIRED)} whose fault never fired, "
        f"{found.count(Status.ERROR)} errors; {len(found.not_run)} not run, {len(found.skipped)} skipped"
    )


def _table(judged: Sequence[Judged]) -> Iterator[str]:
    """Yield for each operation how many of its cells ran, passed, and so on."""
    counts: dict[str, Counter[Status]] = defaultdict(Counter)
    for each in judged:
        counts[each.cell.operation.name][each.status] += 1
    width = max((len(name) for name in counts), default=0)
    if counts:
        yield f"{'operation':{width}}  " + "  ".join(Status)
    for name, counted in sorted(counts.items()):
        yield f"{name:{width}}  " + "  ".join(f"{counted[status] or '.':<{len(status)}}" for status in Status)


def as_json(found: Exploration) -> dict[str, Any]:
    """Return the result as JSON."""
    return {
        "scenario": found.scenario,
        "generated": found.generated,
        "run": len(found.judged),
        "counts": {status.value: found.count(status) for status in Status},
        "not_run": [cell.name for cell in found.not_run],
        "skipped": [{"cell": each.name, "reason": each.reason} for each in found.skipped],
        "never_generated": LEFT_OUT,
        "cells": [
            {
                "cell": each.cell.name,
                "operation": str(each.cell.operation),
                "fault": each.cell.fault,
                "status": each.status.value,
                "seconds": round(each.seconds, 1),
                "clauses": list(each.clauses),
                "problems": list(each.problems),
            }
            for each in found.judged
        ],
    }
