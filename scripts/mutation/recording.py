"""Records what the runs of the correct workers reach, in parts that are kept: a recording that is stopped goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from harness.scenario import Scenario
from harness.stores.backends import Backends
from mutation import simulated, wire
from mutation.cache import Cache
from mutation.reach import Recorded

T = TypeVar("T")
PART = 100
"""Simulated runs that one process records."""


def simulated_runs(cache: Cache, *, jobs: int, progress: Callable[[str], None]) -> list[Recorded[simulated.Planned]]:
    """Return the runs of the simulation's campaign, with the lines that they reach."""
    plans = cache.kept("plans", lambda: _in_process(simulated.all_plans))
    parts = [plans[start : start + PART] for start in range(0, len(plans), PART)]

    def record(number: int) -> list[Recorded[simulated.Planned]]:
        found = cache.kept(f"simulated-{number}", lambda: _in_process(simulated.record, parts[number]))
        progress(f"recorded part {number + 1} of {len(parts)} of the simulated runs")
        return found

    with ThreadPoolExecutor(jobs) as pool:
        return [run for part in pool.map(record, range(len(parts))) for run in part]


def scenarios(
    package: str, backends: Backends, cache: Cache, *, jobs: int, progress: Callable[[str], None]
) -> list[Recorded[Scenario]]:
    """Return all scenarios with the lines of a worker that they reach, the fastest first."""
    chosen = wire.scenarios_for(package)

    def record(scenario: Scenario) -> Recorded[Scenario]:
        name = f"{package}-{scenario.name}"
        # One that failed is recorded again next time: the machine may have been too slow.
        found = cache.kept(
            name, lambda: wire.record_twice(scenario, package, backends), is_worth_it=lambda run: not run.problems
        )
        progress(f"recorded scenario {scenario.name} with {package}: {'; '.join(found.problems) or 'passed'}")
        return found

    with ThreadPoolExecutor(jobs) as pool:
        return sorted(pool.map(record, chosen), key=lambda recorded: recorded.seconds)


def _in_process(function: Callable[..., list[T]], *arguments: object) -> list[T]:
    with simulated.pool(1) as pool:
        return pool.submit(function, *arguments).result()
