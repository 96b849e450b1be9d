"""`make detect`: run each bug of the reference worker on its clause's scenarios; the check must catch every bug.

Prints a table of clause, bug and the scenario that caught it; exits with 1 if a bug was not caught. Arguments select
bugs by name.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from harness.kit.detect import caught_by
from harness.reference.bugs import BUGS
from harness.scenario import find
from harness.stores.backends import backends

JOBS = 8


started = time.monotonic()
chosen = [bug for bug in BUGS if not sys.argv[1:] or bug.name in sys.argv[1:]]
scenarios = find()
missed = 0
with backends("moto") as store, ThreadPoolExecutor(JOBS) as pool:
    results = pool.map(lambda bug: caught_by(bug, scenarios, store), chosen)
    for bug, scenario in zip(chosen, results, strict=True):
        missed += scenario is None
        print(f"{bug.clause:8} {bug.name:36} {scenario or 'MISSED'}", flush=True)
print(f"{len(chosen) - missed} of {len(chosen)} caught in {time.monotonic() - started:.0f} s")
sys.exit(1 if missed else 0)
