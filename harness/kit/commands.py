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
from harness.kit.progress import Progress
from harness.kit.running import NothingToRun, at_once, attempt, attempt_all, check_some, runnable
from harness.reference.bugs import BUGS
from harness.report import saved, text
from harness.report.result import RunResult, ScenarioResult, in_order, run_result, scenario_result
from harness.runner.stopping import stopped_by_signals
from harness.scenario import BadScenario, find
from harness.stores.backends import BadStore, backends
from harness.targets import BadTarget
from harness.targets.image import containers_ended

FAILED, USAGE, INTERRUPTED = 1, 64, 130


MENDABLE = (NothingToRun, BadScenario, BadTarget, BadStore, history.BadHistory, report.BadReport, EngineError, OSError)

Jobs = Annotated[int, typer.Option(min=1, max=64, help="Scenarios at once.")]
JOBS = 4 * (os.cpu_count() or 1)
"""So many by default: most of a scenario is waiting."""
Reports = Annotated[
    list[Path] | None, typer.Option("--report", metavar="FILE", help=f"Of {', '.join(report.KINDS)}; repeatable.")
]


@contextmanager
def told() -> Iterator[None]:
    """Turn what a user can mend into one line and exit code 64."""
    try:
        yield
    except MENDABLE as error:
        typer.echo(f"cryo-harness: {error}", err=True)
        raise typer.Exit(USAGE) from None


def run_command(  # noqa: PLR0913, PLR0917 - each is an option of the command
    names: Annotated[list[str] | None, typer.Argument(metavar="[SCENARIO]…", help="Names, files or clauses.")] = None,
    target: Annotated[str, typer.Option(help=targets.FORMS)] = targets.DEFAULT,
    store: Annotated[str, typer.Option(help="moto, minio, or the URL of an S3 server.")] = "moto",
    jobs: Jobs = JOBS,
    save: Annotated[Path | None, typer.Option(help="A folder for the histories.")] = None,
    bug: Annotated[str | None, typer.Option(help="Of the target `reference`: the bug that it is to have.")] = None,
    reports: Reports = None,
) -> None:
    """Run scenarios and judge the worker clause by clause; exit code 0 only without FAIL and ERROR."""
    began, began_at = time.monotonic(), datetime.now(UTC)
    with told():
        check_bug(bug)
        chosen = targets.find(target, bug=bug)
        scenarios, skipped = runnable(find(names or ()), chosen)
        check_some(scenarios, skipped)
        check_all(reports, save)
    console = Console()
    with told(), ExitStack() as stack:
        around = stack.enter_context(backends(store))
        stack.enter_context(containers_ended(in_container=chosen.in_container))
        stop = stack.enter_context(stopped_by_signals())
        seen = stack.enter_context(Progress(console, len(scenarios)))
        file_of = {Path(name).stem: name for name in names or () if name.endswith(".toml")}
        done = attempt_all(
            scenarios,
            lambda scenario: attempt(scenario, chosen, around, save, stop, file=file_of.get(scenario.name, "")),
            jobs=at_once(chosen, jobs),
            seen=seen,
        )
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)
    result = replace(
        run_result(done),
        target=f"{chosen.name} ({bug})" if bug else chosen.name,
        store=store,
        skipped=skipped,
        clauses=in_order(clause for scenario in scenarios for clause in scenario.clauses),
        options=("--target", target, *(("--bug", bug) if bug else ()), "--store", store),
        began_at=began_at,
        seconds=time.monotonic() - began,
    )
    finish(result, console, reports)


def check_bug(bug: str | None) -> None:
    """Make sure that there is such a bug of the reference worker.

    Raises:
        BadTarget: there is none.
    """
    names = [known.name for known in BUGS]
    if bug is not None and bug not in names:
        near = get_close_matches(bug, names, n=5, cutoff=0.4)
        meant = f"did you mean {' or '.join(near)}?" if near else "`cryo-harness bugs` lists them"
        raise BadTarget(f"the reference worker has no bug {bug!r}: {meant}")


def check_all(reports: Sequence[Path] | None, save: Path | None = None) -> None:
    """Make sure that all reports, and histories in a folder that is made, can be written.

    Raises:
        harness.report.BadReport: one can't.
        OSError: the folder can't be made.
    """
    for path in reports or ():
        report.check(path)
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
        if not os.access(save, os.W_OK | os.X_OK):
            raise report.BadReport(f"--save {save}: nothing can be written there")


def finish(result: RunResult, console: Console, reports: Sequence[Path] | None) -> None:
    """Print the result, write its reports, and leave by its exit code."""
    console.print()
    text.print_report(result, console)
    with told():
        for path in reports or ():
            report.write(path, result)
            console.print(f"report {shlex.quote(str(path))}", soft_wrap=True, highlight=False)
    sys.stdout.flush()
    raise typer.Exit(0 if result.verdict is Verdict.PASS else FAILED)


def judge_command(
    files: Annotated[list[Path], typer.Argument(help="Saved histories.")], reports: Reports = None
) -> None:
    """Judge saved histories again; the verdicts are those of the live run."""
    with told():
        check_all(reports)
        done = [again(path) for path in files]
    console = Console()
    for one in done:
        console.print(text.scenario_line(one), soft_wrap=True, highlight=False)
    finish(run_result(done), console, reports)


def again(path: Path) -> ScenarioResult:
    """Judge a saved history.

    Raises:
        harness.history.BadHistory: it can't be read, or its scenario is of another version of the harness.
    """
    return scenario_result(saved.events_of(path), history=str(path))


def list_command() -> None:
    """List the scenarios with the clauses that each exercises."""
    with told():
        for scenario in find():
            typer.echo(f"{scenario.name:32} {', '.join(scenario.clauses):40} {scenario.title}")
