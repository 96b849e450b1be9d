"""Run each bug of the reference worker on its clause's scenarios: it has to be caught by that clause. `make detect`.

Prints a table of bug, clause and the scenario that caught it; ends with 1 where one went by. Names choose bugs.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from harness.checks.verdict import judge
from harness.reference.bugs import BUGS
from harness.runner.run import run
from harness.scenario import Scenario, find
from harness.stores.backends import Backends, backends
from harness.targets import REFERENCE
from harness.targets import find as target

JOBS = 4


def caught_by(name: str, clause: str, scenarios: list[Scenario], around: Backends) -> str | None:
    """Return the first scenario of the clause that catches a bug."""
    for scenario in scenarios:
        if clause not in scenario.clauses:
            continue
        try:
            judged = judge(run(scenario, target(REFERENCE, bug=name), around))
        except Exception as error:  # noqa: BLE001 - one that breaks the harness is not caught by it, and is shown
            print(f"{name}: the harness failed on {scenario.name}: {error}", file=sys.stderr)
            continue
        if any(violation.clause == clause for violation in judged.violations):
            return scenario.name
    return None


began = time.monotonic()
chosen = [bug for bug in BUGS if not sys.argv[1:] or bug.name in sys.argv[1:]]
known = sorted(
    find(), key=lambda one: (one.delivery == "worker", one.patience_seconds, len(one.tasks), -len(one.clauses))
)
missed = 0
with backends("moto") as store, ThreadPoolExecutor(JOBS) as pool:
    results = pool.map(lambda bug: caught_by(bug.name, bug.clause, known, store), chosen)
    for bug, scenario in zip(chosen, results, strict=True):
        missed += scenario is None
        print(f"{bug.clause:8} {bug.name:36} {scenario or 'MISSED'}", flush=True)
print(f"{len(chosen) - missed} of {len(chosen)} caught in {time.monotonic() - began:.0f} s")
sys.exit(1 if missed else 0)
