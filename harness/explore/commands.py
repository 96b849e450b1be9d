"""`cryo-harness explore`."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from harness import history, targets
from harness.checks.verdict import NOT_SHOWN, check_history
from harness.explore import files, report
from harness.explore.base import EXTRA_CLAUSES, Unexplorable, explored
from harness.explore.campaign import Budget, run_all
from harness.explore.cells import Cell
from harness.explore.generate import generate, without_defects
from harness.explore.judge import Judged, Status, judge
from harness.kit.commands import FAILED, INTERRUPTED, USAGE, check_bug, check_writable, usage_errors
from harness.kit.profile import Profile, plan
from harness.kit.running import check_not_empty, max_jobs
from harness.runner.run import run
from harness.runner.stopping import stopped_by_signals
from harness.scenario import BadScenario, Scenario, find
from harness.stores.backends import backends
from harness.targets import Target
from harness.targets.image import remove_containers_after

JOBS = 12 * (os.cpu_count() or 1)
"""The default. Most of the time a worker waits: for a message, for the end of a lease, for the end of a long poll."""
DEFAULT_SCENARIO = "straight-service"


def explore_command(  # noqa: PLR0913, PLR0917 - each is an option of the command
    target: Annotated[str, typer.Option(help=targets.FORMS)] = targets.DEFAULT,
    scenario: Annotated[str, typer.Option(help="The scenario to explore: a name or a file.")] = DEFAULT_SCENARIO,
    store: Annotated[str, typer.Option(help="moto, minio, or the URL of an S3 server.")] = "moto",
    budget: Annotated[str, typer.Option(help="Seconds (`600`) or a number of runs (`50 runs`). [default: all]")] = "",
    only: Annotated[str, typer.Option(help="A regular expression for the names of the cells to run.")] = "",
    jobs: Annotated[int, typer.Option(min=1, max=128, help="Number of scenarios to run at once.")] = JOBS,
    profile: Annotated[Profile, typer.Option(help="The clauses that count: core or hardened.")] = "hardened",
    bug: Annotated[str | None, typer.Option(help="The bug to switch on in the target `reference`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,  # noqa: FBT002 - typer's form
    save: Annotated[
        Path | None, typer.Option(help="A folder for the scenarios and histories of cells with problems.")
    ] = None,
) -> None:
    """Run a worker with each single fault and each signal at each request of an honest run.

    Exit codes: 0 no problem found, 1 problems found or nothing passed, 64 usage, 130 interrupted; the results until
    then are printed.
    """
    started = time.monotonic()
    with usage_errors():
        limit, pattern = _budget(budget), _pattern(only)
        check_bug(bug)
        worker = targets.find(target, bug=bug)
        base, clauses = _base(scenario, worker, profile)
        check_writable(None, save)
    with usage_errors(), ExitStack() as stack:
        stores = stack.enter_context(backends(store))
        stack.enter_context(remove_containers_after(in_container=worker.in_container))
        stop = stack.enter_context(stopped_by_signals())
        honest = run(base, worker, stores, stop)
        _check_honest(honest, clauses, save)
        generated, skipped = without_defects(*generate(base, honest), clauses)
        cells = chosen(generated, pattern)
        judged = run_all(
            cells,
            lambda cell: _judged_and_saved(judge(cell, run(cell.scenario, worker, stores, stop), clauses), save),
            jobs=max_jobs(worker, jobs),
            budget=limit,
            stop=stop,
            report=_progress(len(cells[: limit.runs])),
        )
        is_interrupted = stop.is_set()
    ran = {each.cell.name for each in judged}
    found = report.Exploration(
        scenario, tuple(judged), tuple(cell for cell in generated if cell.name not in ran), tuple(skipped)
    )
    seconds = time.monotonic() - started
    if as_json:
        typer.echo(json.dumps(report.as_json(found) | {"seconds": round(seconds, 1)}))
    else:
        for line in report.lines(found):
            typer.echo(line)
        typer.echo(f"{worker.name}{f' ({bug})' if bug else ''} on {store}, {jobs} at once: {seconds:.0f} s")
    if is_interrupted:
        typer.echo(f"interrupted: {len(judged)} of {len(cells)} cells had ended", err=True)
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(FAILED if found.problems or not found.count(Status.PASSED) else 0)


def _base(name: str, worker: Target, profile: Profile) -> tuple[Scenario, set[str]]:
    """Return the scenario to explore, fitted to the worker and the profile, and the clauses that count."""
    found = find([name])
    if len(found) != 1:
        raise BadScenario(f"--scenario {name}: write the name of one scenario, not of a clause")
    # The plan is that of the file: with a fault, it would leave scenarios out that exercise other clauses too.
    planned = plan(worker, profile, found)
    check_not_empty(planned.scenarios, planned.skipped_of(found))
    try:
        base = explored(planned.scenarios[0])
    except Unexplorable as problem:
        typer.echo(f"cryo-harness: {problem}", err=True)
        raise typer.Exit(USAGE) from None
    named = tuple(clause for clause in base.clauses if clause in planned.required)
    return base.model_copy(update={"clauses": named}), planned.required


def _budget(text: str) -> Budget:
    """Return the budget that an option names; empty text means no limit."""
    if not text:
        return Budget()
    match = re.fullmatch(r"([1-9][0-9]{0,6})\s*(s|runs?)?", text.strip())
    if match is None:
        typer.echo(f"cryo-harness: --budget {text!r}: write seconds as in 600, or runs as in '50 runs'", err=True)
        raise typer.Exit(USAGE)
    number = int(match[1])
    return Budget(runs=number) if (match[2] or "").startswith("run") else Budget(seconds=float(number))


def _pattern(text: str) -> re.Pattern[str]:
    """Return the regular expression that an option names."""
    try:
        return re.compile(text)
    except re.error as error:
        typer.echo(f"cryo-harness: --only {text!r} is not a regular expression: {error}", err=True)
        raise typer.Exit(USAGE) from None


def chosen(cells: list[Cell], pattern: re.Pattern[str]) -> list[Cell]:
    """Return the cells whose names match; exit with a usage error if none does."""
    chosen = [cell for cell in cells if pattern.search(cell.name)]
    if not chosen:
        typer.echo(
            f"cryo-harness: --only {pattern.pattern!r} matches none of the {len(cells)} cells; names are like "
            f"{cells[0].name} and {cells[-1].name}",
            err=True,
        )
        raise typer.Exit(USAGE)
    return chosen


def _check_honest(events: list[history.Event], clauses: set[str], save: Path | None) -> None:
    """Exit if the run without faults has a problem: what a fault adds can't be seen then."""
    checked = check_history(events)
    counted = [each for each in checked.violations if each.clause in clauses]
    problems = [f"{each.clause}: expected {each.expected}; seen: {each.seen}" for each in counted]
    problems += [error for error in checked.errors if NOT_SHOWN not in error]
    if not problems:
        return
    if save is not None:
        history.save(events, save / "honest.jsonl")
    typer.echo("the run without any fault has problems, so there is nothing to explore:")
    for problem in problems:
        typer.echo(f"  {problem}")
    raise typer.Exit(FAILED)


def _judged_and_saved(judged: Judged, save: Path | None) -> Judged:
    if save is not None and judged.status is not Status.PASSED and judged.events:
        # A run of the file alone would be an error if it named a clause that nothing in it shows.
        scenario = judged.cell.scenario
        named = tuple(name for name in scenario.clauses if name not in EXTRA_CLAUSES or name in judged.clauses)
        files.save(scenario.model_copy(update={"clauses": named}), save)
        history.save(list(judged.events), save / f"{judged.cell.name}.jsonl")
    return judged


def _progress(total: int) -> Callable[[Judged], None]:
    """Return a function that shows on a terminal how many cells have run."""
    counts = dict.fromkeys(Status, 0)

    def show(judged: Judged) -> None:
        counts[judged.status] += 1
        if sys.stderr.isatty():
            problems = counts[Status.VIOLATED] + counts[Status.ERROR]
            sys.stderr.write(f"\r{sum(counts.values())} of {total} cells, {problems} with problems ")
            sys.stderr.flush()

    return show
