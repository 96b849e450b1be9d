"""`cryo-harness run`, `list` and `judge`."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness import history, report, targets
from harness.checks.verdict import Verdict
from harness.containers.engine import EngineError
from harness.kit import generated
from harness.kit.profile import Profile, plan
from harness.kit.progress import Progress
from harness.kit.running import NothingToRun, check_not_empty, max_jobs, run_all, run_and_judge, runnable
from harness.reference.bugs import BUGS
from harness.report import saved, text
from harness.report.result import RunResult, ScenarioResult, in_order, run_result, scenario_result
from harness.runner.stopping import stopped_by_signals
from harness.scenario import BadScenario, Scenario, find
from harness.stores.backends import BadStore, backends
from harness.targets import BadTarget
from harness.targets.image import remove_containers_after

FAILED, USAGE, INTERRUPTED = 1, 64, 130


USER_ERRORS = (
    NothingToRun,
    BadScenario,
    BadTarget,
    BadStore,
    history.BadHistory,
    report.BadReport,
    EngineError,
    OSError,
)

Jobs = Annotated[int, typer.Option(min=1, max=64, help="Number of scenarios to run at once.")]
JOBS = 4 * (os.cpu_count() or 1)
"""The default; a scenario mostly waits, so that more than one per CPU can run."""
Reports = Annotated[
    list[Path] | None,
    typer.Option(
        "--report", metavar="FILE", help=f"Write a report; the suffix is {', '.join(report.KINDS)}. Repeatable."
    ),
]


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn an error that the user can fix into one line and exit code 64."""
    try:
        yield
    except USER_ERRORS as error:
        typer.echo(f"cryo-harness: {error}", err=True)
        raise typer.Exit(USAGE) from None


def run_command(  # noqa: PLR0913, PLR0917 - each is an option of the command
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SCENARIO]…", help="Names, files or clauses; all by default.")
    ] = None,
    target: Annotated[str, typer.Option(help=targets.FORMS)] = targets.DEFAULT,
    store: Annotated[str, typer.Option(help="moto, minio, or the URL of an S3 server.")] = "moto",
    jobs: Jobs = JOBS,
    save: Annotated[Path | None, typer.Option(help="A folder in which to save the histories.")] = None,
    count: Annotated[int, typer.Option("--generated", min=0, help="Generated scenarios to run as well.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Which generated scenarios, and in which order.")] = 0,
    about: Annotated[str, typer.Option(help="Only generated scenarios about this clause's group.")] = "",
    bug: Annotated[str | None, typer.Option(help="The bug to switch on in the target `reference`.")] = None,
    profile: Annotated[
        Profile | None, typer.Option(help="Judge only the clauses of this profile. [default: all clauses]")
    ] = None,
    reports: Reports = None,
) -> None:
    """Run scenarios and judge the worker clause by clause; exit code 0 only without FAIL and ERROR."""
    started, began_at = time.monotonic(), datetime.now(UTC)
    with usage_errors():
        check_bug(bug)
        chosen = targets.find(target, bug=bug)
        found = generated.chosen(names or (), count=count, seed=seed, about=about)
        profile_plan = plan(chosen, profile, found) if profile is not None else None
        scenarios, skipped = runnable(found, chosen)
        if profile_plan is not None:
            scenarios, skipped = list(profile_plan.scenarios), profile_plan.skipped_of(found)
        check_not_empty(scenarios, skipped)
        check_writable(reports, save)
    console = Console()
    with usage_errors(), ExitStack() as stack:
        stores = stack.enter_context(backends(store))
        stack.enter_context(remove_containers_after(in_container=chosen.in_container))
        stop = stack.enter_context(stopped_by_signals())
        file_of = {Path(name).stem: name for name in names or () if name.endswith(".toml")}

        def run_one(scenario: Scenario) -> ScenarioResult:
            ran = run_and_judge(scenario, chosen, stores, save, stop, file=file_of.get(scenario.name, ""))
            return ran if profile_plan is None else profile_plan.without_excluded(ran)

        with Progress(console, len(scenarios)) as progress:
            results = run_all(scenarios, run_one, jobs=max_jobs(chosen, jobs), progress=progress)
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)
        generated.show(results, run_one, seed=seed)
    result = replace(
        run_result(results),
        target=f"{chosen.name} ({bug})" if bug else chosen.name,
        store=store,
        skipped=skipped,
        clauses=in_order(clause for scenario in scenarios for clause in scenario.clauses),
        options=_options(target=target, bug=bug, profile=profile, store=store),
        began_at=began_at,
        seconds=time.monotonic() - started,
    )
    finish(result, console, reports)


def _options(**values: str | None) -> tuple[str, ...]:
    """Return the options of the command line that have a value."""
    return tuple(word for name, value in values.items() if value for word in (f"--{name}", value))


def check_bug(bug: str | None) -> None:
    """Check that the reference worker has a bug of this name.

    Raises:
        BadTarget: it has not.
    """
    names = [known.name for known in BUGS]
    if bug is not None and bug not in names:
        similar = get_close_matches(bug, names, n=5, cutoff=0.4)
        hint = f"did you mean {' or '.join(similar)}?" if similar else "`cryo-harness bugs` lists them"
        raise BadTarget(f"the reference worker has no bug {bug!r}: {hint}")


def check_writable(reports: Sequence[Path] | None, save: Path | None = None) -> None:
    """Check that all reports can be written, and histories in the folder, which is created.

    Raises:
        harness.report.BadReport: a file can't be written.
        OSError: the folder can't be created.
    """
    for path in reports or ():
        report.check(path)
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
        if not os.access(save, os.W_OK | os.X_OK):
            raise report.BadReport(f"--save {save}: the folder is not writable")


def finish(result: RunResult, console: Console, reports: Sequence[Path] | None) -> None:
    """Print the result, write its reports, and exit with its exit code."""
    console.print()
    text.print_report(result, console)
    with usage_errors():
        for path in reports or ():
            report.write(path, result)
            console.print(f"report {shlex.quote(str(path))}", soft_wrap=True, highlight=False)
    sys.stdout.flush()
    raise typer.Exit(0 if result.verdict is Verdict.PASS else FAILED)


def judge_command(
    files: Annotated[list[Path], typer.Argument(help="Saved histories.")], reports: Reports = None
) -> None:
    """Judge saved histories again; the verdicts are the same as after the run."""
    with usage_errors():
        check_writable(reports)
        results = [judge_saved(path) for path in files]
    console = Console()
    for result in results:
        console.print(text.scenario_line(result), soft_wrap=True, highlight=False)
    finish(run_result(results), console, reports)


def judge_saved(path: Path) -> ScenarioResult:
    """Judge a saved history.

    Raises:
        harness.history.BadHistory: it can't be read, or its scenario was written by another version of the harness.
    """
    return scenario_result(saved.events_of(path), history=str(path))


def list_command() -> None:
    """List the scenarios with the clauses that each one exercises."""
    with usage_errors():
        for scenario in find():
            typer.echo(f"{scenario.name:32} {', '.join(scenario.clauses):40} {scenario.title}")
