"""Runs and judges many scenarios at once: which of them a target takes, and what became of each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import history
from harness.containers.engine import engine_problem
from harness.kit.progress import Progress
from harness.report.result import ScenarioResult, error_result, lines_by_reason, scenario_result
from harness.runner.run import run
from harness.scenario import Scenario
from harness.stores.backends import Backends
from harness.targets import Target
from harness.targets.fit import Unfit, fitted


class NothingToRun(ValueError):
    """No scenario is left of those that were asked for; the message names them with the reasons."""


def runnable(scenarios: Sequence[Scenario], target: Target) -> tuple[list[Scenario], dict[str, str]]:
    """Return the scenarios as the target takes them; those that can't run here, or with it, with the reason."""
    problem = engine_problem() if any(scenario.needs_engine for scenario in scenarios) else None
    found, skipped = [], {}
    for scenario in scenarios:
        if problem is not None and scenario.needs_engine:
            skipped[scenario.name] = f"needs containers: {problem}"
            continue
        try:
            found.append(fitted(scenario, target))
        except Unfit as reason:
            skipped[scenario.name] = str(reason)
    return found, skipped


def attempt_all(
    scenarios: Sequence[Scenario], run_one: Callable[[Scenario], ScenarioResult], *, jobs: int, seen: Progress
) -> list[ScenarioResult]:
    """Run and judge scenarios, so many at once, the longest first, and show how they go; return them in their order."""

    def begin(scenario: Scenario) -> ScenarioResult:
        seen.began(scenario.name)
        found = run_one(scenario)
        seen.ended(found)
        return found

    with ThreadPoolExecutor(jobs) as pool:
        longest_first = sorted(range(len(scenarios)), key=lambda place: -scenarios[place].patience_seconds)
        done = {place: pool.submit(begin, scenarios[place]) for place in longest_first}
        return [done[place].result() for place in range(len(scenarios))]


def attempt(
    scenario: Scenario, target: Target, around: Backends, save: Path | None, stop: threading.Event, *, file: str = ""
) -> ScenarioResult:
    """Run and judge one scenario; what the harness itself meets with is an error of the scenario."""
    if stop.is_set():
        return error_result(scenario, "the run was stopped before it", file=file)
    try:
        events = run(scenario, target, around, stop)
        place = save / f"{scenario.name}.jsonl" if save is not None else None
        if place is not None:
            history.save(events, place)
        return scenario_result(events, history=str(place or ""), file=file)
    except Exception as error:  # noqa: BLE001 - one broken scenario must not hide what the others show
        return error_result(scenario, f"the harness failed: {type(error).__name__}: {error}", file=file)


def at_once(target: Target, jobs: int) -> int:
    """Return how many scenarios of a target can run at once: one where all of them stage in one place."""
    return 1 if target.staging_root is not None else jobs


def check_some(scenarios: Sequence[Scenario], left_out: Mapping[str, str]) -> None:
    """Make sure that something is to be run: a report of nothing would read as one of a good worker.

    Raises:
        NothingToRun: there is no scenario.
    """
    if not scenarios:
        raise NothingToRun(f"there is nothing to run: {'; '.join(lines_by_reason(left_out)) or 'no clause counts'}")
