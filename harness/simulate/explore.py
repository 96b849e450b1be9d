"""Goes through faults: every operation of a clean run with every kind of fault, and pairs of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from harness.history import scenario_started
from harness.simulate.plan import CRASHES, KINDS, Kind, Operation, PlannedFault
from harness.simulate.run import Run, simulate
from harness.simulate.sometimes import reached as situations_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.scenario import Scenario
    from harness.simulate.bench import Target

Fault = tuple[PlannedFault, ...]
Cell = tuple[str, str, Kind]
"""A scenario, the name of an operation, and a kind of fault."""


@dataclass(slots=True)
class Campaign:
    """The results of many runs: how many, their attempts and virtual time, and the runs with problems.

    `exercised` and `broken` count, for each cell, the runs in which such a fault fired, and those with problems.
    `unreached` are plans of which a fault never fired: its operation did not come. `situations` are those of
    `harness.simulate.sometimes` that came up. `digest` is of all histories.
    """

    runs: int = 0
    attempts: int = 0
    virtual_seconds: float = 0.0
    reached: set[tuple[str, Kind]] = field(default_factory=set)
    exercised: Counter[Cell] = field(default_factory=Counter)
    broken: Counter[Cell] = field(default_factory=Counter)
    unreached: list[Fault] = field(default_factory=list)
    failed: list[Run] = field(default_factory=list)
    situations: set[str] = field(default_factory=set)
    digest: str = ""

    def add(self, run: Run) -> None:
        """Count a run."""
        self.runs += 1
        self.attempts += run.attempts
        self.virtual_seconds += run.virtual_seconds
        scenario = scenario_started(run.events).scenario["name"]
        cells = {(scenario, fault.operation.name, fault.kind) for fault in run.plan if fault not in run.unfired}
        self.exercised.update(cells)
        self.broken.update(cells if run.problems else ())
        if run.unfired:
            self.unreached.append(run.plan)
        else:
            self.reached |= {(fault.operation.name, fault.kind) for fault in run.plan}
        if run.problems:
            self.failed.append(run)
        self.situations |= situations_of(run.events)
        self.digest = hashlib.sha256(f"{self.digest} {run.digest}".encode()).hexdigest()

    def include(self, other: Campaign) -> None:
        """Add another campaign's results; the order of the campaigns must always be the same."""
        self.runs += other.runs
        self.attempts += other.attempts
        self.virtual_seconds += other.virtual_seconds
        self.reached |= other.reached
        self.exercised += other.exercised
        self.broken += other.broken
        self.unreached += other.unreached
        self.failed += other.failed
        self.situations |= other.situations
        self.digest = hashlib.sha256(f"{self.digest} {other.digest}".encode()).hexdigest()

    def forget_histories(self) -> None:
        """Drop the events, which are large and can be had again by a replay."""
        self.failed = [replace(run, events=()) for run in self.failed]


def single_faults(operations: Iterable[Operation]) -> Iterator[Fault]:
    """Yield each operation with each fault, once, and from then on; a worker crashes only once."""
    for operation, kind in product(operations, KINDS):
        yield (PlannedFault(operation, kind),)
        if kind not in CRASHES:
            yield (PlannedFault(operation, kind, lasting=True),)


def pairs_after(scenario: Scenario, target: Target, first: PlannedFault, *, seed: int) -> Iterator[Fault]:
    """Yield a fault together with each fault of each operation that comes after it, in the recovery from it as well."""
    after = simulate(scenario, target, plan=(first,), seed=seed).operations
    later = after[after.index(first.operation) + 1 :] if first.operation in after else ()
    for second, kind in product(later, KINDS):
        yield (first, PlannedFault(second, kind))


def explore(
    scenario: Scenario,
    target: Target,
    plans: Iterable[Fault],
    *,
    seed: int = 0,
    progress: Callable[[Campaign], None] = lambda _: None,
) -> Campaign:
    """Run a scenario under each plan."""
    campaign = Campaign()
    for plan in plans:
        campaign.add(simulate(scenario, target, plan=plan, seed=seed))
        progress(campaign)
    return campaign


def shrink(scenario: Scenario, target: Target, failed: Run, *, seed: int) -> Run:
    """Return a failing run with as few faults as possible: each one is left out in turn while the run still fails."""
    smallest = failed
    for fault in failed.plan:
        plan = tuple(each for each in smallest.plan if each is not fault)
        run = simulate(scenario, target, plan=plan, seed=seed)
        if run.problems:
            smallest = run
    return smallest
