"""A worker with a bug in one run out of a hundred: those whose seed is divisible by 100."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.simulate.bench import Bench
from harness.simulate.world import stream
from simulation.adapter import StorePort, run_service

SEEDS = range(0, 1000, 100)
"""The seeds at which the bug is active; larger ones are not looked for."""


class ForgetfulStore(StorePort):
    """A store port that loses the metadata of files (LAY-8)."""

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Store without metadata."""
        del metadata
        await super().create(key, body, metadata={})


async def worker(bench: Bench) -> None:
    """Run our worker, with the bug if the seed is one of `SEEDS`."""
    # A worker does not know the seed, but nothing has been drawn from its random numbers yet.
    drawn = bench.random.getstate()
    is_buggy = any(drawn == stream(seed, f"worker {bench.life}").getstate() for seed in SEEDS)
    await run_service(bench, ForgetfulStore(bench) if is_buggy else StorePort(bench))
