"""Runs one scenario on virtual time, under a plan, and judges the history."""

from __future__ import annotations

import gc
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.simulate.judge import problems_of
from harness.simulate.loop import Deadlock, run_virtually
from harness.simulate.plan import Operation, Plan, PlannedFault, Step
from harness.simulate.watchdog import ENDLESS, PROCESSOR_SECONDS, Endless, watched
from harness.simulate.world import World

if TYPE_CHECKING:
    from harness.history import Event
    from harness.scenario import Scenario
    from harness.simulate.bench import Target


@dataclass(frozen=True, slots=True)
class Run:
    """One simulated run: its history and digest, its operations in order, and what is wrong with it.

    `scenario` is its name. `senders` has the worker of each operation, by its number in the fleet. `unfired` are the
    parts of the plan that never came into play.
    """

    scenario: str
    plan: tuple[Step, ...]
    seed: int
    events: tuple[Event, ...]
    digest: str
    operations: tuple[Operation, ...]
    senders: tuple[int, ...]
    attempts: int
    virtual_seconds: float
    unfired: tuple[Step, ...]
    problems: tuple[str, ...]


def simulate(
    scenario: Scenario,
    target: Target,
    *,
    plan: tuple[Step, ...] = (),
    seed: int = 0,
    processor_seconds: float = PROCESSOR_SECONDS,
) -> Run:
    """Run a scenario's tasks through a target; a run that uses `processor_seconds` is ended, and has a problem."""
    with tempfile.TemporaryDirectory(prefix="simulate-", dir=_memory()) as name:
        world = World(judged_by(scenario, plan), target, Plan(plan), seed, Path(name))
        umask = os.umask(0o022)  # a history has the modes of staged files
        try:
            with watched(processor_seconds) as watchdog:
                run_virtually(world.run())
        except (Deadlock, Endless) as problem:
            world.problems.append(ENDLESS if watchdog.is_endless else str(problem))
        finally:
            os.umask(umask)
        return _result(world)


def judged_by(scenario: Scenario, plan: tuple[Step, ...]) -> Scenario:
    """Return a scenario with the clause OUT-5 if a plan makes Cryo fail once, and nothing else."""
    if len(plan) != 1 or not isinstance(plan[0], PlannedFault) or plan[0].lasting or len(scenario.tasks) > 1:
        return scenario
    fails = plan[0].operation.name == "cryo.file" and plan[0].kind in {"refused", "unanswered"}
    return scenario.model_copy(update={"clauses": (*scenario.clauses, "OUT-5")}) if fails else scenario


def _memory() -> str | None:
    """Return a directory in memory, if there is one: no run needs the disk to be durable."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a private directory is made in it


def _result(world: World) -> Run:
    events = world.recorder.events
    return Run(
        world.scenario.name,
        world.plan.steps,
        world.seed,
        tuple(events),
        world.recorder.digest(),
        tuple(world.boundary.operations),
        tuple(world.places[life] for life in world.boundary.senders),
        sum(task.attempt for task in world.machine.tasks),
        world.ended_at - world.started_at,
        tuple(world.plan.unfired),
        tuple(problems_of(world, events)),
    )


def without_collections() -> None:
    """Collect garbage only when it is much: runs leave little in cycles, and a search takes a tenth of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
