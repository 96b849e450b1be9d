"""`cryo-harness simulate` and `cryo-harness replay`."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.explore.files import toml
from harness.kit.commands import INTERRUPTED, check_writable, usage_errors
from harness.runner.stopping import stopped_by_signals
from harness.scenario import find
from harness.simulate.campaign import (
    Campaign,
    Part,
    generated_parts,
    interleaving_parts,
    pair_parts,
    run_all,
    seed_parts,
    single_parts,
)
from harness.simulate.page import render
from harness.simulate.plan import KINDS
from harness.simulate.progress import Progress
from harness.simulate.replay import BadReplay, Replay, find_scenario, find_target, load
from harness.simulate.results import results_of
from harness.simulate.run import simulate
from harness.simulate.sometimes import SITUATIONS
from harness.simulate.wire import Untranslatable, as_scenario
from harness.simulate.worlds import ONE_TASK, SINGLE_WORLDS, THREE_TASKS, TWO_WORKERS, WORLDS

if TYPE_CHECKING:
    from harness.history import Event
    from harness.simulate.run import Run

USAGE = 64
"""sysexits.h EX_USAGE."""

WIRE_BASE = "straight-service"
"""The scenario to which `replay --scenario` adds faults."""

EXPLORED = {
    "plans": "single faults in {world}",
    "first_faults": "pairs of faults in {world}",
    "first_turns": "orders of two workers in {world}",
    "seeds": "{count} random plans in {world}",
}
"""What the parts of a campaign are, by the field of `Part`."""

TARGET_HELP = "The worker's adapter, MODULE:FUNCTION; modules of the current directory can be imported."


def simulate_command(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    target: Annotated[str, typer.Option(help=TARGET_HELP)],
    scenario: Annotated[
        str, typer.Option(help=f"Only this world or scenario; worlds are {', '.join(WORLDS)}. [default: all worlds]")
    ] = "",
    pairs: Annotated[bool, typer.Option(help="All ordered pairs of faults as well.")] = False,  # noqa: FBT002 - typer's form
    interleavings: Annotated[bool, typer.Option(help="All orders of two workers as well.")] = False,  # noqa: FBT002 - as above
    seeds: Annotated[int, typer.Option(min=0, help="Random plans with this many seeds as well.")] = 0,
    generated: Annotated[int, typer.Option(min=0, help="This many generated worlds as well.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes. [default: one for each CPU]")] = os.cpu_count() or 1,
    save: Annotated[Path | None, typer.Option(help="A directory for failing runs, to replay them.")] = None,
    report: Annotated[Path | None, typer.Option(help="An HTML file for the results.")] = None,
) -> None:
    """Run a worker on virtual time with every fault at every operation.

    Prints the matrix of operations and faults. Exit codes: 0 no problem found, 1 problems found, faults that never
    fired or situations that never came up, 64 usage, 130 interrupted; the results until then are printed.
    """
    sys.path.insert(0, "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    started = time.monotonic()
    with usage_errors():
        check_writable([report] if report is not None else None, save)
    try:
        if interleavings and scenario and find_scenario(scenario).platform.workers == 1:
            raise BadReplay(f"--interleavings: {scenario} has one worker; choose {TWO_WORKERS.name}")  # noqa: TRY301
        parts = _parts(target, scenario, pairs=pairs, interleavings=interleavings, seeds=seeds)
        parts += generated_parts(target, generated)
    except BadReplay as problem:
        _refuse(problem)
    progress = Progress(sys.stderr, time.monotonic, started)
    with stopped_by_signals() as stop:
        campaign = run_all(parts, jobs=jobs, stop=stop, progress=progress.show)
        is_interrupted = stop.is_set()
    progress.end()
    seconds = time.monotonic() - started
    is_whole = not scenario and interleavings and not is_interrupted
    missed = [name for name in SITUATIONS if name not in campaign.situations] if is_whole else []
    files = _save(campaign, target, save) if save is not None else []
    _report(campaign, missed, files, seconds)
    if report is not None:
        situations = {name: name in campaign.situations for name in SITUATIONS} if is_whole else {}
        results = results_of(
            campaign,
            target=target,
            explored=_explored(parts, is_interrupted=is_interrupted),
            situations=situations,
            seconds=seconds,
            saved=files,
        )
        report.write_text(render(results), encoding="utf-8")
    if is_interrupted:
        typer.echo(f"interrupted: {campaign.runs} runs of the campaign had ended, and the others did not run")
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(1 if campaign.failed or campaign.unreached or missed else 0)


def _parts(target: str, scenario: str, *, pairs: bool, interleavings: bool, seeds: int) -> list[Part]:
    """Return the parts of a campaign; pairs, interleavings and seeds have a world of their own unless one is chosen."""
    singles = [scenario] if scenario else [world.name for world in SINGLE_WORLDS]
    parts = [part for world in singles for part in single_parts(target, world)]
    parts += pair_parts(target, scenario or ONE_TASK.name) if pairs else []
    parts += interleaving_parts(target, scenario or TWO_WORKERS.name) if interleavings else []
    return parts + seed_parts(target, scenario or THREE_TASKS.name, seeds)


def _explored(parts: list[Part], *, is_interrupted: bool) -> tuple[str, ...]:
    """Return what a campaign consisted of, in words."""
    found = []
    generated = {part.world for part in parts if part.world not in WORLDS}
    for name in ("plans", "first_faults", "first_turns", "seeds"):
        for world in dict.fromkeys(part.world for part in parts if getattr(part, name) and part.world in WORLDS):
            count = sum(len(getattr(part, name)) for part in parts if part.world == world)
            found.append(EXPLORED[name].format(world=world, count=f"{count:,}"))
    found += [f"{len(generated):,} other worlds or scenarios"] if generated else []
    return (*found, "interrupted before its end") if is_interrupted else tuple(found)


def replay_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `simulate --save`.")],
    scenario: Annotated[
        Path | None, typer.Option(help="Write a scenario file that shows the same over the wire, and run nothing.")
    ] = None,
) -> None:
    """Run a saved run again, to the letter, and print its history and what is wrong with it.

    Exit codes: 0 nothing is wrong any more, 1 problems, or a part of the plan that never came into play, 64 usage, or a
    run that no scenario expresses.
    """
    if scenario is not None:
        _write_scenario(file, scenario)
        return
    sys.path.insert(0, "")
    try:
        saved = load(file)
        world, target = find_scenario(saved.scenario), find_target(saved.target)
    except BadReplay as problem:
        _refuse(problem)
    run = simulate(world, target, plan=saved.plan, seed=saved.seed)
    for event in run.events:
        typer.echo(f"{event.at:9.3f} s  {event.kind:22}{_detail(event)}")
    for step in run.plan:
        typer.echo(f"plan: {step}")
    for step in run.unfired:
        typer.echo(f"NEVER FIRED {step}")
    for text in run.problems:
        typer.echo(f"PROBLEM {text}")
    typer.echo(f"digest {run.digest}")
    raise typer.Exit(1 if run.problems or run.unfired else 0)


def _check_translatable(saved: Replay, path: Path) -> None:
    if saved.scenario != ONE_TASK.name:
        raise Untranslatable(f"world {saved.scenario}: only runs of {ONE_TASK.name} have a scenario")
    if path.suffix != ".toml" or path.exists():
        raise BadReplay(f"{path} exists already, or does not end in .toml; choose another name")


def _write_scenario(file: Path, path: Path) -> None:
    """Write the plan of a saved run as a scenario file."""
    try:
        saved = load(file)
        _check_translatable(saved, path)
        written = as_scenario(find([WIRE_BASE])[0], saved.plan, name=path.stem)
        path.write_text(toml(written), encoding="utf-8")
    except (BadReplay, Untranslatable) as problem:
        _refuse(problem)
    except OSError as error:
        _refuse(BadReplay(f"{path} can't be written: {error.strerror}"))
    typer.echo(f"{path}: run it with `cryo-harness run {path} --target TARGET`")


def _refuse(problem: BadReplay | Untranslatable) -> None:
    typer.echo(f"cryo-harness: {problem}", err=True)
    raise typer.Exit(USAGE)


def _save(campaign: Campaign, target: str, folder: Path) -> list[Path]:
    """Write each failing run to a file, and return the files in the order of the runs.

    The name of a file tells the run, so that another campaign in the same folder overwrites only equal runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{run.scenario}-{_identity(run)}.json" for run in campaign.failed]
    for run, file in zip(campaign.failed, files, strict=True):
        Replay(target, run.scenario, run.seed, run.plan).save(file)
    return files


def _identity(run: Run) -> str:
    return hashlib.sha256(f"{run.seed} {'; '.join(map(str, run.plan))}".encode()).hexdigest()[:12]


def _report(campaign: Campaign, missed: list[str], files: list[Path], seconds: float) -> None:
    names = sorted({name for _, name, _ in campaign.exercised})
    width = max(map(len, names), default=0)
    typer.echo(f"{'operation':{width}}  " + "  ".join(KINDS))
    for name in names:
        counts = (
            sum(n for (_, each, fault), n in campaign.exercised.items() if (each, fault) == (name, kind))
            for kind in KINDS
        )
        typer.echo(
            f"{name:{width}}  "
            + "  ".join(f"{count or '.':<{len(kind)}}" for count, kind in zip(counts, KINDS, strict=True))
        )
    for world, plan in campaign.unreached:
        typer.echo(f"NEVER FIRED {world}: {'; '.join(map(str, plan))}")
    for name in SITUATIONS:
        if name in campaign.situations:
            typer.echo(f"reached: {name}")
    for name in missed:
        typer.echo(f"NEVER REACHED {name}")
    for index, run in enumerate(campaign.failed):
        typer.echo(f"PROBLEM {run.scenario}, seed {run.seed}: {'; '.join(map(str, run.plan)) or 'no fault'}")
        if files:
            typer.echo(f"  cryo-harness replay {files[index]}")
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
