"""Compare real Cryo on the fake pool (cold and warm caches) with real Cryo on anvil, to find the bottleneck.

`python benchmarks/rpc.py [--anvil PATH] [--write docs/fidelity.md]` prints a Markdown table and can replace it in a
document. Goal: with warm caches at least the rate of anvil.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from document import load, parser, publish
from node import BLOCKS, anvil, fake_pool, timed

DATASETS = ("blocks", "transactions", "logs")
REPEATS = 5


def main() -> None:
    """Measure, and print the table."""
    chosen = parser(__doc__).parse_args()
    table = [
        f"| dataset, {BLOCKS:,} blocks | fake pool, cold | fake pool, warm | anvil | warm pool relative to anvil |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder, anvil(chosen.anvil) as node:
        for dataset in DATASETS:
            with fake_pool() as pool:
                cold = timed("cryo-from-wheel", dataset, Path(folder, "out"), {"ETH_RPC_URL": pool})
                warm, real = float("inf"), float("inf")
                for _ in range(REPEATS):  # alternately, so that a busy machine slows both
                    warm = min(warm, timed("cryo-from-wheel", dataset, Path(folder, "out"), {"ETH_RPC_URL": pool}))
                    real = min(real, timed("cryo-from-wheel", dataset, Path(folder, "out"), {"ETH_RPC_URL": node}))
            cells = " | ".join(f"{seconds:.2f} s, {BLOCKS / seconds:,.0f}/s" for seconds in (cold, warm, real))
            table.append(f"| {dataset} ({load()}) | {cells} | {real / warm:.2f} |")
    publish(table, chosen.write)


if __name__ == "__main__":
    main()
