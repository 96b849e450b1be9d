"""Judges mutants by scenarios over the wire, on moto, and records which lines each scenario reaches."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from coverage import CoverageData
from coverage.exceptions import CoverageException

from harness.checks.verdict import CheckResult, check_history
from harness.kit.detect import with_time_limit
from harness.kit.running import runnable
from harness.runner.run import run
from harness.scenario import Scenario, find
from harness.stores.backends import Backends
from harness.targets import DEFAULT, REFERENCE, Target
from harness.targets import find as find_target
from mutation.mutant import Mutant
from mutation.population import OURS, ROOT, modules_of, path_of
from mutation.reach import Recorded

WORKER = ROOT / "scripts" / "mutation" / "worker.py"
LEAST_SECONDS = 15.0
TIMES_RECORDED = 4.0
"""A mutant gets several times what the correct worker took, and `LEAST_SECONDS` at least."""
NOT_SHOWN = "-"
"""Instead of a clause: no check reported a violation, but the run did not show what the scenario expects."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What scenarios say of a mutant: how many ran, and what the one that killed it reported."""

    runs: int
    scenario: str = ""
    problems: tuple[str, ...] = ()


def target_of(package: str, what: str, where: Path) -> Target:
    """Return a worker that is started by `worker.py`, as a mutant or to be recorded."""
    usual = find_target(DEFAULT if package == OURS else REFERENCE)
    return replace(usual, command=(sys.executable, str(WORKER), what, str(where), package))


def scenarios_for(package: str) -> list[Scenario]:
    """Return the scenarios that can judge a worker without containers."""
    chosen, _ = runnable([each for each in find() if not each.needs_engine], target_of(package, "record", ROOT))
    return chosen


def record(scenario: Scenario, package: str, backends: Backends) -> Recorded[Scenario]:
    """Run a scenario with the correct worker; return it with the lines that it reaches."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        started = time.monotonic()
        events = run(scenario, target_of(package, "record", Path(folder)), backends)
        seconds = time.monotonic() - started
        lines = lines_in(Path(folder), package)
    return Recorded(scenario, seconds, scenario.clauses, problems_of(check_history(events)), lines)


def record_twice(scenario: Scenario, package: str, backends: Backends) -> Recorded[Scenario]:
    """Record a scenario, once more if it has problems: a machine under load can be too slow for it."""
    found = record(scenario, package, backends)
    return record(scenario, package, backends) if found.problems else found


def lines_in(folder: Path, package: str) -> dict[str, frozenset[int]]:
    """Return the lines in functions that a worker's processes have recorded in a folder, by module."""
    modules = {str(path_of(module.name)): module for module in modules_of(package)}
    found: dict[str, set[int]] = {}
    for file in folder.glob("lines*"):
        data = CoverageData(str(file))
        with suppress(CoverageException):  # a process that was killed while it wrote
            data.read()
            for path in modules.keys() & data.measured_files():
                found.setdefault(path, set()).update(data.lines(path) or ())
    return {modules[path].name: modules[path].inner & lines for path, lines in found.items()}


def problems_of(result: CheckResult) -> tuple[str, ...]:
    """Return the violations, each after its clause, or the errors if there is no violation."""
    violations = [f"{each.clause}: expected {each.expected}; seen: {each.seen}" for each in result.violations]
    return tuple(violations or [f"{NOT_SHOWN}: {error}" for error in result.errors])


def in_order(runs: Sequence[Recorded[Scenario]], clauses: Sequence[str], count: int) -> list[Recorded[Scenario]]:
    """Return at most `count` scenarios: those with a clause that the code names first, each time the fastest first."""
    named = [run for run in runs if not set(clauses).isdisjoint(run.clauses)]
    others = [run for run in runs if set(clauses).isdisjoint(run.clauses)]
    half = named[: max(count // 2, count - len(others))]
    return [*half, *others][:count]


def search(mutant: Mutant, package: str, runs: Sequence[Recorded[Scenario]], backends: Backends) -> Judged:
    """Run scenarios until one reports a problem twice: once could be the machine's load."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        file = Path(folder) / "mutant.json"
        mutant.save(file)
        target = target_of(package, "mutant", file)
        for number, recorded in enumerate(runs, 1):
            scenario = with_time_limit(recorded.name, max(LEAST_SECONDS, TIMES_RECORDED * recorded.seconds))
            if problems_of(check_history(run(scenario, target, backends))):
                problems = problems_of(check_history(run(scenario, target, backends)))
                if problems:
                    return Judged(number, scenario.name, problems)
    return Judged(len(runs))
