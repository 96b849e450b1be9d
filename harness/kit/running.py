"""Runs and judges many scenarios at once, and finds those that a target can run."""

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
    """None of the requested scenarios can run; the message names them with the reasons."""


def runnable(scenarios: Sequence[Scenario], target: Target) -> tuple[list[Scenario], dict[str, str]]:
    """Return the scenarios adapted to the target, and those that can't run here or with it, with the reason."""
    problem = engine_problem() if any(scenario.needs_engine for scenario in scenarios) else None
    fitting, skipped = [], {}
    for scenario in scenarios:
        if problem is not None and scenario.needs_engine:
            skipped[scenario.name] = f"needs containers: {problem}"
            continue
        try:
            fitting.append(fitted(scenario, target))
        except Unfit as error:
            skipped[scenario.name] = str(error)
    return fitting, skipped


def run_all(
    scenarios: Sequence[Scenario], run_one: Callable[[Scenario], ScenarioResult], *, jobs: int, progress: Progress
) -> list[ScenarioResult]:
    """Run and judge scenarios, `jobs` at once and the longest first; return the results in the given order."""

    def run_with_progress(scenario: Scenario) -> ScenarioResult:
        progress.start(scenario.name)
        result = run_one(scenario)
        progress.end(result)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        longest_first = sorted(range(len(scenarios)), key=lambda index: -scenarios[index].patience_seconds)
        futures = {index: pool.submit(run_with_progress, scenarios[index]) for index in longest_first}
        return [futures[index].result() for index in range(len(scenarios))]


def run_and_judge(
    scenario: Scenario, target: Target, stores: Backends, save: Path | None, stop: threading.Event, *, file: str = ""
) -> ScenarioResult:
    """Run and judge one scenario; an exception of the harness becomes an error of the scenario."""
    if stop.is_set():
        return error_result(scenario, "the run was stopped before this scenario started", file=file)
    try:
        events = run(scenario, target, stores, stop)
        saved = save / f"{scenario.name}.jsonl" if save is not None else None
        if saved is not None:
            history.save(events, saved)
        return scenario_result(events, history=str(saved or ""), file=file)
    except Exception as error:  # noqa: BLE001 - the other scenarios must still run
        return error_result(scenario, f"the harness failed: {type(error).__name__}: {error}", file=file)


def max_jobs(target: Target, jobs: int) -> int:
    """Return how many scenarios of a target can run at once: one if the target has a fixed staging root."""
    return 1 if target.staging_root is not None else jobs


def check_not_empty(scenarios: Sequence[Scenario], skipped: Mapping[str, str]) -> None:
    """Check that there is a scenario to run, since a report without scenarios would look like a pass.

    Raises:
        NothingToRun: there is no scenario.
    """
    if not scenarios:
        raise NothingToRun(f"there is nothing to run: {'; '.join(lines_by_reason(skipped)) or 'no clause is required'}")
