"""Runs many plans in several processes, each of which imports the target itself."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from random import Random
from typing import TYPE_CHECKING

from harness.simulate.explore import Campaign, explore, pairs_after, shrink, single_faults
from harness.simulate.plan import CRASHES, KINDS, Operation, PlannedFault
from harness.simulate.replay import find_scenario, find_target
from harness.simulate.run import simulate, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.scenario import Scenario
    from harness.simulate.explore import Fault

PLANS_IN_A_PART = 50
MAX_RANDOM_FAULTS = 4
LASTING_SHARE = 0.25
LARGEST_NUMBER = 6
"""Random faults are for the first operations of a name: later ones come only in a recovery."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every process needs to know."""

    target: str
    scenario: str
    seed: int


@dataclass(frozen=True, slots=True)
class Part:
    """Some plans, or the first faults whose pairs are to be run, or seeds of random plans."""

    plans: tuple[Fault, ...] = ()
    first_faults: tuple[PlannedFault, ...] = ()
    seeds: tuple[int, ...] = ()


def run_all(work: Work, parts: list[Part], *, jobs: int, progress: Callable[[Campaign], None]) -> Campaign:
    """Run all parts, and return one campaign; the failed runs in it are shrunk to the fewest faults."""
    total = Campaign()
    context = multiprocessing.get_context("spawn")  # a fork would copy the state of this process's imports and threads
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for part in pool.map(run_part, [work] * len(parts), parts):
            total.include(part)
            progress(total)
    return total


def single_parts(work: Work) -> list[Part]:
    """Return the parts of all single faults."""
    return _parts(list(single_faults(_clean_operations(work))))


def pair_parts(work: Work) -> list[Part]:
    """Return the parts of all ordered pairs, one for each first fault."""
    firsts = (PlannedFault(operation, kind) for operation, kind in product(_clean_operations(work), KINDS))
    return [Part(first_faults=(fault,)) for fault in firsts]


def seed_parts(count: int) -> list[Part]:
    """Return the parts of random plans."""
    return [
        Part(seeds=tuple(range(start, min(count, start + PLANS_IN_A_PART))))
        for start in range(0, count, PLANS_IN_A_PART)
    ]


def _parts(plans: list[Fault]) -> list[Part]:
    return [
        Part(plans=tuple(plans[start : start + PLANS_IN_A_PART])) for start in range(0, len(plans), PLANS_IN_A_PART)
    ]


@cache
def _scenario(name: str) -> Scenario:
    """Return a scenario; finding one reads the files of all, which takes longer than many runs."""
    return find_scenario(name)


@cache
def _clean_operations(work: Work) -> tuple[Operation, ...]:
    """Return the operations of a run without faults, which is the same for every plan."""
    return simulate(_scenario(work.scenario), find_target(work.target), seed=work.seed).operations


def run_part(work: Work, part: Part) -> Campaign:
    """Run one part in this process; the failed runs are shrunk, and have no events.

    Faults of random plans that never fire are not counted as unreached: such a plan need not fit the run.
    """
    scenario, target = _scenario(work.scenario), find_target(work.target)
    campaign = explore(scenario, target, part.plans, seed=work.seed)
    for first in part.first_faults:
        plans = pairs_after(scenario, target, first, seed=work.seed)
        campaign.include(explore(scenario, target, plans, seed=work.seed))
    for seed in part.seeds:
        plan = _random_plan(work, seed)
        found = explore(scenario, target, [plan], seed=seed)
        found.unreached.clear()
        campaign.include(found)
    campaign.failed = [shrink(scenario, target, run, seed=run.seed) for run in campaign.failed]
    campaign.forget_histories()
    return campaign


def _random_plan(work: Work, seed: int) -> Fault:
    """Return up to `MAX_RANDOM_FAULTS` faults at random operations; one plan in four has none."""
    random: Random = stream(seed, "plan")
    names = sorted({operation.name for operation in _clean_operations(work)})
    count = random.randrange(MAX_RANDOM_FAULTS * 2) // 2
    return tuple(_random_fault(random, names) for _ in range(count))


def _random_fault(random: Random, names: list[str]) -> PlannedFault:
    kind = random.choice(KINDS)
    operation = Operation(random.choice(names), random.randint(1, LARGEST_NUMBER))
    return PlannedFault(operation, kind, lasting=kind not in CRASHES and random.random() < LASTING_SHARE)
