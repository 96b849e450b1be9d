"""`cryo-harness simulate` and `cryo-harness replay`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.simulate.campaign import Work, pair_parts, run_all, seed_parts, single_parts
from harness.simulate.explore import Campaign
from harness.simulate.page import render
from harness.simulate.plan import KINDS
from harness.simulate.progress import Progress
from harness.simulate.replay import BadReplay, Replay, find_scenario, find_target, load
from harness.simulate.results import results_of
from harness.simulate.run import simulate
from harness.simulate.sometimes import SITUATIONS

if TYPE_CHECKING:
    from harness.history import Event

USAGE = 64
"""sysexits.h EX_USAGE."""

STRAIGHT = "straight-service"
"""The scenario in which every situation of `SITUATIONS` can come up."""

TARGET_HELP = "The worker's adapter, MODULE:FUNCTION; modules of the current directory can be imported."


def simulate_command(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    target: Annotated[str, typer.Option(help=TARGET_HELP)],
    scenario: Annotated[str, typer.Option(help="The scenario whose tasks are run.")] = STRAIGHT,
    pairs: Annotated[bool, typer.Option(help="All ordered pairs of faults as well.")] = False,  # noqa: FBT002 - typer's form
    seeds: Annotated[int, typer.Option(min=0, help="Random plans with this many seeds as well.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes. [default: one for each CPU]")] = os.cpu_count() or 1,
    save: Annotated[Path | None, typer.Option(help="A directory for failing runs, to replay them.")] = None,
    report: Annotated[Path | None, typer.Option(help="An HTML file for the results.")] = None,
) -> None:
    """Run a worker on virtual time with every fault at every operation.

    Prints the matrix of operations and faults. Exit codes: 0 no problem found, 1 problems found, faults that never
    fired or situations that never came up, 64 usage.
    """
    work = Work(target, scenario, 0)
    started = time.monotonic()
    if report is not None and not report.parent.is_dir():
        _refuse(BadReplay(f"--report: there is no directory {report.parent}; create it"))
    try:
        parts = single_parts(_importable(work))
        parts += pair_parts(work) if pairs else []
    except BadReplay as problem:
        _refuse(problem)
    parts += seed_parts(seeds)
    progress = Progress(sys.stderr, time.monotonic, started)
    campaign = run_all(work, parts, jobs=jobs, progress=progress.show)
    progress.end()
    seconds = time.monotonic() - started
    missed = [name for name in SITUATIONS if name not in campaign.situations] if scenario == STRAIGHT else []
    _report(campaign, missed, seconds)
    files = _save(campaign, work, save) if save is not None else []
    if report is not None:
        situations = {name: name not in missed for name in SITUATIONS} if scenario == STRAIGHT else {}
        results = results_of(
            campaign, target=target, scenario=scenario, situations=situations, seconds=seconds, saved=files
        )
        report.write_text(render(results), encoding="utf-8")
    never = [plan for plan in campaign.unreached if len(plan) == 1]
    raise typer.Exit(1 if campaign.failed or never or missed else 0)


def replay_command(file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `simulate --save`.")]) -> None:
    """Run a saved run again, to the letter, and print its history and what is wrong with it.

    Exit codes: 0 nothing is wrong any more, 1 problems, 64 usage.
    """
    sys.path.insert(0, "")
    try:
        saved = load(file)
        scenario, target = find_scenario(saved.scenario), find_target(saved.target)
    except BadReplay as problem:
        _refuse(problem)
    run = simulate(scenario, target, plan=saved.plan, seed=saved.seed)
    for event in run.events:
        typer.echo(f"{event.at:9.3f} s  {event.kind:22}{_detail(event)}")
    for fault in run.plan:
        typer.echo(f"fault: {fault}")
    for text in run.problems:
        typer.echo(f"PROBLEM {text}")
    typer.echo(f"digest {run.digest}")
    raise typer.Exit(1 if run.problems else 0)


def _importable(work: Work) -> Work:
    """Let this process, and those that it starts, import modules of the current directory."""
    sys.path.insert(0, "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    return work


def _refuse(problem: BadReplay) -> None:
    typer.echo(f"cryo-harness: {problem}", err=True)
    raise typer.Exit(USAGE)


def _save(campaign: Campaign, work: Work, folder: Path) -> list[Path]:
    """Write each failing run to a file, and return the files in the order of the runs."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:03d}.json" for number in range(1, len(campaign.failed) + 1)]
    for run, file in zip(campaign.failed, files, strict=True):
        Replay(work.target, work.scenario, run.seed, run.plan).save(file)
    return files


def _report(campaign: Campaign, missed: list[str], seconds: float) -> None:
    names = sorted({name for name, _ in campaign.reached})
    width = max(map(len, names), default=0)
    typer.echo(f"{'operation':{width}}  " + "  ".join(KINDS))
    for name in names:
        marks = ("x" if (name, kind) in campaign.reached else "." for kind in KINDS)
        typer.echo(
            f"{name:{width}}  " + "  ".join(f"{mark:{len(kind)}}" for mark, kind in zip(marks, KINDS, strict=True))
        )
    for plan in campaign.unreached:
        if len(plan) == 1:
            typer.echo(f"NEVER FIRED {plan[0]}")
    for name in SITUATIONS:
        if name in campaign.situations:
            typer.echo(f"reached: {name}")
    for name in missed:
        typer.echo(f"NEVER REACHED {name}")
    for run in campaign.failed:
        typer.echo(f"PROBLEM seed {run.seed}: {'; '.join(map(str, run.plan)) or 'no fault'}")
        for problem in run.problems:
            typer.echo(f"  {problem}")
    rate, hours = campaign.attempts / seconds, campaign.virtual_seconds / 3600
    typer.echo(
        f"{campaign.runs} runs with {campaign.attempts} attempts in {seconds:.1f} s, {rate:.0f} attempts a second"
    )
    typer.echo(f"{hours:.1f} virtual hours; {len(campaign.failed)} runs with problems")
    typer.echo(f"digest {campaign.digest}")


def _detail(event: Event) -> str:
    fields = event.model_dump(include={"operation", "key", "status", "delivered_status", "task_id", "attempt", "name"})
    fields |= event.model_dump(include={"worker", "action", "code"})
    return "  ".join(f"{name}={value}" for name, value in fields.items() if value not in {None, ""})
