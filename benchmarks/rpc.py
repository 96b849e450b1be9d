"""Real Cryo against the fake pool (cold, warm) and against anvil, in one run: who is the bottleneck?

`python benchmarks/rpc.py [--anvil PATH]` prints a table in Markdown. Aim: at least anvil's rate, warm.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from node import BLOCKS, anvil, fake_pool, timed

DATASETS = ("blocks", "transactions", "logs")
REPEATS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anvil", default="anvil")
    chosen = parser.parse_args()
    print(f"| dataset, {BLOCKS:,} blocks | fake pool, cold | fake pool, warm | anvil | warm / anvil |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, anvil(chosen.anvil) as node:
        for dataset in DATASETS:
            with fake_pool() as pool:
                cold = timed("cryo-from-wheel", dataset, Path(folder, "out"), {"ETH_RPC_URL": pool})
                warm, real = float("inf"), float("inf")
                for _ in range(REPEATS):  # in turn, so that a busy machine slows both
                    warm = min(warm, timed("cryo-from-wheel", dataset, Path(folder, "out"), {"ETH_RPC_URL": pool}))
                    real = min(real, timed("cryo-from-wheel", dataset, Path(folder, "out"), {"ETH_RPC_URL": node}))
            cells = " | ".join(f"{seconds:.2f} s, {BLOCKS / seconds:,.0f}/s" for seconds in (cold, warm, real))
            print(f"| {dataset} | {cells} | {real / warm:.2f} |", flush=True)


if __name__ == "__main__":
    main()
