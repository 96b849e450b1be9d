"""Run each bug of the reference worker on its clause's scenarios: it has to be caught by that clause. `make detect`.

Prints a table of bug, clause and the scenario that caught it; ends with 1 where one went by. Names choose bugs.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from harness.kit.detect import caught_by
from harness.reference.bugs import BUGS
from harness.scenario import find
from harness.stores.backends import backends

JOBS = 8


began = time.monotonic()
chosen = [bug for bug in BUGS if not sys.argv[1:] or bug.name in sys.argv[1:]]
known = find()
missed = 0
with backends("moto") as store, ThreadPoolExecutor(JOBS) as pool:
    results = pool.map(lambda bug: caught_by(bug, known, store), chosen)
    for bug, scenario in zip(chosen, results, strict=True):
        missed += scenario is None
        print(f"{bug.clause:8} {bug.name:36} {scenario or 'MISSED'}", flush=True)
print(f"{len(chosen) - missed} of {len(chosen)} caught in {time.monotonic() - began:.0f} s")
sys.exit(1 if missed else 0)
