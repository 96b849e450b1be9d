"""Check `verify` and `gaps` on a store of many published ranges with ten defects: both must find exactly these.

    python scripts/audit_scale.py [--ranges 10000] [--seed 9]

The times do not include S3, since the store is in memory; S3 adds a listing of each prefix and a read of each file.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.audited import add_defects, check_coverage_of, differences, make_store, verify_store


def main() -> int:
    """Run both and print the times; return 1 if a defect was not found, or if another one was reported."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranges", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(options.ranges, Path(folder))
    starts = add_defects(store, options.ranges, options.seed)
    started = time.monotonic()
    coverage = check_coverage_of(store, options.ranges)
    surveyed = time.monotonic()
    verdicts = asyncio.run(verify_store(store))
    verified = time.monotonic()
    problems = differences(starts, coverage, verdicts)
    print(f"{options.ranges} ranges, {len(starts)} defects, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    print(f"gaps: {surveyed - started:.1f} s; verify: {verified - surveyed:.1f} s of {len(verdicts)} versions")
    print("\n".join(problems) or "all defects found, no other reported")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
