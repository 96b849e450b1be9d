"""Compare the verdicts of the simulation and of the wire on our worker, cell by cell (docs/explore.md).

Each single fault of the world `one-task` that a scenario can express is simulated, and run over the wire on moto. A
cell agrees if both find a problem, or neither. Exits with 1 if a cell does not agree.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.agreement import compare, translatable

from harness.stores.backends import backends

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--jobs", type=int, default=8, help="cells at once")
parser.add_argument("--every", type=int, default=1, help="only every Nth cell")
options = parser.parse_args()
if options.jobs < 1 or options.every < 1:
    parser.error("--jobs and --every are at least 1")

started = time.monotonic()
cells, refused = translatable()
with backends("moto") as store, ThreadPoolExecutor(options.jobs) as pool:
    results = list(pool.map(lambda cell: compare(cell, store), cells[:: options.every]))
for each in results:
    result = "agree" if each.agrees else "DIFFER" if each.is_shown else "absent"
    print(f"{result:7} {each.name:36} {'; '.join([*each.simulated, *each.wire])[:200]}")
absent = [each for each in results if not each.is_shown]
differing = [each for each in results if each.is_shown and not each.agrees]
print(f"{len(absent)} cells have requests that the worker does not send over the wire")
compared = len(results) - len(absent)
print(f"{compared - len(differing)} of {compared} cells agree in {time.monotonic() - started:.0f} s")
print(f"{len(refused)} cells have no scenario, such as: {'; '.join(sorted(refused)[:3])}")
sys.exit(1 if differing else 0)
