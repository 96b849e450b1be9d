"""Searches for the first violation of a planted bug, in the order of a campaign, and makes it small."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from random import Random
from typing import TypeVar

from harness.scenario import Scenario
from harness.simulate.bench import Target
from harness.simulate.explore import (
    Steps,
    first_faults,
    interleavings,
    pairs_after,
    random_plan,
    single_faults,
    turns_of_first_worker,
)
from harness.simulate.replay import find_target
from harness.simulate.run import Run, simulate
from harness.simulate.shrink import shrink
from harness.simulate.worlds import ONE_TASK, SINGLE_WORLDS, THREE_TASKS, TWO_WORKERS

T = TypeVar("T")

TARGET = "simulation.planted.target"
ORDER = 12
"""The seed of the order of the pairs: neighbours in the campaign's own order show nearly the same."""

Plan = tuple[Scenario, Steps, int]
"""A world, a plan and a seed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one search: `run` is the smallest failing run, None if no run has failed.

    `runs` and `seconds` are those until the first failing run, without the runs that made it smaller.
    """

    bug: str
    runs: int
    seconds: float
    faults: tuple[str, ...] = ()
    world: str = ""
    problems: tuple[str, ...] = ()

    @property
    def is_found(self) -> bool:
        """Whether a run has failed."""
        return bool(self.problems)

    @property
    def reported(self) -> str:
        """The clauses that were reported, or `liveness` for a task that did not end or a worker that crashed."""
        clauses = [problem.partition(":")[0] for problem in self.problems]
        named = dict.fromkeys(clause if len(clause) < 8 and "-" in clause else "liveness" for clause in clauses)
        return ", ".join(named)


def search(bug: str, *, max_runs: int) -> Finding:
    """Run the campaign on a planted bug until the first violation, at most `max_runs` runs.

    The bug is planted in this process, which can plant no other one afterwards.
    """
    target = find_target(f"{TARGET}:{bug}")
    started, runs = time.monotonic(), 0
    for scenario, plan, seed in islice(plans(target), max_runs):
        runs += 1
        failed = simulate(scenario, target, plan=plan, seed=seed)
        if failed.problems:
            seconds = time.monotonic() - started
            return _finding(bug, runs, seconds, shrink(scenario, target, failed))
    return Finding(bug, runs, time.monotonic() - started)


def _finding(bug: str, runs: int, seconds: float, smallest: Run) -> Finding:
    return Finding(bug, runs, seconds, tuple(map(str, smallest.plan)), smallest.scenario, smallest.problems)


def plans(target: Target) -> Iterator[Plan]:
    """Yield the plans of a campaign: no fault, all single faults, then orders, pairs and random plans in turns."""
    for world in (*SINGLE_WORLDS, THREE_TASKS):
        yield world, (), 0
    for world in SINGLE_WORLDS:
        yield from ((world, plan, 0) for plan in single_faults(simulate(world, target).operations))
    yield from in_turns([_interleavings(target), _pairs(target), random_plans(target)])


def _interleavings(target: Target) -> Iterator[Plan]:
    turns = turns_of_first_worker(simulate(TWO_WORKERS, target))
    Random(ORDER).shuffle(turns)
    found = (interleavings(TWO_WORKERS, target, turn, seed=0) for turn in turns)
    return ((TWO_WORKERS, plan, 0) for plan in in_turns(found))


def _pairs(target: Target) -> Iterator[Plan]:
    firsts = first_faults(simulate(ONE_TASK, target).operations)
    Random(ORDER).shuffle(firsts)
    found = (_shuffled(pairs_after(ONE_TASK, target, first, seed=0)) for first in firsts)
    return ((ONE_TASK, plan, 0) for plan in in_turns(map(iter, found)))


def random_plans(target: Target) -> Iterator[Plan]:
    """Yield the random plan of each seed, without end."""
    operations = simulate(THREE_TASKS, target).operations
    return ((THREE_TASKS, random_plan(operations, seed), seed) for seed in count())


def _shuffled(plans: Iterable[T]) -> Iterator[T]:
    """Yield in another order, when the first one is needed."""
    found = list(plans)
    Random(ORDER).shuffle(found)
    yield from found


def in_turns(iterators: Iterable[Iterator[T]]) -> Iterator[T]:
    """Yield one of each iterator in turns, until all are exhausted."""
    waiting = list(iterators)
    while waiting:
        remaining = []
        for iterator in waiting:
            found = list(islice(iterator, 1))
            yield from found
            remaining += [iterator] if found else []
        waiting = remaining
