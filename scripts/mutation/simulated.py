"""Judges mutants of our worker by simulated runs, and records which lines those runs reach.

Each function runs in a process of its own, since the worker is imported in it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing.context import ForkServerContext
from random import Random
from types import FrameType
from typing import TYPE_CHECKING

from harness.simulate.explore import Steps, interleavings, random_plan, single_faults, turns_of_first_worker
from harness.simulate.run import simulate, without_collections
from harness.simulate.worlds import SINGLE_WORLDS, THREE_TASKS, TWO_WORKERS, WORLDS
from mutation.mutant import Mutant
from mutation.planting import plant
from mutation.population import OURS, ROOT, modules_of, path_of
from mutation.reach import Recorded

if TYPE_CHECKING:
    from harness.simulate.bench import Target

INTERLEAVINGS, RANDOM_PLANS = 60, 60
PROCESSOR_SECONDS = 3.0
"""A mutant that goes round in circles is ended sooner than a campaign's worker: a hundred times what a run takes."""
LIMIT_SECONDS = 300
"""So long a mutant may run altogether, if it waits for something that never comes in real time."""
PRELOADED = (
    "__main__",
    "mutation.simulated",
    "harness.checks.verdict",
    "aiohttp",
    "obstore",
    "pyarrow.parquet",
    "pydantic",
)
"""Imported once for all mutants: everything but the worker."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A simulated run: a world, a plan and a seed."""

    world: str
    plan: Steps
    seed: int


@dataclass(frozen=True, slots=True)
class Searched:
    """What simulated runs say of a mutant; it has no `problems` if it survives. `is_invalid`: it can't be imported."""

    runs: int
    problems: tuple[str, ...] = ()
    run: str = ""
    is_invalid: bool = False


class TakesTooLong(KeyboardInterrupt):
    """A mutant has used up its time; an event loop passes only interrupts on."""


@cache
def context() -> ForkServerContext:
    """Return where processes come from: a server that has imported everything but the worker."""
    paths = [str(ROOT / "scripts"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(list(PRELOADED))
    return found


def pool(jobs: int) -> ProcessPoolExecutor:
    """Return an executor that starts a process for each call."""
    return ProcessPoolExecutor(jobs, mp_context=context(), max_tasks_per_child=1)


def record(plans: Sequence[Planned]) -> list[Recorded[Planned]]:
    """Simulate the correct worker under plans, and return the runs with the lines that they reach."""
    from coverage import Coverage  # noqa: PLC0415 - only to record

    coverage = Coverage(data_file=None, include=[f"{ROOT / OURS}/*"], config_file=False, messages=False)
    target, found = _worker(), []
    coverage.start()
    for number, planned in enumerate(plans):
        coverage.switch_context(str(number))
        started = time.process_time()
        problems = simulate(WORLDS[planned.world], target, plan=planned.plan, seed=planned.seed).problems
        found.append((planned, time.process_time() - started, problems))
    coverage.stop()
    lines: dict[str, dict[str, set[int]]] = {}
    data = coverage.get_data()
    for module in modules_of(OURS):
        for line, numbers in data.contexts_by_lineno(str(path_of(module.name))).items():
            for run in numbers:
                lines.setdefault(run, {}).setdefault(module.name, set()).add(line)
    return [
        Recorded(planned, seconds, (), problems, {name: frozenset(at) for name, at in lines.get(str(n), {}).items()})
        for n, (planned, seconds, problems) in enumerate(found)
    ]


def all_plans() -> list[Planned]:
    """Return the runs of the campaign; the worker is imported, so it needs a process of its own."""
    return list(campaign(_worker()))


def campaign(target: Target) -> Iterator[Planned]:
    """Yield runs without a fault, with each single fault, some orders of two workers, and some random plans."""
    for world in (*SINGLE_WORLDS, THREE_TASKS):
        yield Planned(world.name, (), 0)
    for world in SINGLE_WORLDS:
        yield from (Planned(world.name, plan, 0) for plan in single_faults(simulate(world, target).operations))
    orders = Random(0)  # noqa: S311 - a fixed order
    turns = turns_of_first_worker(simulate(TWO_WORKERS, target))
    orders.shuffle(turns)
    found = (plan for turn in turns for plan in islice(interleavings(TWO_WORKERS, target, turn, seed=0), 10))
    yield from (Planned(TWO_WORKERS.name, plan, 0) for plan in islice(found, INTERLEAVINGS))
    operations = simulate(THREE_TASKS, target).operations
    yield from (Planned(THREE_TASKS.name, random_plan(operations, seed), seed) for seed in range(RANDOM_PLANS))


def in_order(runs: Sequence[Recorded[Planned]], count: int) -> list[Planned]:
    """Return at most `count` runs: those without a fault first, then others in a fixed order without neighbours."""
    plain = [run.name for run in runs if not run.name.plan]
    others = [run.name for run in runs if run.name.plan]
    Random(0).shuffle(others)  # noqa: S311 - a fixed order
    return [*plain, *others][:count]


def search(mutant: Mutant, runs: Sequence[Planned]) -> Searched:
    """Run a mutant until the first violation."""
    signal.signal(signal.SIGALRM, _end)
    signal.alarm(LIMIT_SECONDS)
    without_collections()
    number = 0
    try:
        plant(mutant)
        try:
            target = _worker()
        except Exception as error:  # noqa: BLE001 - whatever an import raises
            return Searched(0, (f"it can't be imported: {type(error).__name__}",), is_invalid=True)
        for number, planned in enumerate(runs, 1):
            found = simulate(
                WORLDS[planned.world], target, plan=planned.plan, seed=planned.seed, processor_seconds=PROCESSOR_SECONDS
            )
            if found.problems:
                return Searched(number, found.problems, described(planned))
    except TakesTooLong:
        return Searched(number, ("the worker never stops waiting",), described(runs[max(number - 1, 0)]))
    return Searched(number)


def described(planned: Planned) -> str:
    """Return a run as a reader sees it."""
    return f"{planned.world}: {'; '.join(map(str, planned.plan)) or 'no fault'}, seed {planned.seed}"


def _end(_: int, __: FrameType | None) -> None:
    raise TakesTooLong


def _worker() -> Target:
    from simulation.adapter import worker  # noqa: PLC0415 - only after the mutant is planted

    return worker
