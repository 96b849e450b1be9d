"""The simulation and the wire on the same fault: do they come to the same verdict about our worker?"""

from __future__ import annotations

from dataclasses import dataclass

from simulation.adapter import worker

from harness.checks.verdict import NOT_SHOWN, check_history
from harness.history import TimedOut, of
from harness.runner.run import run
from harness.scenario import find
from harness.simulate.explore import single_faults
from harness.simulate.plan import CRASHES, PlannedFault
from harness.simulate.run import simulate
from harness.simulate.wire import Untranslatable, as_scenario
from harness.simulate.worlds import ONE_TASK
from harness.stores.backends import Backends
from harness.targets import find as find_worker

UNFIRED = "a fault never fired"


@dataclass(frozen=True, slots=True)
class Compared:
    """One cell, with the problems that each engine found."""

    name: str
    simulated: tuple[str, ...]
    wire: tuple[str, ...]

    @property
    def is_shown(self) -> bool:
        """Whether the fault fired over the wire, where a worker sends fewer reads than in the simulation."""
        return not self.wire or any(UNFIRED not in problem for problem in self.wire)

    @property
    def agrees(self) -> bool:
        """Whether both found a problem, or neither."""
        return bool(self.simulated) == bool(self.wire)


def translatable() -> tuple[list[PlannedFault], list[str]]:
    """Return the single faults of `one-task` that a scenario can express, and why the others can't be."""
    cells, refused = [], []
    (base,) = find(["straight-service"])
    for (fault,) in single_faults(simulate(ONE_TASK, worker).operations):
        assert isinstance(fault, PlannedFault)
        try:
            as_scenario(base, (fault,), name="cell")
        except Untranslatable as reason:
            refused.append(str(reason))
        else:
            cells.append(fault)
    return cells, refused


def compare(fault: PlannedFault, store: Backends) -> Compared:
    """Run one fault in both ways."""
    (base,) = find(["straight-service"])
    name = str(fault).replace("#", "-").replace(" ", "-")
    events = run(as_scenario(base, (fault,), name=name), find_worker("cmd:cryo-ingest"), store)
    checked = check_history(events)
    # A worker that dies while it reports could delete nothing (docs/explore.md).
    dies_reporting = fault.operation.name == "dispatcher.complete" and fault.kind in CRASHES
    violations = [each for each in checked.violations if not (dies_reporting and each.clause == "STG-3")]
    problems = [f"{each.clause}: {each.seen}" for each in violations]
    problems += [error for error in checked.errors if NOT_SHOWN not in error]
    problems += [event.what for event in of(events, TimedOut)]
    simulated = simulate(ONE_TASK, worker, plan=(fault,)).problems
    return Compared(str(fault), simulated, tuple(problems))
