"""Compare `fake-cryo` without an endpoint with real Cryo on anvil: complete runs, and start-up alone.

`python benchmarks/fake_cryo.py [--anvil PATH] [--write docs/fidelity.md]` prints a Markdown table and can replace it in
a document. Goals: at least as fast for blocks and logs; start-up under 0.25 s.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from document import load, parser, publish
from node import BIN, BLOCKS, anvil, timed

DATASETS = ("blocks", "logs", "transactions")
REPEATS = 5


def main() -> None:
    """Measure, and print the table."""
    chosen = parser(__doc__).parse_args()
    offline = {"FAKE_CRYO_CHAIN_ID": "1"}
    table = [
        f"| dataset, {BLOCKS:,} blocks | fake-cryo | real Cryo on anvil | fake-cryo relative to real Cryo |",
        "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder, anvil(chosen.anvil) as node:
        for dataset in DATASETS:
            fake, real = float("inf"), float("inf")
            for _ in range(REPEATS):
                fake = min(fake, timed("fake-cryo", dataset, Path(folder, "out"), offline))
                real = min(real, timed("cryo-from-wheel", dataset, Path(folder, "out"), {"ETH_RPC_URL": node}))
            cells = " | ".join(f"{seconds:.2f} s, {BLOCKS / seconds:,.0f}/s" for seconds in (fake, real))
            table.append(f"| {dataset} ({load()}) | {cells} | {real / fake:.2f} |")
    fake, real = _startup("fake-cryo"), _startup("cryo-from-wheel")
    table.append(f"| start-up, `--version` ({load()}) | {fake:.2f} s | {real:.2f} s | {real / fake:.2f} |")
    publish(table, chosen.write)


def _startup(program: str) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run([BIN / program, "--version"], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - started)
    return best


if __name__ == "__main__":
    main()
