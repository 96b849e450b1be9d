"""A worker that never waits can't hold a campaign up."""

import asyncio

import pytest

from harness.simulate.bench import Bench, Target
from harness.simulate.run import simulate
from harness.simulate.watchdog import ENDLESS
from harness.simulate.worlds import ONE_TASK


async def spins(_: Bench) -> None:
    """Yield to the loop again and again, so that no time passes."""
    while True:
        await asyncio.sleep(0)


async def computes(_: Bench) -> None:
    """Never yield."""
    while True:
        pass


async def catches_everything(bench: Bench) -> None:
    """Take every exception, as a worker's own loop does."""
    while True:
        try:
            await spins(bench)
        except Exception:  # noqa: BLE001, S112 - what is tested
            continue


@pytest.mark.parametrize("target", [spins, computes, catches_everything])
def test_a_worker_that_never_waits_is_ended(target: Target):
    """The run ends, and says why."""
    run = simulate(ONE_TASK, target, processor_seconds=0.1)
    assert ENDLESS in run.problems
