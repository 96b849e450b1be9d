"""Collects what the page of a campaign shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.page import Failure, Results
from harness.simulate.plan import KINDS
from harness.simulate.replay import find_scenario, find_target
from harness.simulate.run import simulate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.simulate.campaign import Campaign
    from harness.simulate.run import Run

MAX_HISTORIES = 20
"""Failed runs that are run again for their timelines; the others are only listed."""


def results_of(
    campaign: Campaign,
    *,
    target: str,
    explored: Sequence[str] = (),
    situations: Mapping[str, bool],
    seconds: float,
    saved: Sequence[Path] = (),
) -> Results:
    """Return the results of a campaign, with the histories of the simplest failed runs.

    `explored` says what was run. `saved` are the files of the failed runs, in their order. `seconds` is how long the
    campaign took.
    """
    simplest = sorted(range(len(campaign.failed)), key=lambda index: len(campaign.failed[index].plan))
    with_history = set(simplest[:MAX_HISTORIES])
    failures = []
    for index, failed in enumerate(campaign.failed):
        run = _again(failed, target) if index in with_history else failed
        replay = f"cryo-harness replay {saved[index]}" if index < len(saved) else ""
        plan = tuple(map(str, run.plan))
        failures.append(Failure(run.scenario, run.seed, plan, run.problems, run.events, replay))
    return Results(
        target=target,
        explored=tuple(explored),
        kinds=KINDS,
        runs=campaign.runs,
        attempts=campaign.attempts,
        virtual_seconds=campaign.virtual_seconds,
        seconds=seconds,
        digest=campaign.digest,
        exercised=campaign.exercised,
        broken=campaign.broken,
        unfired=tuple(f"{world}: {'; '.join(map(str, plan))}" for world, plan in campaign.unreached),
        situations=situations,
        failures=tuple(failures),
        failed_runs=len(campaign.failed),
    )


def _again(failed: Run, target: str) -> Run:
    """Return a failed run with its history, which a campaign keeps of some runs only."""
    if failed.events:
        return failed
    return simulate(find_scenario(failed.scenario), find_target(target), plan=failed.plan, seed=failed.seed)
