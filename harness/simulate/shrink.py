"""Makes a failing run as small as possible: the fewest parts of its plan, single faults, early operations, seed 0."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.simulate.explore import MANY
from harness.simulate.plan import Operation, PlannedFault, Step
from harness.simulate.run import Run, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.scenario import Scenario
    from harness.simulate.bench import Target

Candidate = tuple[tuple[Step, ...], int]
"""A plan and a seed."""


def shrink(scenario: Scenario, target: Target, failed: Run) -> Run:
    """Return the smallest failing run that is reached from a failing one by small steps, each of which still fails."""
    smallest = failed
    while (smaller := _step(scenario, target, smallest)) is not None:
        smallest = smaller
    return smallest


def _step(scenario: Scenario, target: Target, failed: Run) -> Run | None:
    for plan, seed in _candidates(failed):
        run = simulate(scenario, target, plan=plan, seed=seed)
        if run.problems:
            return run
    return None


def _candidates(failed: Run) -> Iterator[Candidate]:
    """Yield smaller plans, the smallest changes last."""
    plan = failed.plan
    if len(plan) > 1:
        yield (), failed.seed
    for index in range(len(plan)):
        yield plan[:index] + plan[index + 1 :], failed.seed
    if failed.seed:
        yield plan, 0
    for index, step in enumerate(plan):
        for simpler in _simpler(step):
            yield (*plan[:index], simpler, *plan[index + 1 :]), failed.seed


def _simpler(step: Step) -> Iterator[Step]:
    """Yield the same step once instead of lasting, and at the first operation or turn that comes earlier."""
    if isinstance(step, PlannedFault):
        if step.lasting:
            yield replace(step, lasting=False)
        for number in range(1, step.operation.number):
            yield replace(step, operation=Operation(step.operation.name, number))
    else:
        # A turn of `MANY` operations lasts until the worker is idle; shorter ones are other turns, and not simpler.
        for operations in range(step.operations if step.operations < MANY else 0):
            yield replace(step, operations=operations)
