"""Judges one mutant, the cheapest way first: simulated runs for our worker, then scenarios."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from harness.scenario import Scenario
from harness.stores.backends import Backends
from mutation import simulated, wire
from mutation.clauses import touched_by
from mutation.mutant import Mutant
from mutation.population import modules_of
from mutation.reach import Recorded, reaching
from mutation.verdict import Explanation, Verdict, clauses_of, explained


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges mutants of one worker; `plans` is empty for a worker that can't be simulated.

    A mutant goes through at most `max_simulated` runs and `max_scenarios` scenarios.
    """

    package: str
    plans: Sequence[Recorded[simulated.Planned]]
    scenarios: Sequence[Recorded[Scenario]]
    backends: Backends
    known: Sequence[Explanation]
    max_simulated: int
    max_scenarios: int

    def judge(self, mutant: Mutant) -> Verdict:
        """Return the verdict on a mutant; one that is explained is not run."""
        started = time.monotonic()
        diff = mutant.diff(source_of(mutant, self.package))
        reached = reaching(mutant, self.scenarios)
        touches = tuple(touched_by(mutant, (run.clauses for run in reached)))
        if reason := explained(mutant, diff, self.known):
            return Verdict(mutant.name, "explained", diff, touches=touches, reason=reason)
        searched = self._simulate(mutant)
        if searched.problems:
            return Verdict(
                mutant.name, "invalid" if searched.is_invalid else "killed", diff, "simulation", searched.run,
                clauses_of(searched.problems), searched.problems[0], touches, searched.runs,
                seconds=time.monotonic() - started,
            )  # fmt: skip
        chosen = wire.in_order(reached, touches, self.max_scenarios)
        judged = wire.search(mutant, self.package, chosen, self.backends)
        return Verdict(
            mutant.name, "killed" if judged.problems else "survived", diff, "scenarios" if judged.problems else "",
            judged.scenario, clauses_of(judged.problems), next(iter(judged.problems), ""), touches, searched.runs,
            judged.runs, time.monotonic() - started,
        )  # fmt: skip

    def _simulate(self, mutant: Mutant) -> simulated.Searched:
        plans = simulated.in_order(reaching(mutant, self.plans), self.max_simulated)
        if not plans:
            return simulated.Searched(0)
        with simulated.pool(1) as pool:  # of its own: a mutant may end its process
            try:
                return pool.submit(simulated.search, mutant, plans).result()
            except BrokenProcessPool:
                return simulated.Searched(1, ("the worker's process died",))


def source_of(mutant: Mutant, package: str) -> str:
    """Return the source of a mutant's module."""
    return next(module.source for module in modules_of(package) if module.name == mutant.module)
