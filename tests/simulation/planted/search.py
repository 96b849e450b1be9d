"""Searches for the first violation of a planted bug, in the order of a campaign, and makes it small."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TypeVar

from harness.scenario import Scenario
from harness.simulate.bench import Target
from harness.simulate.campaign import MAX_RANDOM_FAULTS, _random_fault
from harness.simulate.explore import Fault, pairs_after, shrink, single_faults
from harness.simulate.plan import KINDS, PlannedFault
from harness.simulate.replay import find_scenario, find_target
from harness.simulate.run import Run, simulate, stream

T = TypeVar("T")

WORLDS = ("straight-service",)
TARGET = "simulation.planted.target"
ORDER = 12
"""The seed of the order of the pairs: neighbours in the campaign's own order show nearly the same."""

Plan = tuple[Scenario, Fault, int]
"""A world, a plan and a seed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one search: `run` is the smallest failing run, None if no run has failed.

    `runs` and `seconds` are those until the first failing run, without the runs that made it smaller.
    """

    bug: str
    runs: int
    seconds: float
    faults_at_first: int = 0
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
            return _finding(bug, runs, seconds, failed, _smallest(scenario, target, failed))
    return Finding(bug, runs, time.monotonic() - started)


def _finding(bug: str, runs: int, seconds: float, first: Run, smallest: tuple[str, Run]) -> Finding:
    world, run = smallest
    return Finding(bug, runs, seconds, len(first.plan), tuple(map(str, run.plan)), world, run.problems)


def _smallest(scenario: Scenario, target: Target, failed: Run) -> tuple[str, Run]:
    return scenario.name, shrink(scenario, target, failed, seed=failed.seed)


def plans(target: Target) -> Iterator[Plan]:
    """Yield the plans of a campaign: no fault, then all single faults, then pairs and random plans in turns."""
    worlds = [find_scenario(name) for name in WORLDS]
    for world in worlds:
        yield world, (), 0
    for world in worlds:
        yield from ((world, plan, 0) for plan in single_faults(simulate(world, target).operations))
    yield from in_turns([_pairs(worlds[0], target), random_plans(worlds[-1], target)])


def _pairs(world: Scenario, target: Target) -> Iterator[Plan]:
    operations = simulate(world, target).operations
    firsts = [PlannedFault(operation, kind) for operation in operations for kind in KINDS]
    Random(ORDER).shuffle(firsts)
    found = (_shuffled(pairs_after(world, target, first, seed=0)) for first in firsts)
    return ((world, plan, 0) for plan in in_turns(map(iter, found)))


def random_plans(world: Scenario, target: Target) -> Iterator[Plan]:
    """Yield the random plan of each seed, without end."""
    names = sorted({operation.name for operation in simulate(world, target).operations})
    for seed in range(1_000_000):
        random = stream(seed, "plan")
        count = random.randrange(MAX_RANDOM_FAULTS * 2) // 2
        yield world, tuple(_random_fault(random, names) for _ in range(count)), seed


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
