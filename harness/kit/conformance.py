"""`cryo-harness conformance`: a whole profile on any worker."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness import targets
from harness.kit import known
from harness.kit.commands import INTERRUPTED, JOBS, USAGE, Jobs, Reports, check_all, finish, told
from harness.kit.detect import hurried
from harness.kit.profile import Profile, plan
from harness.kit.progress import Progress
from harness.kit.running import at_once, attempt, attempt_all, check_some
from harness.report.result import ScenarioResult, in_order, run_result
from harness.runner.stopping import stopped_by_signals
from harness.scenario import Scenario, find
from harness.stores.backends import backends
from harness.targets.image import containers_ended

SILENT_SCENARIOS, IMPATIENT_SECONDS = 4, 3.0
"""After so many scenarios in a row in which a worker asked nobody for anything, it is no longer waited for as long."""
SIGNS_OF_LIFE = {"rpc_call", "claim", "message_received", "store_request", "cryo_started"}


def conformance_command(  # noqa: PLR0913, PLR0917 - each is an option of the command
    target: Annotated[str, typer.Option(help=targets.FORMS)],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SCENARIO]…", help="Only these of it: names, files, clauses.")
    ] = None,
    profile: Annotated[Profile, typer.Option(help="core, or hardened: core and what this project adds.")] = "hardened",
    store: Annotated[str, typer.Option(help="moto, minio, or the URL of an S3 server.")] = "moto",
    known_file: Annotated[
        Path | None, typer.Option("--known", metavar="FILE", help="Known failures: CLAUSE/SCENARIO # message.")
    ] = None,
    jobs: Jobs = JOBS,
    patience_seconds: Annotated[
        float, typer.Option("--patience", min=1, help="The most seconds to wait in a scenario, where it says more.")
    ] = 300.0,
    save: Annotated[Path | None, typer.Option(help="A folder for the histories.")] = None,
    reports: Reports = None,
) -> None:
    """Judge a worker by all clauses of a profile; exit code 0 only without a new FAIL and without ERROR.

    With scenarios named, the report is of them, not of the profile: no badge of a part may look like one of the whole.
    """
    began, began_at = time.monotonic(), datetime.now(UTC)
    with told():
        chosen = targets.find(target)
        everything = find(names or ())
        planned = plan(chosen, profile, everything)
        left_out = planned.left_out(everything) if names else planned.skipped
        check_some(planned.scenarios, left_out)
        listed = _listed(known_file, {one.name for one in (*find(), *everything)})
        check_all(reports, save)
    console = Console()
    with told(), ExitStack() as stack:
        around = stack.enter_context(backends(store))
        stack.enter_context(containers_ended(in_container=chosen.in_container))
        stop = stack.enter_context(stopped_by_signals())
        seen = stack.enter_context(Progress(console, len(planned.scenarios)))
        patience = Patience(patience_seconds)
        done = attempt_all(
            planned.scenarios,
            lambda scenario: planned.counted(patience.of(attempt(patience.left(scenario), chosen, around, save, stop))),
            jobs=at_once(chosen, jobs),
            seen=seen,
        )
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)
    failures, complaints = known.compare(listed, done) if known_file is not None else ({}, ())
    result = replace(
        run_result(done),
        target=chosen.name,
        store=store,
        profile="" if names else profile,
        clauses=in_order(one for scenario in planned.scenarios for one in scenario.clauses) if names else planned.asked,
        excluded=planned.excluded,
        skipped=left_out,
        known=failures,
        complaints=complaints,
        options=("--target", target, "--store", store),
        began_at=began_at,
        seconds=time.monotonic() - began,
    )
    finish(result, console, reports)


class Patience:
    """How long is waited for a worker: as each scenario says, until it has let several pass without a sign of life."""

    def __init__(self, most_seconds: float) -> None:
        self._most_seconds, self._silent = most_seconds, 0

    def left(self, scenario: Scenario) -> Scenario:
        """Return the scenario as it is to be run now."""
        most = min(self._most_seconds, IMPATIENT_SECONDS if self._silent >= SILENT_SCENARIOS else self._most_seconds)
        return hurried(scenario, most)

    def of(self, ran: ScenarioResult) -> ScenarioResult:
        """Take note of how a scenario went."""
        kinds = {event.kind for event in ran.events}
        self._silent = self._silent + 1 if "timed_out" in kinds and not kinds & SIGNS_OF_LIFE else 0
        return ran


def _listed(path: Path | None, scenarios: set[str]) -> dict[str, str]:
    try:
        return known.read(path, scenarios) if path is not None else {}
    except known.BadList as error:
        typer.echo(f"cryo-harness: {error}", err=True)
        raise typer.Exit(USAGE) from None
