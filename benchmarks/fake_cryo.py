"""`fake-cryo` on its own against real Cryo on anvil, both from start-up to exit, and the start-up alone.

`python benchmarks/fake_cryo.py [--anvil PATH]` prints a table in Markdown. Aim: at least as fast for blocks and logs.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from node import BIN, BLOCKS, anvil, timed

DATASETS = ("blocks", "logs", "transactions")
REPEATS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anvil", default="anvil")
    chosen = parser.parse_args()
    offline = {"FAKE_CRYO_CHAIN_ID": "1"}
    print(f"| dataset, {BLOCKS:,} blocks | fake-cryo | real Cryo on anvil | fake / real, of the rates |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, anvil(chosen.anvil) as node:
        for dataset in DATASETS:
            fake, real = float("inf"), float("inf")
            for _ in range(REPEATS):
                fake = min(fake, timed("fake-cryo", dataset, Path(folder, "out"), offline))
                real = min(real, timed("cryo-from-wheel", dataset, Path(folder, "out"), {"ETH_RPC_URL": node}))
            cells = " | ".join(f"{seconds:.2f} s, {BLOCKS / seconds:,.0f}/s" for seconds in (fake, real))
            print(f"| {dataset} | {cells} | {real / fake:.2f} |", flush=True)
    print(f"\nStart-up: `fake-cryo --version` {_startup('--version'):.2f} s")


def _startup(*arguments: str) -> float:
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([BIN / "fake-cryo", *arguments], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - begun)
    return best


if __name__ == "__main__":
    main()
