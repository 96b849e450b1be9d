"""Runs many plans in several processes, each of which imports the target itself, and counts what they showed."""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.generated.worlds import world_name
from harness.simulate.explore import (
    first_faults,
    interleavings,
    pairs_after,
    random_plan,
    single_faults,
    turns_of_first_worker,
)
from harness.simulate.plan import Kind, PlannedFault
from harness.simulate.replay import find_scenario, find_target
from harness.simulate.run import Run, simulate, without_collections
from harness.simulate.shrink import shrink
from harness.simulate.sometimes import reached as situations_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import Event

    from harness.scenario import Scenario
    from harness.simulate.bench import Target
    from harness.simulate.explore import Steps

PLANS_IN_A_PART = 50
SEEDS_OF_A_WORLD = 10
"""Random plans in each generated world."""
KEPT_RUNS = 16
"""Clean runs that a process keeps: plans of one world follow each other."""
Cell = tuple[str, str, Kind]
"""A world, the name of an operation, and a kind of fault."""


@dataclass(slots=True)
class Campaign:
    """The results of many runs: how many, their attempts and virtual time, and the runs with problems.

    `exercised` and `broken` count, for each cell, the runs in which such a fault fired, and those with problems.
    `unreached` are plans of which a part never came into play. `situations` are those of `harness.simulate.sometimes`
    that came up. `digest` is of all histories.
    """

    runs: int = 0
    attempts: int = 0
    virtual_seconds: float = 0.0
    exercised: Counter[Cell] = field(default_factory=Counter)
    broken: Counter[Cell] = field(default_factory=Counter)
    unreached: list[tuple[str, Steps]] = field(default_factory=list)
    failed: list[Run] = field(default_factory=list)
    situations: set[str] = field(default_factory=set)
    digest: str = ""

    def add(self, run: Run) -> None:
        """Count a run."""
        self.runs += 1
        self.attempts += run.attempts
        self.virtual_seconds += run.virtual_seconds
        fired = [step for step in run.plan if isinstance(step, PlannedFault) and step not in run.unfired]
        cells = {(run.scenario, fault.operation.name, fault.kind) for fault in fired}
        self.exercised.update(cells)
        if run.unfired:
            self.unreached.append((run.scenario, run.plan))
        if run.problems:
            self.failed.append(run)
            self.broken.update(cells)
        self.situations |= situations_of(run.events)
        self._add_digest(run.digest)

    def include(self, other: Campaign) -> None:
        """Add another campaign's results; the order of the campaigns must always be the same."""
        self.runs += other.runs
        self.attempts += other.attempts
        self.virtual_seconds += other.virtual_seconds
        self.exercised += other.exercised
        self.broken += other.broken
        self.unreached += other.unreached
        self.failed += other.failed
        self.situations |= other.situations
        self._add_digest(other.digest)

    def _add_digest(self, digest: str) -> None:
        self.digest = hashlib.sha256(f"{self.digest} {digest}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a campaign, which one process runs: plans, first faults of pairs, first turns, or random seeds."""

    target: str
    world: str
    plans: tuple[Steps, ...] = ()
    first_faults: tuple[PlannedFault, ...] = ()
    first_turns: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()


def single_parts(target: str, world: str) -> list[Part]:
    """Return the parts of all single faults, and of the run without faults.

    Raises:
        BadReplay: the target or the world does not exist, or can't be simulated.
    """
    plans: list[Steps] = [(), *single_faults(_clean(target, world).operations)]
    return [
        Part(target, world, plans=tuple(plans[start : start + PLANS_IN_A_PART]))
        for start in range(0, len(plans), PLANS_IN_A_PART)
    ]


def pair_parts(target: str, world: str) -> list[Part]:
    """Return the parts of all ordered pairs, one for each first fault."""
    firsts = first_faults(_clean(target, world).operations)
    return [Part(target, world, first_faults=(fault,)) for fault in firsts]


def interleaving_parts(target: str, world: str) -> list[Part]:
    """Return the parts of all interleavings of two workers, one for each end of the first turn."""
    return [Part(target, world, first_turns=(turn,)) for turn in turns_of_first_worker(_clean(target, world))]


def seed_parts(target: str, world: str, count: int) -> list[Part]:
    """Return the parts of random plans, with the seeds from 0."""
    return [
        Part(target, world, seeds=tuple(range(start, min(count, start + PLANS_IN_A_PART))))
        for start in range(0, count, PLANS_IN_A_PART)
    ]


def generated_parts(target: str, count: int) -> list[Part]:
    """Return the parts of generated worlds, each without faults and with some random plans."""
    names = [world_name(number, seed=0) for number in range(count)]
    return [Part(target, name, plans=((),), seeds=tuple(range(SEEDS_OF_A_WORLD))) for name in names]


def run_all(parts: list[Part], *, jobs: int, stop: Event, progress: Callable[[Campaign], None]) -> Campaign:
    """Run all parts, and return one campaign; the failed runs in it are shrunk.

    When `stop` is set, parts that have begun are run to their end, and the results so far are returned.
    """
    total = Campaign()
    context = multiprocessing.get_context("spawn")  # a fork would copy the state of this process's imports and threads
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare) as pool:
        for part in pool.map(run_part, parts):
            total.include(part)
            progress(total)
            if stop.is_set():
                pool.shutdown(wait=False, cancel_futures=True)
                break
    return total


def _prepare() -> None:
    """Prepare a process: a terminal sends SIGINT to all of them, but only the first one decides when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    without_collections()


def run_part(part: Part) -> Campaign:
    """Run one part in this process; the failed runs are shrunk.

    Random plans need not fit the run, and an interleaving need not come to its last turn: neither counts as unreached.
    """
    scenario, target = _scenario(part.world), find_target(part.target)
    campaign = explore(scenario, target, part.plans)
    for first in part.first_faults:
        campaign.include(explore(scenario, target, pairs_after(scenario, target, first, seed=0)))
    for turn in part.first_turns:
        found = explore(scenario, target, interleavings(scenario, target, turn, seed=0))
        found.unreached.clear()
        campaign.include(found)
    for seed in part.seeds:
        plan = random_plan(_clean(part.target, part.world).operations, seed)
        found = explore(scenario, target, [plan], seed=seed)
        found.unreached.clear()
        campaign.include(found)
    campaign.failed = _smallest(scenario, target, campaign.failed)
    return campaign


def explore(scenario: Scenario, target: Target, plans: Iterable[Steps], *, seed: int = 0) -> Campaign:
    """Run a scenario under each plan."""
    campaign = Campaign()
    for plan in plans:
        campaign.add(simulate(scenario, target, plan=plan, seed=seed))
    return campaign


MAX_SHRUNK = 5
"""Failing runs of one part that are shrunk: more of them show the same."""


def _smallest(scenario: Scenario, target: Target, failed: list[Run]) -> list[Run]:
    """Return the first failing runs shrunk, each once, and the others without their events, which can be replayed."""
    shrunk = {(run.plan, run.seed): run for run in (shrink(scenario, target, run) for run in failed[:MAX_SHRUNK])}
    return [*shrunk.values(), *(replace(run, events=()) for run in failed[MAX_SHRUNK:])]


@lru_cache(KEPT_RUNS)
def _scenario(name: str) -> Scenario:
    """Return a scenario; finding one reads the files of all, which takes longer than many runs."""
    return find_scenario(name)


@lru_cache(KEPT_RUNS)
def _clean(target: str, world: str) -> Run:
    """Return a run without faults, which is the same for every plan."""
    return simulate(_scenario(world), find_target(target))
