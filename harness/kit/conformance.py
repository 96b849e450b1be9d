"""`cryo-harness conformance`: run a profile on any worker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness import targets
from harness.generated import generate
from harness.kit import generated, known
from harness.kit.commands import INTERRUPTED, JOBS, USAGE, Jobs, Reports, check_writable, finish, usage_errors
from harness.kit.detect import with_time_limit
from harness.kit.profile import Profile, plan
from harness.kit.progress import Progress
from harness.kit.running import check_not_empty, max_jobs, run_all, run_and_judge
from harness.report.result import ScenarioResult, in_order, run_result
from harness.runner.stopping import stopped_by_signals
from harness.scenario import Scenario, find
from harness.stores.backends import backends
from harness.targets.image import remove_containers_after

IDLE_SCENARIOS = 4
"""After this number of consecutive scenarios in which a worker was idle, the harness waits only briefly."""
IDLE_WAIT_SECONDS = 3.0
"""The time limit of a scenario after that."""
ACTIVITY_KINDS = {"rpc_call", "claim", "message_received", "store_request", "cryo_started"}
"""A worker was idle in a scenario that timed out without an event of these kinds."""


GENERATED = 100
"""Generated scenarios of a run of profile hardened."""


Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SCENARIO]…", help="Run only these scenarios: names, files or clause ids."),
]
ProfileOption = Annotated[
    Profile,
    typer.Option(help="core: the clauses of the specification; hardened: also those that this project adds."),
]
StoreOption = Annotated[str, typer.Option(help="moto, minio, or the URL of an S3 server.")]
KnownFile = Annotated[
    Path | None,
    typer.Option("--known", metavar="FILE", help="Known failures, one per line: CLAUSE/SCENARIO # message."),
]
PatienceSeconds = Annotated[
    float,
    typer.Option("--patience", min=1, help="An upper limit, in seconds, for the time limits of the scenarios."),
]


def conformance_command(  # noqa: PLR0913, PLR0917 - each is an option of the command
    target: Annotated[str, typer.Option(help=targets.FORMS)],
    names: Names = None,
    profile: ProfileOption = "hardened",
    store: StoreOption = "moto",
    known_file: KnownFile = None,
    jobs: Jobs = JOBS,
    patience_seconds: PatienceSeconds = 300.0,
    save: Annotated[Path | None, typer.Option(help="A folder in which to save the histories.")] = None,
    count: Annotated[
        int | None,
        typer.Option("--generated", min=0, help=f"Generated scenarios as well. [default: {GENERATED} for hardened]"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Which ones. [default: others each week]")] = None,
    reports: Reports = None,
) -> None:
    """Check a worker against all clauses of a profile; exit with 0 if there is no new FAIL and no ERROR.

    With scenarios as arguments, the report covers only them, so that it does not claim conformance with the profile.
    """
    started, began_at = time.monotonic(), datetime.now(UTC)
    with usage_errors():
        worker = targets.find(target)
        seed = generated.seed_of_week(began_at) if seed is None else seed
        found = _chosen(names or (), profile=profile, count=count, seed=seed)
        profile_plan = plan(worker, profile, found)
        skipped = profile_plan.skipped_of(found) if names else profile_plan.skipped
        check_not_empty(profile_plan.scenarios, skipped)
        known_failures = _read_known_failures(known_file, {scenario.name for scenario in (*find(), *found)})
        check_writable(reports, save)
    console = Console()
    with usage_errors(), ExitStack() as stack:
        stores = stack.enter_context(backends(store))
        stack.enter_context(remove_containers_after(in_container=worker.in_container))
        stop = stack.enter_context(stopped_by_signals())
        progress = stack.enter_context(Progress(console, len(profile_plan.scenarios)))
        limit = TimeLimit(patience_seconds)
        results = run_all(
            profile_plan.scenarios,
            lambda scenario: profile_plan.without_excluded(
                limit.record(run_and_judge(limit.applied_to(scenario), worker, stores, save, stop))
            ),
            jobs=max_jobs(worker, jobs),
            progress=progress,
        )
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)
    if line := generated.summary(results):
        typer.echo(f"{line}; seed {seed}")
    failures, complaints = known.compare(known_failures, results) if known_file is not None else ({}, ())
    result = replace(
        run_result(results),
        target=worker.name,
        store=store,
        profile="" if names else profile,
        clauses=in_order(clause for scenario in profile_plan.scenarios for clause in scenario.clauses)
        if names
        else profile_plan.clauses,
        excluded=profile_plan.excluded,
        skipped=skipped,
        known=failures,
        complaints=complaints,
        options=("--target", target, "--profile", profile, "--store", store),
        began_at=began_at,
        seconds=time.monotonic() - started,
    )
    finish(result, console, reports)


def _chosen(names: Sequence[str], *, profile: Profile, count: int | None, seed: int) -> list[Scenario]:
    """Return the scenarios of a run: those that are named, or all of ours with a share of generated ones."""
    if names:
        return generated.chosen(names, count=count or 0, seed=seed, about="")
    share = (GENERATED if profile == "hardened" else 0) if count is None else count
    return [*find(), *generate(share, seed=seed)]


class TimeLimit:
    """The time limit of each scenario: its own, or a short one after several in which the worker was idle."""

    def __init__(self, max_seconds: float) -> None:
        self._max_seconds, self._idle = max_seconds, 0

    def applied_to(self, scenario: Scenario) -> Scenario:
        """Return the scenario with the limit applied."""
        limit = min(self._max_seconds, IDLE_WAIT_SECONDS) if self._idle >= IDLE_SCENARIOS else self._max_seconds
        return with_time_limit(scenario, limit)

    def record(self, ran: ScenarioResult) -> ScenarioResult:
        """Record whether the worker was idle in a scenario."""
        kinds = {event.kind for event in ran.events}
        self._idle = self._idle + 1 if "timed_out" in kinds and not kinds & ACTIVITY_KINDS else 0
        return ran


def _read_known_failures(path: Path | None, scenarios: set[str]) -> dict[str, str]:
    try:
        return known.read(path, scenarios) if path is not None else {}
    except known.BadList as error:
        typer.echo(f"cryo-harness: {error}", err=True)
        raise typer.Exit(USAGE) from None
